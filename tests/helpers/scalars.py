"""Work directories of which only the logged scalars matter."""

import json


def write_scalars(work_dir, *rows, start='20260101_000000', tail=''):
    """Write ``scalars.json`` of one start of a run; returns the work directory as a text."""
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)) + tail)
    return str(work_dir)
