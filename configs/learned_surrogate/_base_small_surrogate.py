"""A surrogate of 0.7 M parameters for short texts."""

small_surrogate = dict(
    channels=(64,) * 5, hidden_channels=256, max_distance=5, gradient_weight=0.1, warmup=50
)
