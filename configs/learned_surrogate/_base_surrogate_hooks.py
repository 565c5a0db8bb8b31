"""What every training with a learned surrogate adds to a config."""

# The surrogate is written to surrogate_iter_*.pth beside each checkpoint.
custom_hooks = [dict(type='mmocr_da.SurrogateExportHook'), dict(type='mmocr_da.SurrogateWatchHook')]
# In several processes: an iteration trains either the surrogate or the model.
find_unused_parameters = True
