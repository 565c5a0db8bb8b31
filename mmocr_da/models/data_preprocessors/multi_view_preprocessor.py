"""Preprocessing of several views of each image."""

from typing import Any

from mmocr_da.registry import MODELS

from .batched_preprocessor import BatchedTextRecogDataPreprocessor


@MODELS.register_module()
class MultiViewTextRecogDataPreprocessor(BatchedTextRecogDataPreprocessor):
    """Joins the views of :class:`MultiView` into one batch, view by view.

    ``V`` lists of ``N`` images and of ``N`` data samples become ``V * N`` images and samples, which
    are then preprocessed as in MMOCR. Batches without views are an error in training, and count
    as one view in testing.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        inputs = data['inputs']
        if (
            isinstance(inputs, (list, tuple))
            and len(inputs) > 0
            and isinstance(inputs[0], (list, tuple))
        ):
            data = {
                key: [x for view in data[key] for x in view] for key in ('inputs', 'data_samples')
            }
        elif training:
            raise ValueError(
                'training needs views of each image, got one image each; end the '
                "pipeline of train_dataloader with dict(type='mmocr_da.MultiView', "
                'transforms=[...])'
            )
        return super().forward(data, training)
