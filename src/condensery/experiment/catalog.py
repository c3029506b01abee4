"""All targets by name: the title, the layout and the published numbers of each.

A new target of an existing kind is an entry in `TARGETS` and its cells in a protocol. The schema of
protocols, the rules, the page of results and the stages of DVC follow from the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from condensery.errors import CondenseryError
from condensery.experiment.target_kinds import (
    Accuracies,
    ClassesInSteps,
    Curves,
    Embedding,
    Images,
    Layout,
    Panel,
    SearchFigure,
    SearchTable,
    Sequence,
    Target,
    Trajectories,
)

_ACCURACY = (
    "Accuracy on the test split in percent: mean and population standard deviation over the pooled "
    "networks of all sets."
)
_OURS = "The other numbers of this experiment in the DSA paper are not in config/published."
_CROSSED = Layout(lines=("dataset", "ipc", "method", "condense_network"), columns="evaluate_network")
RELATIVE_TABLE = "larger_sets"
"""The target that shows published accuracies in percent of the accuracy on the whole set."""


def _across(title: str) -> Accuracies:
    """Return a table of networks that differ in one module, each condensed on and each evaluated."""
    return Accuracies(
        title,
        notes=(
            _ACCURACY,
            "Lines: the network that a set was condensed on. Columns: the network that was trained on it.",
            "In brackets the published value of ConvNet on itself (DM Table 1); those of the DC paper's "
            "other networks are not in config/published.",
        ),
        layout=_CROSSED,
    )


_CONTINUAL = Panel("DM section 3.5: continual learning", lines="steps")

TARGETS: Mapping[str, Target] = {
    "table1": Accuracies(
        "Table 1: accuracy of networks trained on synthetic sets and coresets",
        Panel("DM and DSA Table 1, larger sets"),
        notes=(
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
    "table2": Accuracies(
        "Table 2: instance norm against batch norm",
        Panel("DM Table 2: norms", lines="norm"),
        notes=(
            _ACCURACY,
            "Each set is evaluated on the network that it was condensed on, which has batch norm if its name "
            "ends with -bn and instance norm otherwise.",
            "In brackets the published value (DM Table 2).",
        ),
        layout=Layout(lines=("dataset", "ipc", "condense_network")),
        published="table2_normalization",
        gaps=True,
    ),
    "table3": Accuracies(
        "Table 3: condensed on one network, evaluated on another, with batch norm",
        Panel("DM Table 3: other networks, batch norm", lines="condensed_on", columns="network"),
        notes=(
            _ACCURACY,
            "Lines: the method and the network that a set was condensed on. Columns: the network that was "
            "trained on it.",
            "In brackets the published value (DM Table 3).",
        ),
        layout=_CROSSED,
        published="table3_cross_architecture",
        gaps=True,
    ),
    "table4": Accuracies(
        "Table 4: DM with networks of different accuracy",
        Panel("DM Table 4: trained networks", columns="group"),
        notes=(
            _ACCURACY,
            "Columns: the group of condensing networks, which are new random ones (DM), trained ones grouped "
            "by validation accuracy, or all of these.",
            "In brackets the published value (DM Table 4, which prints no deviation).",
        ),
        layout=Layout(lines=("dataset", "ipc")),
        published="table4_network_distribution",
    ),
    "table5": SearchTable(
        "Table 5: architecture search with proxies",
        Panel("DM Table 5: architecture search", lines="quantity"),
    ),
    "table6": Accuracies(
        "Table 6: against generative models, and matching in pixel space",
        Panel("DM Table T6: generators"),
        notes=(
            _ACCURACY,
            "GMMN, VAE and BigGAN are images sampled from a generator that was trained on the whole set; MMD "
            "matches the distribution of pixels, with a linear kernel unless its name states another.",
            "In brackets the published value (DM Table 6); for GMMN, VAE, BigGAN and MMD the paper does not "
            "state the recipe, so the value is repeated for each. The VAE of the paper is DC-VAE; this one "
            "is a plain VAE.",
        ),
        published="table6_generative",
        gaps=True,
    ),
    RELATIVE_TABLE: Accuracies(
        "Larger sets: DM against random selection",
        Panel("In percent of the whole set"),
        notes=(
            _ACCURACY,
            "Then the mean relative to that of networks trained on the whole set in recipe whole, in "
            "percent.",
            "In brackets the published accuracy (DM section 3.2; whole sets: DM Table 1).",
        ),
        layout=Layout(relative=True),
    ),
    "imagenet": Accuracies(
        "ImageNet-1K: DM against random selection",
        notes=(
            _ACCURACY,
            "In brackets the published value (DM section 3.2), only in the recipes of Table 1.",
        ),
    ),
    "dsa_ablation": Accuracies(
        "DSA's families of augmentation, alone and combined",
        notes=(
            _ACCURACY,
            "Columns: the families that a set is condensed with and that its networks are trained with; DSA "
            "uses all families of the data set.",
            f"In brackets the published value of all families (DSA Table 1). {_OURS}",
        ),
        layout=Layout(lines=("dataset", "ipc")),
    ),
    "dsa_siamese": Accuracies(
        "DSA's Siamese augmentation against others in the matching",
        notes=(
            _ACCURACY,
            "Columns: what the matching augments; DSA augments real and synthetic images with the same draw, "
            "the names of the others state what they augment.",
            "Recipe dsa trains the evaluation networks with DSA augmentation, recipe plain without.",
            f"In brackets the published value of DSA (DSA Table 1). {_OURS}",
        ),
    ),
    "dsa_cross_architecture": Accuracies(
        "DSA: condensed on one network, evaluated on another",
        notes=(
            _ACCURACY,
            "Lines: the network that a set was condensed on. Columns: the network that was trained on it.",
            f"In brackets the published value of ConvNet on itself (DSA Table 1). {_OURS}",
        ),
        layout=_CROSSED,
    ),
    "table_methods": Accuracies(
        "Methods after DM beside those before",
        notes=(
            _ACCURACY,
            "In brackets the published value, in the recipe that is nearest to its own. It may be the best "
            "of several looks at the test images, or of a longer training: docs/targets/table_methods.md. "
            "DC, DSA and DM are those of Table 1.",
            "Random 2x2, IDC, M3D, DANCE, NCFM and IDM store four images in one and train on four times as "
            "many as the others.",
            "Recipe ridge is kernel ridge regression in place of a network.",
        ),
        layout=Layout(lines=("dataset", "ipc", "recipe", "evaluate_network")),
        published="methods",
        reproduced=False,
        baselines=("random", "random-2x2"),
    ),
    "table_b3": Accuracies(
        "Appendix B.3: KIP and GTN",
        notes=(
            _ACCURACY,
            "In brackets the published value; DM appendix B.3 itself prints none of KIP and GTN.",
            "GTN has 4,096 images of MNIST, 410 of a class or 409; recipe learned trains with each once.",
            "KIP has the kernel of a fully connected network, and recipe ridge is the regression with it. "
            "kip-conv is the convolutional kernel of the same authors, whose sets were evaluated on a "
            "network of width 1,024; it is only published here.",
        ),
        published="table_b3",
        gaps=True,
        reproduced=False,
    ),
    "dc_width": _across("DC: networks of other widths"),
    "dc_depth": _across("DC: networks of other depths"),
    "dc_activation": _across("DC: networks with other activations"),
    "dc_pooling": _across("DC: networks with other pooling"),
    "dc_norm": _across("DC: networks with other norms"),
    "dc_distance": Accuracies(
        "DC: distances between gradients",
        notes=(
            _ACCURACY,
            "Lines: the network that a set was condensed on, and the one that was trained on it. Columns: "
            "the distance; DC's own compares layer by layer, the others all gradients as one vector.",
            "In brackets the published value of DC on ConvNet (DM Table 1).",
        ),
        layout=Layout(lines=("dataset", "ipc", "condense_network", "evaluate_network")),
    ),
    "dsa_initialization": Accuracies(
        "DSA: from real images and from noise",
        notes=(
            _ACCURACY,
            "Columns: the first images of the set, random real ones (DSA) or noise.",
            f"In brackets the published value of DSA (DSA Table 1). {_OURS}",
        ),
        layout=Layout(lines=("dataset", "ipc")),
    ),
    "mmd_kernels": Accuracies(
        "Matching in pixel space with other kernels",
        notes=(
            _ACCURACY,
            "Columns: the kernel and its hyper-parameter; random real images for comparison.",
            "In brackets the published value of random images and of the linear kernel (DM Table 6); the "
            "paper prints none of the others.",
        ),
        published="table6_generative",
    ),
    "summary": Curves("Accuracy against images per class"),
    "figure_larger_sets": Curves(
        "Larger sets: accuracy, absolute and in percent of that on the whole set", relative=True
    ),
    "dsa_curve": Curves("DSA: accuracy against images per class"),
    "figure2": Images("Figure 2: synthetic images"),
    "figure_dsa": Images("DSA: synthetic images"),
    "figure_initialization": Images("DSA: synthetic images that began as real images and as noise"),
    "figure3": Embedding("Figure 3: synthetic images among real ones"),
    "figure4": Trajectories("Figure 4: accuracy"),
    "figure_distributions": Images("Figure F9: synthetic images by the accuracy of the condensing networks"),
    "figure_nas": SearchFigure("Figure F8: networks trained on a proxy and on the whole set"),
    "continual5": ClassesInSteps("Continual learning in 5 steps", _CONTINUAL, steps=5),
    "continual10": ClassesInSteps("Continual learning in 10 steps", _CONTINUAL, steps=10),
    "dsa_continual": Sequence("Continual learning of one data set after another"),
}

Kind = TypeVar("Kind", bound=Target)


def of_kind(kind: type[Kind]) -> dict[str, Kind]:
    """Return the targets of a kind by name."""
    return {name: target for name, target in TARGETS.items() if isinstance(target, kind)}


def find(kind: type[Kind], name: str) -> Kind:
    """Return a target of a kind.

    Raises:
        CondenseryError: there is no such target of this kind.
    """
    known = of_kind(kind)
    if name not in known:
        what = "table" if kind.tables else "figure"
        raise CondenseryError(f"{what} {name!r} is unknown; choose from {', '.join(known)}")
    return known[name]


def of_section(section: str) -> list[str]:
    """Return the targets that a protocol lists under a key."""
    return [name for name, target in TARGETS.items() if target.section == section]
