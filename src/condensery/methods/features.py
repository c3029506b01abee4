"""The network, trained on the whole set, in whose features the coreset methods select."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from condensery.methods.base import Problem
from condensery.networks import Network, activations
from condensery.training import pretrained

_BATCH = 500


def read(problem: Problem) -> dict[str, Tensor]:
    """Return the tensors of :func:`condensery.training.pretrained.pretrain` for this problem, on the CPU.

    Raises:
        CondenseryError: the file is missing, or belongs to another data set or network.
    """
    return pretrained.read_pretrained(_file(problem), problem.data.info.name, problem.network)


def network(problem: Problem) -> Network:
    """Return the trained network, in evaluation mode on the problem's device.

    Raises:
        CondenseryError: see :func:`read`.
    """
    net = pretrained.trained_network(_file(problem), problem.data.info, problem.network)
    return net.to(problem.device.torch_device)


def _file(problem: Problem) -> Path:
    return problem.needed("features", "pretrain")[0]


@torch.no_grad()
def by_class(problem: Problem) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield, for each of the problem's classes, all of its training images and their features.

    Yields:
        The indices of the images, int64 (n,), and their features, float32 (n, F), on the device.

    Raises:
        CondenseryError: see :func:`read`.
    """
    net, train, info, device = network(problem), problem.data.train, problem.data.info, problem.device
    pools = [train.indices_of(c) for c in problem.classes]
    work = sum(len(pool) for pool in pools) * activations(net, info.channels, (info.height, info.width))
    embed = device.compiled(net.embed, work)
    for pool in pools:
        # All batches have one shape, so that the network is compiled once: the last is padded with images
        # whose features are dropped.
        padded = np.arange(-(-len(pool) // _BATCH) * _BATCH) % len(pool)
        with device.autocast():
            parts = [
                embed(train.batch(pool[rows], device.torch_device)).float()
                for rows in padded.reshape(-1, _BATCH)
            ]
        yield pool, torch.cat(parts)[: len(pool)]
