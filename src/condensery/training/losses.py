"""Losses of logits against labels, for several networks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from condensery.training.recipes import Recipe


def total(recipe: Recipe, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum over networks of the mean loss per image: each gets the gradient of its own mean.

    Args:
        recipe: its ``loss`` is ``cross_entropy``; ``kl``, the Kullback-Leibler divergence of the prediction
            from the label, both at the recipe's temperature, times the squared temperature (Hinton et al.
            2015, section 2); or ``mse``, half the squared distance of the logits from the label minus 1 / K
            (FRePo, Zhou et al. 2022).
        logits: (networks, n, K).
        labels: int64 (networks, n), or float32 (networks, n, K): probabilities, for ``mse`` any numbers.
    """
    count, classes = logits.shape[1:]
    logits, labels = logits.flatten(0, 1), labels.flatten(0, 1)
    if recipe.loss == "cross_entropy":
        return F.cross_entropy(logits, labels, reduction="sum") / count
    wanted = soft(labels, classes)
    if recipe.loss == "mse":
        return (logits - (wanted - 1 / classes)).square().sum() / (2 * count)
    temperature = recipe.temperature
    # A probability of zero stays zero at any temperature; its logarithm is bounded to keep gradients finite.
    softened = torch.log_softmax(wanted.clamp_min(1e-30).log() / temperature, 1)
    found = torch.log_softmax(logits / temperature, 1)
    return temperature**2 * F.kl_div(found, softened, reduction="sum", log_target=True) / count


def soft(labels: Tensor, classes: int) -> Tensor:
    """Return labels as soft labels, float32 (..., classes); hard labels become one-hot vectors.

    Args:
        labels: int64 (...), or already soft, (..., classes).
        classes: number of classes.
    """
    return labels if labels.is_floating_point() else F.one_hot(labels, classes).float()
