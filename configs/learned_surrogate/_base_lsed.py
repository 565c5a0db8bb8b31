"""What every post-tuning with LS-ED adds to a config: ``model = _base_.lsed``."""
lsed = dict(
    type='mmocr_da.AdaptiveRecognizer',
    supervised_weight=0,  # learned edit distance alone, as in the paper
    objectives=[dict(type='mmocr_da.LSEDLoss')])

# The surrogate is written to surrogate_iter_*.pth beside each checkpoint.
custom_hooks = [
    dict(type='mmocr_da.SurrogateExportHook'),
    dict(type='mmocr_da.SurrogateWatchHook')
]
# In several processes: an iteration trains either the surrogate or the recognizer.
find_unused_parameters = True
