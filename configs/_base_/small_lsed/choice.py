"""Comes before the file that the option MMOCR_DA_DATA names, and refuses one that is not there."""

choice = '{{$MMOCR_DA_DATA:numbers}}'
if choice not in ('numbers', 'words'):
    raise ValueError(f"MMOCR_DA_DATA must be 'numbers' or 'words' here, got {choice!r}")
