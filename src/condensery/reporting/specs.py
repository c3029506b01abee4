"""What each table of result rows is. Another table is another entry here, and its cells in a protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from condensery.errors import CondenseryError
from condensery.reporting import published
from condensery.reporting.layout import TABLE1, Layout


@dataclass(frozen=True)
class Spec:
    """What a table is.

    Attributes:
        title: number in the paper and subject.
        notes: how to read it, one sentence each.
        layout: what its lines and its columns are.
        published: reads the numbers to stand beside the measured ones from the folder of published numbers.
        gaps: whether cells that are only published are shown too, for data sets, sizes and recipes that were
            measured.
    """

    title: str
    notes: tuple[str, ...]
    layout: Layout = TABLE1
    published: Callable[[Path], pd.DataFrame] = published.table1
    gaps: bool = False


def find(name: str) -> Spec:
    """Return what a table is.

    Raises:
        CondenseryError: no such table.
    """
    if name not in SPECS:
        raise CondenseryError(f"table {name!r} is unknown; choose from {', '.join(SPECS)}")
    return SPECS[name]


_ACCURACY = (
    "Accuracy on the test split in percent: mean and population standard deviation over the pooled "
    "networks of all sets."
)
_OURS = "The other numbers that the DSA paper prints for this are not in config/published."

_CROSSED = Layout(lines=("dataset", "ipc", "method", "condense_network"), columns="evaluate_network")

SPECS = {
    "table1": Spec(
        "Table 1: accuracy of networks trained on synthetic sets and coresets",
        (
            _ACCURACY,
            "In brackets the published value (DM Table 1, DSA Table 1), beside the recipe and network of the "
            "papers.",
            "Recipe dsa trains with DSA augmentation, recipe dc as DC was evaluated; so were the published "
            "coresets. Recipe learned takes the steps that DD learned, recipe plain trains without "
            "augmentation, as LD was evaluated.",
            "DD and LD are on LeNet for MNIST and on AlexNet for CIFAR.",
            "A dash: not measured under this protocol.",
        ),
        gaps=True,
    ),
    "table2": Spec(
        "Table 2: instance norm against batch norm",
        (
            _ACCURACY,
            "The network that a set was condensed on is also the one that was trained on it; it has batch "
            "norm where its name ends with -bn, else instance norm.",
            "In brackets the published value (DM Table 2).",
        ),
        Layout(lines=("dataset", "ipc", "condense_network")),
        published.table2,
        gaps=True,
    ),
    "table3": Spec(
        "Table 3: condensed on one network, evaluated on another, with batch norm",
        (
            _ACCURACY,
            "A line is the method and the network that a set was condensed on, a column the network that was "
            "trained on it.",
            "In brackets the published value (DM Table 3).",
        ),
        _CROSSED,
        published.table3,
        gaps=True,
    ),
    "table4": Spec(
        "Table 4: DM with networks of different accuracy",
        (
            _ACCURACY,
            "A column is the group that the condensing networks were drawn from: new random ones (DM), or "
            "trained ones by their validation accuracy, or all of these.",
            "In brackets the published value (DM Table 4, which prints no deviation).",
        ),
        Layout(lines=("dataset", "ipc")),
        published.table4,
    ),
    "table6": Spec(
        "Table 6: against generative models, and matching in pixel space",
        (
            _ACCURACY,
            "GMMN, VAE and BigGAN are images sampled from a generator that was trained on the whole set; MMD "
            "matches the distribution of pixels, with a linear kernel unless its name says another.",
            "In brackets the published value (DM Table 6); for GMMN, VAE, BigGAN and MMD the paper does not "
            "say in which recipe, so it stands beside each. Its VAE is DC-VAE, ours is a plain one.",
        ),
        published=published.table6,
        gaps=True,
    ),
    "larger_sets": Spec(
        "Larger sets: DM against random selection",
        (
            _ACCURACY,
            "After it, the mean in percent of that of the networks trained on the whole set in recipe whole.",
            "In brackets the published accuracy (DM section 3.2; whole sets: DM Table 1).",
        ),
        Layout(lines=("dataset", "ipc", "recipe"), relative=True),
    ),
    "imagenet": Spec(
        "ImageNet-1K: DM against random selection",
        (
            _ACCURACY,
            "In brackets the published value (DM section 3.2), beside the recipes of Table 1.",
        ),
    ),
    "dsa_ablation": Spec(
        "DSA's families of augmentation, alone and combined",
        (
            _ACCURACY,
            "A set is condensed with the families of its column and its networks are trained with the same; "
            "DSA is all families of the data set.",
            f"In brackets the published value of all families (DSA Table 1). {_OURS}",
        ),
        Layout(lines=("dataset", "ipc")),
    ),
    "dsa_siamese": Spec(
        "DSA's Siamese augmentation against others in the matching",
        (
            _ACCURACY,
            "Columns differ in what the matching augments: DSA real and synthetic images with the same draw, "
            "the others as they are called.",
            "Recipe dsa trains the evaluation networks with DSA augmentation, recipe plain without.",
            f"In brackets the published value of DSA (DSA Table 1). {_OURS}",
        ),
    ),
    "dsa_cross_architecture": Spec(
        "DSA: condensed on one network, evaluated on another",
        (
            _ACCURACY,
            "A line is the network that a set was condensed on, a column the one that was trained on it.",
            f"In brackets the published value of ConvNet on itself (DSA Table 1). {_OURS}",
        ),
        _CROSSED,
    ),
}
"""Every table by name."""
