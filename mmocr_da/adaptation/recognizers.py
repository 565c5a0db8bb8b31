"""Reads the config of a recognizer that a user names."""

from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.models.textdet.detectors import MMDetWrapper, SingleStageTextDetector
from mmocr.models.textrecog.module_losses import CTCModuleLoss
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.registry import MODELS
from mmocr.utils import register_all_modules

from mmocr_da.config_names import find_config
from mmocr_da.models.detectors import AdaptiveTextDetector, adaptive_text_detector
from mmocr_da.models.recognizers import AdaptiveRecognizer

#: What a recognizer may not do in another way, as AdaptiveRecognizer does it in its own.
OWN_METHODS = ('extract_feat', 'loss', 'predict', '_forward')


class Recognizer(NamedTuple):
    """A recognizer's config."""

    cfg: Config
    #: What a ``_base_`` says for it.
    base: str
    #: Name of its file, without ``.py``.
    name: str
    #: The option of ``model`` that names the recognizer's type: ``type``, or ``of`` in a WithBIN.
    type_key: str


def read_recognizer(config: str) -> Recognizer:
    """Read a config and check that it is one of a recognizer that can be adapted.

    Args:
        config: See :func:`~mmocr_da.config_names.find_config`.

    Raises:
        ValueError: If there is no such config, or if its model cannot be adapted.
    """
    path, base = find_config(config)
    register_all_modules(init_default_scope=True)
    cfg = Config.fromfile(path)
    init_default_scope(cfg.get('default_scope', 'mmocr'))
    model = cfg.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise ValueError(
            f'config must have a model, got {config!r} with the settings {sorted(cfg)}; give the '
            'config with which the checkpoint was trained'
        )
    type_key = 'of' if str(model['type']) == 'mmocr_da.WithBIN' else 'type'
    _check_class(_class_of(model.get(type_key)), config)
    name = path.replace('\\', '/').rpartition('/')[2].rpartition('.')[0]
    return Recognizer(cfg, base, name, type_key)


def uses_ctc(model: dict[str, Any]) -> bool:
    """Whether the decoder of a recognizer's config learns by CTC."""
    loss = (model.get('decoder') or {}).get('module_loss') or {}
    cls = MODELS.get(str(loss.get('type')))
    return isinstance(cls, type) and issubclass(cls, CTCModuleLoss)


def _class_of(name: Any) -> type:
    cls = name if isinstance(name, type) else MODELS.get(str(name))
    if cls is adaptive_text_detector:  # a function that builds one of many classes
        return AdaptiveTextDetector
    if not isinstance(cls, type):
        raise ValueError(
            f'the model of the config must be a registered recognizer, got type={name!r}; if it is '
            'yours, name its module in custom_imports of the config'
        )
    return cls


def _check_class(cls: type, config: str) -> None:
    if issubclass(cls, (AdaptiveTextDetector, MMDetWrapper, SingleStageTextDetector)):
        raise ValueError(
            f'config must be one of a text recognizer, got {config!r} of a {cls.__name__}, which '
            'is a detector: adapt it with tools/train.py and a config like those of '
            'configs/detection, whose README.md says how'
        )
    if not issubclass(cls, EncoderDecoderRecognizer):
        raise ValueError(
            f'config must be one of a text recognizer, such as crnn_mini-vgg_5e_mj, got {config!r} '
            f'of a {cls.__name__}, which is no encoder-decoder recognizer of MMOCR'
        )
    for name in OWN_METHODS:
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if owner not in EncoderDecoderRecognizer.__mro__ + AdaptiveRecognizer.__mro__:
            raise ValueError(
                f'the recognizer must train and predict as those of MMOCR do, got a {cls.__name__} '
                f'with a {name} of its own, which its adaptation would not use'
            )
