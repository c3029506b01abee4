"""The tables of result rows. A new table is an entry here, and its cells in a protocol."""

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
    """The specification of a table.

    Attributes:
        title: number in the paper and subject.
        notes: how to read it, one sentence each.
        layout: its lines and its columns.
        published: reads the published numbers from their folder.
        gaps: whether cells that are only published are shown too, for data sets, sizes and recipes that were
            measured.
    """

    title: str
    notes: tuple[str, ...]
    layout: Layout = TABLE1
    published: Callable[[Path], pd.DataFrame] = published.table1
    gaps: bool = False


def find(name: str) -> Spec:
    """Return the specification of a table.

    Raises:
        CondenseryError: the table is unknown.
    """
    if name not in SPECS:
        raise CondenseryError(f"table {name!r} is unknown; choose from {', '.join(SPECS)}")
    return SPECS[name]


_ACCURACY = (
    "Accuracy on the test split in percent: mean and population standard deviation over the pooled "
    "networks of all sets."
)
_OURS = "The other numbers of this experiment in the DSA paper are not in config/published."

_CROSSED = Layout(lines=("dataset", "ipc", "method", "condense_network"), columns="evaluate_network")

SPECS = {
    "table1": Spec(
        "Table 1: accuracy of networks trained on synthetic sets and coresets",
        (
            _ACCURACY,
            "In brackets the published value (DM Table 1, DSA Table 1), only in the recipe and on the "
            "network of the papers.",
            "Recipe dsa trains with DSA augmentation; recipe dc is that of the evaluation of DC and of the "
            "published coresets. Recipe learned uses the learning rates that DD learned; recipe plain, that "
            "of LD, trains without augmentation.",
            "DD and LD use LeNet for MNIST and AlexNet for CIFAR.",
            "A dash: not measured under this protocol.",
        ),
        gaps=True,
    ),
    "table2": Spec(
        "Table 2: instance norm against batch norm",
        (
            _ACCURACY,
            "Each set is evaluated on the network that it was condensed on, which has batch norm if its name "
            "ends with -bn and instance norm otherwise.",
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
            "Lines: the method and the network that a set was condensed on. Columns: the network that was "
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
            "Columns: the group of condensing networks, which are new random ones (DM), trained ones grouped "
            "by validation accuracy, or all of these.",
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
            "matches the distribution of pixels, with a linear kernel unless its name states another.",
            "In brackets the published value (DM Table 6); for GMMN, VAE, BigGAN and MMD the paper does not "
            "state the recipe, so the value is repeated for each. The VAE of the paper is DC-VAE; this one "
            "is a plain VAE.",
        ),
        published=published.table6,
        gaps=True,
    ),
    "larger_sets": Spec(
        "Larger sets: DM against random selection",
        (
            _ACCURACY,
            "Then the mean relative to that of networks trained on the whole set in recipe whole, in "
            "percent.",
            "In brackets the published accuracy (DM section 3.2; whole sets: DM Table 1).",
        ),
        Layout(lines=("dataset", "ipc", "recipe"), relative=True),
    ),
    "imagenet": Spec(
        "ImageNet-1K: DM against random selection",
        (
            _ACCURACY,
            "In brackets the published value (DM section 3.2), only in the recipes of Table 1.",
        ),
    ),
    "dsa_ablation": Spec(
        "DSA's families of augmentation, alone and combined",
        (
            _ACCURACY,
            "Columns: the families that a set is condensed with and that its networks are trained with; DSA "
            "uses all families of the data set.",
            f"In brackets the published value of all families (DSA Table 1). {_OURS}",
        ),
        Layout(lines=("dataset", "ipc")),
    ),
    "dsa_siamese": Spec(
        "DSA's Siamese augmentation against others in the matching",
        (
            _ACCURACY,
            "Columns: what the matching augments; DSA augments real and synthetic images with the same draw, "
            "the names of the others state what they augment.",
            "Recipe dsa trains the evaluation networks with DSA augmentation, recipe plain without.",
            f"In brackets the published value of DSA (DSA Table 1). {_OURS}",
        ),
    ),
    "dsa_cross_architecture": Spec(
        "DSA: condensed on one network, evaluated on another",
        (
            _ACCURACY,
            "Lines: the network that a set was condensed on. Columns: the network that was trained on it.",
            f"In brackets the published value of ConvNet on itself (DSA Table 1). {_OURS}",
        ),
        _CROSSED,
    ),
}
"""Every table by name."""
