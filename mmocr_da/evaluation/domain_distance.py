"""How far apart the features of two domains are."""

import math

import numpy as np
from numpy.typing import ArrayLike


def proxy_a_distance(
    features: ArrayLike, is_target: ArrayLike, groups: ArrayLike | None = None, seed: int = 0
) -> float:
    """Estimate how well a linear classifier tells the domains apart, from 0 to 2.

    ``2 (1 - 2 e)`` with its error ``e`` on features that it was not trained on (Ben-David et al.,
    "Analysis of representations for domain adaptation", NeurIPS 2006, section 5): 0 if it is no
    better than chance, 2 if it is never wrong. The classifier is a logistic regression of
    standardized features. It is trained on one half and tested on the other, and the reverse; both
    domains count alike.

    Args:
        features: ``(n, D)``.
        is_target: ``(n,)`` bool.
        groups: ``(n,)``, the image of each feature: features of one image are in the same half.
            None if each is of an image of its own.
        seed: Divides the images into halves.

    Returns:
        The distance; NaN if a domain has features of fewer than two images.

    >>> is_target = np.arange(20) % 2 == 0
    >>> x = is_target[:, None]
    >>> proxy_a_distance(x, is_target), proxy_a_distance(x * 0, is_target)
    (2.0, 0.0)
    """
    from sklearn.linear_model import LogisticRegression  # scikit-learn takes a second to import
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = np.asarray(features, float), np.asarray(is_target, bool)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f'features must be (n, D) and is_target (n,), got {x.shape} and {y.shape}')
    group = np.arange(len(x)) if groups is None else np.asarray(groups)
    if min(len(np.unique(group[y == domain])) for domain in (False, True)) < 2:
        return math.nan
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight='balanced', max_iter=1000)
    )
    halves = StratifiedGroupKFold(2, shuffle=True, random_state=seed)
    predicted = cross_val_predict(classifier, x, y, groups=group, cv=halves)
    return distance_of_accuracy(float(balanced_accuracy_score(y, predicted)))


def distance_of_accuracy(accuracy: float) -> float:
    """Return ``2 (1 - 2 e)`` of the balanced accuracy ``1 - e`` of a classifier of domains.

    >>> distance_of_accuracy(0.5), distance_of_accuracy(0.75), distance_of_accuracy(1.0)
    (0.0, 1.0, 2.0)
    """
    # Of a finite sample the error may exceed that of chance.
    return max(0.0, 2 * (2 * accuracy - 1))


def balanced_accuracy(source: ArrayLike, target: ArrayLike) -> float:
    """Mean of the shares of right decisions of both domains; 0.5 is chance.

    A decision without a side is half right. NaN if a domain has no image.

    Args:
        source: ``(n_s,)``, logits of the target for source images: right if below 0.
        target: ``(n_t,)``, the same for target images: right if above 0.

    >>> balanced_accuracy([-1, -1, -1, 1], [2]), balanced_accuracy([0, 0], [0])
    (0.875, 0.5)
    """
    sides = [np.sign(np.asarray(x, float)) * side for x, side in ((source, -1), (target, 1))]
    if not all(len(side) for side in sides):
        return math.nan
    return float(np.mean([(side.mean() + 1) / 2 for side in sides]))
