"""A t-SNE map of the features of real and synthetic images together.

Source: DM section 3.2 and Figure 3; van der Maaten and Hinton 2008.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits
from torch import Tensor

from condensery import streams
from condensery.data import Split
from condensery.machine.device import Device
from condensery.networks import Network
from condensery.synthetic import SyntheticSet

REAL = "real"
"""The value of the column ``method`` for real images."""

COLUMNS = ("dataset", "method", "ipc", "set_seed", "class", "class_name", "image", "x", "y")
"""The columns of a map; ``image`` is an index in the training split or in the decoded set."""

_PERPLEXITY = 30.0  # scikit-learn's
_BATCH = 500


def embed(
    train: Split, sets: Sequence[SyntheticSet], network: Network, *, classes: int, count: int, device: Device
) -> pd.DataFrame:
    """Map real and synthetic images by the features of a network.

    All images are mapped in one fit, so that the sets can be compared: separate fits would map the same real
    images differently. The choice of real images and the fit have fixed seeds.

    Args:
        train: the real images.
        sets: synthetic sets of the same data set, with hard labels.
        network: the network, in evaluation mode on the device.
        classes: the number of classes; the first classes of the data set are mapped.
        count: real images per class, drawn without replacement; all if the class has fewer.
        device: where the network computes. t-SNE runs on the CPU.

    Returns:
        One line per image, with `COLUMNS`: the real images, then those of each set, by class.
    """
    lines, images = [], []
    for c, rows in _chosen(train, classes, count):
        images.append(train.batch(rows, torch.device("cpu")))
        lines += [(REAL, 0, 0, c, int(row)) for row in rows]
    for each in sets:
        experiment, whole = each.experiment("method", "ipc", "seed"), each.decoded()
        for c in range(classes):
            own = (whole.class_indices == c).nonzero().flatten()
            images.append(whole.images[own])
            lines += [
                (experiment["method"], experiment["ipc"], experiment["seed"], c, row) for row in own.tolist()
            ]
    frame = pd.DataFrame(lines, columns=["method", "ipc", "set_seed", "class", "image"])
    coordinates = _fit(_features(network, torch.cat(images), device))
    frame["dataset"], frame["x"], frame["y"] = train.info.name, coordinates[:, 0], coordinates[:, 1]
    frame["class_name"] = [train.info.classes[c] for c in frame["class"]]
    return frame[list(COLUMNS)]


def _chosen(train: Split, classes: int, count: int) -> Iterator[tuple[int, np.ndarray]]:
    for c in range(classes):
        pool = train.indices_of(c)
        order = torch.randperm(len(pool), generator=streams.generator(0, "embedding", c))
        yield c, np.sort(pool[order[:count].numpy()])


@torch.no_grad()
def _features(network: Network, images: Tensor, device: Device) -> np.ndarray:
    parts = []
    for batch in images.split(_BATCH):
        with device.autocast():
            parts.append(network.embed(batch.to(device.torch_device)).float().cpu())
    return torch.cat(parts).numpy()


def _fit(features: np.ndarray) -> np.ndarray:
    """Return 2-D coordinates, (N, 2), of images with these features, (N, F)."""
    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)  # fewer for few images
    # Several threads would sum forces in another order, which gives another map.
    with threadpool_limits(1):
        return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
