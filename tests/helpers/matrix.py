"""The methods that ``tests/test_matrix.py`` trains on every recognizer, and what is refused.

The table of it in ``configs/README.md`` is made of this file::

    python tests/helpers/matrix.py
"""

from pathlib import Path

README = Path(__file__).parents[2] / 'configs' / 'README.md'
BEGIN, END = ('<!-- made by tests/helpers/matrix.py', '<!-- end of what matrix.py made -->')
MODELS = (
    'CRNN',
    'SVTR',
    'ASTER',
    'SAR, parallel',
    'SAR, sequential',
    'RobustScanner',
    'NRTR',
    'SATRN',
    'MASTER',
    'ABINet, vision',
    'ABINet, fusion',
)
GA, LA, SYMNET, CONFUSION, ENTROPY, SELF_TRAINING, LS_ED, L2SP, RISK, COMPLETION, SCHEDULED = (
    'GlobalAlignment',
    'LocalAlignment',
    'SymNetHead',
    'DomainConfusion',
    'EntropyMinimization',
    'SelfTraining',
    'LSEDLoss',
    'L2SP',
    'MinimumRisk',
    'OptimalCompletion',
    'ScheduledSampling',
)
#: The objectives of each method, and what else it needs.
METHODS = {
    'source only': ((), ''),
    'global alignment (GA)': ((GA,), ''),
    'local alignment (LA)': ((LA,), ''),
    'SymNet': ((SYMNET,), ''),
    'domain confusion': ((CONFUSION,), ''),
    'entropy minimization': ((ENTROPY,), ''),
    'self-training': ((SELF_TRAINING,), ''),
    'LS-ED': ((LS_ED,), ''),
    'LS-ED, both in one step': ((LS_ED,), 'both'),
    'minimum risk': ((RISK,), ''),
    'optimal completion': ((COMPLETION,), ''),
    'scheduled sampling': ((SCHEDULED,), ''),
    'GA, statistics per domain': ((GA,), 'per_domain'),
    'BIN': ((), 'BIN'),
    'SeqCLR': ((), 'SeqCLR'),
    'ASSDA (GA + LA)': ((GA, LA), ''),
    'ASSDA + BIN': ((GA, LA), 'BIN'),
    'ASSDA + self-training': ((GA, LA, SELF_TRAINING), ''),
    'SymNet + LA': ((SYMNET, LA), ''),
    'LA + LS-ED': ((LA, LS_ED), ''),
}
CTC = ('CRNN', 'SVTR')
PARALLEL = ('ABINet, vision', 'ABINet, fusion')
#: Why a cell is refused: the beginning of the message, and the note of the table.
REASONS = {
    'frames': (
        'LSEDLoss needs one step per character',
        'a change of one frame of CTC is no edit; the message names recognizers that work, and '
        'minimum risk works with CTC',
    ),
    'not fed': (
        '(OptimalCompletion|ScheduledSampling) needs a decoder that is fed the characters',
        'the decoder is not fed the characters before a character; minimum risk works with it',
    ),
}
REFUSED = {
    (method, model): 'frames'
    for method, (names, _) in METHODS.items()
    if LS_ED in names
    for model in CTC
} | {
    (method, model): 'not fed'
    for method, (names, _) in METHODS.items()
    if {COMPLETION, SCHEDULED}.intersection(names)
    for model in (*CTC, *PARALLEL)
}
#: Models whose encoder makes nothing that SeqCLR can compare, and what it says then.
ONLY_V = {
    'SAR, parallel': 'needs an encoder that makes a map',
    'SAR, sequential': 'needs an encoder that makes a map',
    'MASTER': 'needs an encoder, or a CRNNDecoder with rnn_flag=True, got',
}


def cells():
    """All pairs ``(method, model)``."""
    return [(method, model) for method in METHODS for model in MODELS]


def table():
    """The table of the README, in Markdown."""
    notes = list(REASONS)
    lines = [
        f'| | {" | ".join(MODELS)} |',
        f'|---|{"---|" * len(MODELS)}',
    ]
    for method in METHODS:
        marks = []
        for model in MODELS:
            mark = 'yes'
            if reason := REFUSED.get((method, model)):
                mark = f'no ({notes.index(reason) + 1})'
            elif method == 'SeqCLR' and model in ONLY_V:
                mark = "`'V'`"
            marks.append(mark)
        lines.append(f'| {method} | {" | ".join(marks)} |')
    lines.append('')
    lines += [f'{i + 1}. Refused: {REASONS[name][1]}.' for i, name in enumerate(notes)]
    return '\n'.join(lines)


def parts():
    """The README before, inside of and after the marks."""
    text = README.read_text()
    begin = text.index('\n', text.index(BEGIN)) + 1
    end = text.index(END)
    return text[:begin], text[begin:end], text[end:]


if __name__ == '__main__':
    before, _, after = parts()
    README.write_text(f'{before}\n{table()}\n\n{after}')
