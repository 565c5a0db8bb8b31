"""SeqCLR with five windows per image, on the images of a folder of words; no label is read."""

_base_ = ['./_base_small_pretrain.py', '../_base_/datasets/words.py']

train_dataloader = dict(
    dataset=dict(
        datasets=dict(type='mmocr_da.UnlabelledDataset', dataset=_base_.words_train, pipeline=None)
    )
)
