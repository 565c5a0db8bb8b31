"""Config and checkpoint of a recognizer in, an ONNX file out; images and the file in, texts out."""

from .export import OnnxExport, check_installed, export_onnx
from .inferencer import OnnxInferencer, Prediction

__all__ = ['OnnxExport', 'OnnxInferencer', 'Prediction', 'check_installed', 'export_onnx']
