import pytest
from mmengine.config import Config

from mmocr_da.adaptation.recognizers import read_recognizer, uses_ctc
from mmocr_da.registry import MODELS


def test_a_recognizer_is_found_by_name_and_by_file(tiny):
    found = read_recognizer('crnn_mini-vgg_5e_mj')
    assert found.base == 'mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py'
    assert (found.name, found.type_key, found.cfg.model.type) == (
        'crnn_mini-vgg_5e_mj',
        'type',
        'CRNN',
    )
    file = tiny() / 'tiny.py'
    found = read_recognizer(str(file))
    assert (found.base, found.name) == (str(file), 'tiny')


def test_batch_instance_norms_are_around_the_recognizer():
    assert read_recognizer('crnn_bin_mini-vgg_5e_mj').type_key == 'of'


@pytest.mark.parametrize(
    'config, message',
    [
        (
            'crnn_minivgg_5e_mj',
            'which is neither; the names most like it are mmocr::textrecog/crnn',
        ),
        ('/no/such.py', 'which is neither'),
        ('dbnet_resnet18_fpnc_1200e_icdar2015', 'of a DBNet, .* detector: .* configs/detection'),
        ('mask-rcnn_resnet50_fpn_160e_icdar2015', 'of a MMDetWrapper, .* configs/detection'),
        (
            'dbnet_aligned_resnet18_fpnc_to_folder',
            'of a AdaptiveTextDetector, .* configs/detection',
        ),
        ('kie', "got '/.*kie.py' of a SDMGR, which is no encoder-decoder recognizer of MMOCR"),
        ('resnet29_seqclr-window', 'got a SeqCLR with a loss of its own'),
    ],
)
def test_what_is_no_recognizer_is_an_error_that_says_what_it_is(config, message, tmp_path):
    if config == 'kie':
        config = str(tmp_path / 'kie.py')
        (tmp_path / 'kie.py').write_text("model = dict(type='SDMGR')\n")
    with pytest.raises(ValueError, match=message):
        read_recognizer(config)


def test_a_config_without_a_model_is_an_error(tmp_path):
    (tmp_path / 'data.py').write_text('train_list = []\n')
    with pytest.raises(ValueError, match=r"must have a model, got .* settings \['train_list'\]"):
        read_recognizer(str(tmp_path / 'data.py'))


def test_an_unknown_type_is_an_error_that_names_custom_imports(tmp_path):
    (tmp_path / 'mine.py').write_text("model = dict(type='NoSuchRecognizer')\n")
    with pytest.raises(ValueError, match="got type='NoSuchRecognizer'; .* custom_imports"):
        read_recognizer(str(tmp_path / 'mine.py'))


def test_a_recognizer_that_trains_in_its_own_way_is_an_error(tmp_path):
    from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer

    class OwnLoss(EncoderDecoderRecognizer):
        def loss(self, inputs, data_samples, **kwargs):
            return {}

    MODELS.register_module('OwnLoss', module=OwnLoss, force=True)
    (tmp_path / 'mine.py').write_text("model = dict(type='mmocr_da.OwnLoss')\n")
    try:
        with pytest.raises(ValueError, match='a OwnLoss with a loss of its own'):
            read_recognizer(str(tmp_path / 'mine.py'))
    finally:
        MODELS.module_dict.pop('OwnLoss')


def test_ctc_is_known_by_the_loss(tiny):
    assert uses_ctc(Config.fromfile(tiny('ctc') / 'tiny.py').model)
    assert not uses_ctc(Config.fromfile(tiny() / 'tiny.py').model)
    assert uses_ctc(read_recognizer('svtr-tiny_20e_st_mj').cfg.model)
