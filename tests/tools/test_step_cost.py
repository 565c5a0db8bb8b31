import re
from unittest.mock import patch


def test_it_prints_two_times_and_their_ratio(toy, load_tool, capsys):
    module = load_tool('benchmarks/step_cost')
    arguments = ['step_cost.py', str(toy), '--steps', '3', '--half', '2', '--size', '16', '32']
    with patch('sys.argv', arguments):
        module.main()
    out = capsys.readouterr().out
    adaptation, supervised, ratio = (float(re.search(f'{name} +([0-9.]+)', out)[1])
                                     for name in ('adaptation', 'supervised', 'ratio'))
    assert abs(adaptation / supervised - ratio) < 0.02 * ratio
