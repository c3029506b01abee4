"""Losses and mixed batches, image by image and pixel by pixel. Nothing here is shared with the library."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def loss(kind: str, logits: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """The mean over images of the loss of logits (n, K) against labels (n, K)."""
    total = torch.zeros(())
    for row, target in zip(logits, targets, strict=True):
        if kind == "mse":
            # A label is centered: its values add up to 0.
            total = total + 0.5 * sum((row[k] - target[k]) ** 2 for k in range(len(row)))
            continue
        scaled = row / temperature
        log_p = scaled - scaled.exp().sum().log()
        if kind == "cross_entropy":
            total = total - sum(target[k] * log_p[k] for k in range(len(row)))
            continue
        powers = [float(t) ** (1 / temperature) for t in target]
        q = [power / sum(powers) for power in powers]
        divergence = sum(q[k] * (math.log(q[k]) - log_p[k]) for k in range(len(row)) if q[k] > 0)
        total = total + temperature**2 * divergence
    return total / len(logits)


def cutmix(
    images: Tensor, targets: Tensor, partners: Sequence[int], box: tuple[int, int, int, int]
) -> tuple[Tensor, Tensor]:
    """Take the pixels of a box, and the same share of the label, from the partner."""
    top, bottom, left, right = box
    height, width = images.shape[-2:]
    mixed, labels = images.clone(), targets.clone()
    for i, partner in enumerate(partners):
        taken = 0
        for y in range(height):
            for x in range(width):
                if top <= y < bottom and left <= x < right:
                    mixed[i, :, y, x] = images[partner, :, y, x]
                    taken += 1
        part = taken / (height * width)
        labels[i] = (1 - part) * targets[i] + part * targets[partner]
    return mixed, labels


def mixup(images: Tensor, targets: Tensor, partners: Sequence[int], share: float) -> tuple[Tensor, Tensor]:
    """Take a weighted mean of two images and of their labels."""
    pairs = [
        (share * images[i] + (1 - share) * images[j], share * targets[i] + (1 - share) * targets[j])
        for i, j in enumerate(partners)
    ]
    mixed, labels = zip(*pairs, strict=True)
    return torch.stack(mixed), torch.stack(labels)
