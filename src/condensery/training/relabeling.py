"""Soft labels for a synthetic set, from a teacher: a network that was trained on the whole training set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from condensery.errors import CondenseryError
from condensery.machine.device import Device
from condensery.networks import Network
from condensery.synthetic import SyntheticSet

BATCH = 500


@torch.no_grad()
def soft_labels(teacher: Network, images: Tensor, device: Device, temperature: float = 1.0) -> Tensor:
    """Return the class probabilities of images by a teacher, float32 (N, K), on the CPU.

    Args:
        teacher: the network, which is moved to the device and set to evaluation mode.
        images: float32 (N, C, H, W), normalized; they are not augmented.
        device: where to compute, in float32.
        temperature: logits are divided by it before the softmax.
    """
    target = device.torch_device
    net = teacher.to(target).eval()
    logits = [net(batch.to(target)).float() for batch in images.split(BATCH)]
    return (torch.cat(logits) / temperature).softmax(1).cpu()


def relabeled(
    synthetic: SyntheticSet,
    teacher: Network,
    about: Mapping[str, Any],
    device: Device,
    temperature: float = 1.0,
) -> SyntheticSet:
    """Return the set with a teacher's soft labels instead of its own labels.

    Args:
        synthetic: the set.
        teacher: see :func:`soft_labels`.
        about: the description of the teacher for the provenance, JSON-able.
        device: see :func:`soft_labels`.
        temperature: see :func:`soft_labels`.

    Raises:
        CondenseryError: the stored images hold several images each, which one label cannot describe.
    """
    if synthetic.formation > 1:
        raise CondenseryError(
            f"{synthetic.source}: an image holds {synthetic.formation}x{synthetic.formation} small ones, "
            "which one label cannot describe: give a set of whole images"
        )
    labels = soft_labels(teacher, synthetic.images, device, temperature)
    changed = {"relabeled": {"teacher": dict(about), "temperature": temperature}}
    return replace(synthetic, labels=labels, provenance=synthetic.provenance | changed)
