"""Self-training of MMOCR's DBNet by pixels: scenes of ICDAR 2015 to a folder without labels."""

_base_ = './dbnet_aligned_resnet18_fpnc_to_folder.py'

model = dict(objectives=[_base_.scene_map_self_training])
train_dataloader = dict(
    dataset=dict(target_pipeline=[*_base_.load_scene, *_base_.cut_scene, _base_.scene_views])
)
