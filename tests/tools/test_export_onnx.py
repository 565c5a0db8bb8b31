"""``tools/export_onnx.py``, and its file without the package."""

import shutil
import subprocess
import sys

import pytest
from mmengine.config import Config

from mmocr_da.engine.inference import inference_pipeline, predict
from mmocr_da.export import load_plain
from mmocr_da.onnx_export import inferencer

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')


def test_the_file_is_used_without_torch_and_this_package(run_tool, toy, trained, tmp_path, capsys):
    checkpoint, out = trained / 'iter_2.pth', tmp_path / 'out' / 'toy.onnx'
    run_tool('export_onnx', toy, checkpoint, out)
    printed = capsys.readouterr().out
    assert str(out) in printed and 'differ by at most' in printed
    shutil.copy(inferencer.__file__, out.parent)
    images = [
        str(toy.parent / f'{domain}_{i}.png') for domain in ('source', 'target') for i in '01'
    ]
    code = f"""
import sys
for name in ('torch', 'mmocr', 'mmcv', 'mmengine', 'mmocr_da'):
    sys.modules[name] = None  # importing it is an error
from inferencer import OnnxInferencer
print([prediction.text for prediction in OnnxInferencer('toy.onnx')({images})])
"""
    done = subprocess.run(
        [sys.executable, '-S', '-c', f'import sys; sys.path += {sys.path}\n{code}'],
        cwd=out.parent,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    cfg = Config.fromfile(str(toy))
    samples = predict(load_plain(cfg, str(checkpoint)), inference_pipeline(cfg), images)
    assert done.stdout.strip() == str([sample.pred_text.item for sample in samples])


def test_without_onnx_the_tool_says_what_to_install(run_tool, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(SystemExit):
        run_tool('export_onnx', 'none.py', 'none.pth', tmp_path / 'model.onnx')
    assert "pip install 'mmocr_da[onnx]'" in capsys.readouterr().err
