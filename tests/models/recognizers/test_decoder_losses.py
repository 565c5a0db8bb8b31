"""What the decoder makes of an encoded batch."""

import pytest
import torch
from mmengine.structures import LabelData

from mmocr_da.models.recognizers.decoder_losses import Encoded, forced_output, label_confidences
from mmocr_da.models.recognizers.label_encoding import encode_texts
from mmocr_da.models.valid_ratio import valid_ratios


@pytest.mark.parametrize('ctc', [False, True])
def test_the_confidence_in_the_source_is_that_of_its_prediction(adaptive, crnn, batch, ctc):
    """Where the labels are what the recognizer predicts, it predicts the same when it is fed."""
    model = adaptive(**(dict(encoder=None, decoder=crnn) if ctc else {})).eval()
    data = batch(('12', '345'), 0)
    samples, decoder = data['data_samples'], model.decoder
    with torch.no_grad():
        encoded = Encoded(*model._encode(data['inputs'], samples))
        probabilities = decoder(*encoded, samples)
        wanted = model.adapter.word_confidences(probabilities, valid_ratios(samples))
        decoder.postprocessor(probabilities, samples)
        for sample in samples:
            sample.gt_text = LabelData(item=sample.pred_text.item)
        encode_texts(decoder, samples, torch.device('cpu'))
        decoder.train()  # which has no dropout
        output = forced_output(decoder, encoded, samples, torch.arange(2))
        found = label_confidences(decoder, output, samples)
    torch.testing.assert_close(found, wanted)
    assert (found > 0).all() and (found < 1).all()
