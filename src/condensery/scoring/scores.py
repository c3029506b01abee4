"""The score of a set: accuracies, the gain over random images, and the loss relative to the whole set."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from condensery.errors import CondenseryError
from condensery.exchange import Space
from condensery.experiment.comparable import PAPER
from condensery.jobs import Job
from condensery.reporting import published
from condensery.rows import COORDINATES
from condensery.scoring import cells, formulas
from condensery.scoring.cells import Cell, Network, Row, Store
from condensery.scoring.examining import ATTACKED, CORRUPTED, LOOK, Wanted
from condensery.scoring.formulas import Estimate
from condensery.scoring.opening import in_space, open_job
from condensery.synthetic import SyntheticSet

RECIPES = ("dsa", "plain")
"""The default recipes, which differ only in the augmentation, as ARS requires."""
NETWORKS = 5
WHOLE_NETWORKS = 3
HARD = ", hard labels"
"""Appended to the name of a set whose soft labels are replaced by hard ones."""


@dataclass(frozen=True)
class Line:
    """The results of one recipe.

    Attributes:
        recipe: name of the recipe.
        augmentation: the strategy of the recipe, or ``none``.
        epochs: epochs of the recipe.
        networks: number of networks trained on the set.
        random_networks: number of networks trained on random images.
        accuracy: accuracy of networks trained on the set, in percent of the test images, after the last
            epoch.
        random: accuracy of networks each trained on other random real images, as many per class.
        random_set: the same mean, with an interval for the mean accuracy of one random set.
        gain: improvement over random (IOR), in percentage points.
        hard: accuracy with hard labels; None if the set has hard labels.
        whole: accuracy of networks trained on the whole training set; None if it is not compared.
        whole_recipe: the recipe of these networks; "" if they are not compared, or published.
        whole_source: the source of ``whole`` if it is published and not measured; else "".
        recovery: hard-label recovery (HLR), in percentage points; None if it is not compared.
        lrs: label-robust score, 0 to 100; None if it is not compared.
        best_look: mean over the networks of the best of several accuracies during training, which is selected
            on test images, for comparison with published numbers that are, too; None unless requested.
        random_best_look: the same for random images.
        corrupted: mean accuracy over all kinds and severities of corruption; None unless requested.
        random_corrupted: the same for random images.
        attacked: accuracy under attack by PGD; None unless requested.
        random_attacked: the same for random images.
    """

    recipe: str
    augmentation: str
    epochs: int
    networks: int
    random_networks: int
    accuracy: Estimate
    random: Estimate
    random_set: Estimate
    gain: Estimate
    hard: Estimate | None = None
    whole: Estimate | None = None
    whole_recipe: str = ""
    whole_source: str = ""
    recovery: Estimate | None = None
    lrs: Estimate | None = None
    best_look: Estimate | None = None
    random_best_look: Estimate | None = None
    corrupted: Estimate | None = None
    random_corrupted: Estimate | None = None
    attacked: Estimate | None = None
    random_attacked: Estimate | None = None


@dataclass(frozen=True)
class Score:
    """The score of a set.

    Attributes:
        name: name of the method, or of the file.
        source: the file; "" for a set in memory.
        digest: digest of the set.
        dataset: name of the data set.
        dataset_title: title of the data set.
        network: name of the evaluation network.
        protocol: name of the protocol with the recipes.
        precision: precision of the computation.
        device: device of the training.
        classes: number of classes of the data set.
        images_stored: number of images in the set.
        images_trained_on: number of decoded images, on which networks are trained.
        pixel_bytes: bytes of the stored images as 8-bit values.
        label_bytes: bytes of soft labels as float32; 0 for hard labels, see `SyntheticSet.storage`.
        lines: one per recipe.
        ars: augmentation-robust score, 0 to 100; None unless two recipes differ only in the augmentation.
        ars_recipes: these recipes, with and without augmentation; empty if there are none.
        rows: rows of all networks, including those of random images and of the whole set.
        examinations: rows of their other tests.
    """

    name: str
    source: str
    digest: str
    dataset: str
    dataset_title: str
    network: str
    protocol: str
    precision: str
    device: str
    classes: int
    images_stored: int
    images_trained_on: int
    pixel_bytes: int
    label_bytes: int
    lines: tuple[Line, ...]
    ars: Estimate | None
    ars_recipes: tuple[str, ...]
    rows: tuple[Row, ...]
    examinations: tuple[Row, ...]


@dataclass(frozen=True)
class Comparison:
    """The settings of a comparison of sets.

    Attributes:
        recipes: names of recipes.
        networks: number of networks per set and recipe.
        random_networks: number of networks on random images per recipe. None: those with stored rows, up to
            ``networks``, if two or more are released; otherwise ``networks``.
        whole_networks: number of networks on the whole set; 0 leaves out the whole set, HLR and LRS. None:
            those with stored rows, up to `WHOLE_NETWORKS`; if there are none, 0 if an accuracy is published,
            and otherwise `WHOLE_NETWORKS`.
        store: the folders of stored rows.
        wanted: other tests of the networks on the set and on random images.
        published: the folder of published accuracies, or None.
    """

    recipes: Sequence[str] = RECIPES
    networks: int = NETWORKS
    random_networks: int | None = None
    whole_networks: int | None = None
    store: Store = field(default_factory=Store)
    wanted: Wanted = field(default_factory=Wanted)
    published: Path | None = None


@dataclass(frozen=True)
class _Whole:
    """Accuracies on the whole set, in percent: those of networks, or one that is published in ``source``."""

    accuracies: list[float]
    recipe: str = ""
    source: str = ""
    networks: tuple[Network, ...] = ()


def score(
    images: Tensor,
    labels: Tensor,
    *,
    data: str,
    space: Space | None = None,
    formation: int = 1,
    name: str = "set",
    recipes: Sequence[str] = RECIPES,
    networks: int = NETWORKS,
    random_networks: int | None = None,
    whole_networks: int | None = None,
    looks: int = 0,
    robustness: bool = False,
    network: str | None = None,
    config: Path | str = "config",
    protocol: str | None = None,
    prepared: Path | None = None,
    cache: Path | None = None,
    released: Path | None = None,
) -> Score:
    """Score a set in memory. Only the cache and a built-in data set that is not prepared yet are written.

    Args:
        images: (N, C, H, W), or (N, H, W, C).
        labels: classes, (N,); or soft labels, (N, K).
        data: name of the data set, an entry of datasets.yaml.
        space: the space of the pixels, see `condensery.exchange.read`; default: the only one that the values
            allow.
        formation: parts along each side of a stored image, see `SyntheticSet`.
        name: name of the method.
        recipes: names of recipes, entries of recipes.yaml.
        networks: see `Comparison`.
        random_networks: see `Comparison`.
        whole_networks: see `Comparison`.
        looks: see `condensery.scoring.examining.Wanted`.
        robustness: see `condensery.scoring.examining.Wanted`.
        network: the evaluation network; default: the data set's own.
        config: the folder of the configuration.
        protocol: the protocol with the recipes; default: config.yaml's.
        prepared: the folder of the prepared data; default: data/prepared/NAME.
        cache: a folder for rows; default: rows are not stored.
        released: a folder of released rows; default: none are used.

    Raises:
        CondenseryError: the set does not belong to the data set, or several spaces are possible.
    """
    job = open_job(data, config=Path(config), protocol=protocol, prepared=prepared, network=network)
    synthetic = in_space(images, labels, job.data.info, space, formation)
    store, wanted = Store(cache, released), Wanted(looks, robustness)
    published = Path(config) / "published"
    comparison = Comparison(recipes, networks, random_networks, whole_networks, store, wanted, published)
    return score_set(job, synthetic, name, comparison)


def score_set(job: Job, synthetic: SyntheticSet, name: str, comparison: Comparison) -> Score:
    """Score a set of the job's data set.

    Args:
        job: data set, network and device.
        synthetic: the set.
        name: name of its method.
        comparison: the settings of the comparison.

    Raises:
        CondenseryError: a recipe is unknown or cannot train on random images, or a class has too few images.
    """
    if not comparison.recipes:
        raise CondenseryError("no recipe to score with: give one or more")
    ipc, store = max(1, len(synthetic) // len(synthetic.classes)), comparison.store
    hard = None
    if synthetic.labels.ndim == 2:
        hard = replace(synthetic, labels=synthetic.class_indices)
        hard.source = synthetic.source
    found: dict[str, dict[str, list[Network]]] = {}
    lines, compared = [], list[Network]()
    for recipe in dict.fromkeys(comparison.recipes):
        values = job.config.recipe(recipe, job.name, ipc, job.network)
        if not values.keys() > {"name"}:
            raise CondenseryError(f"recipe {recipe} does not train any images alike: choose another")
        trained = {
            "set": cells.of_set(job, recipe, synthetic, name, ipc),
            "random": cells.of_random(job, recipe, synthetic, ipc),
        }
        if hard is not None:
            trained["hard"] = cells.of_set(job, recipe, hard, name + HARD, ipc)
        counts = {"random": _random_count(trained["random"], comparison)}
        found[recipe] = {
            part: cell.networks(
                counts.get(part, comparison.networks),
                store,
                Wanted() if part == "hard" else comparison.wanted,
            )
            for part, cell in trained.items()
        }
        whole = _whole(job, _whole_recipe(values), comparison)
        compared += whole.networks if whole else ()
        lines.append(_line(values, found[recipe], whole))
    every = [each for parts in found.values() for networks in parts.values() for each in networks] + compared
    ars_recipes = _pair(job, comparison.recipes, ipc)
    return Score(
        name=name,
        source=Path(synthetic.source).name if Path(synthetic.source).exists() else "",
        digest=synthetic.digest(),
        dataset=job.data.info.name,
        dataset_title=job.config.dataset(job.name).get("title", job.name),
        network=job.network,
        protocol=job.config.protocol,
        precision=job.device.precision,
        device=job.device.label,
        classes=len(synthetic.classes),
        images_trained_on=len(synthetic) * synthetic.formation**2,
        **synthetic.storage(),
        lines=tuple(lines),
        ars=_ars(found, ars_recipes) if ars_recipes else None,
        ars_recipes=ars_recipes,
        rows=tuple(_once((each.row for each in every), COORDINATES)),
        examinations=tuple(row for each in every for row in each.examinations),
    )


def _random_count(cell: Cell, comparison: Comparison) -> int:
    """Return the number of networks on random images, see `Comparison`."""
    if comparison.random_networks is not None:
        return comparison.random_networks
    released = cell.kept(Store(released=comparison.store.released))
    # Released rows have no other tests, and one network has no interval.
    if comparison.wanted != Wanted() or released < 2:
        return comparison.networks
    return min(cell.kept(comparison.store), comparison.networks)


def _accuracies(networks: Sequence[Network]) -> list[float]:
    return [each.accuracy for each in networks]


def _once(rows: Iterable[Row], coordinates: Sequence[str]) -> list[Row]:
    """Return the rows without repetition: two recipes may be compared with the same networks."""
    return list({tuple(row[name] for name in coordinates): row for row in rows}.values())


def _whole(job: Job, recipe: str, comparison: Comparison) -> _Whole | None:
    """Return the accuracy on the whole set, see `Comparison`; None if it is left out."""
    cell, count = cells.of_whole(job, recipe), comparison.whole_networks
    if count == 0:
        return None
    if count is None:
        kept = min(cell.kept(comparison.store), WHOLE_NETWORKS)
        if not kept and comparison.published and job.config.protocol == PAPER:
            # The published deviation is not used, because the number of networks is not stated.
            for mean, source in published.whole(job.name, job.network, comparison.published):
                return _Whole([mean], source=source)
        count = kept or WHOLE_NETWORKS
    networks = cell.networks(count, comparison.store, Wanted())
    return _Whole(_accuracies(networks), recipe, networks=tuple(networks))


def _line(recipe: Mapping[str, Any], found: Mapping[str, Sequence[Network]], whole: _Whole | None) -> Line:
    of = {part: _accuracies(networks) for part, networks in found.items()}
    hard = of.get("hard", of["set"])
    line = Line(
        recipe=recipe["name"],
        augmentation=recipe["augmentation"],
        epochs=recipe["epochs"],
        networks=len(of["set"]),
        random_networks=len(of["random"]),
        accuracy=formulas.accuracy(of["set"]),
        random=formulas.accuracy(of["random"]),
        random_set=formulas.random_set(of["random"]),
        gain=formulas.gain(of["set"], of["random"]),
        hard=formulas.accuracy(of["hard"]) if "hard" in of else None,
        best_look=_examined(found["set"], LOOK, max),
        random_best_look=_examined(found["random"], LOOK, max),
        corrupted=_examined(found["set"], CORRUPTED, fmean),
        random_corrupted=_examined(found["random"], CORRUPTED, fmean),
        attacked=_examined(found["set"], ATTACKED, fmean),
        random_attacked=_examined(found["random"], ATTACKED, fmean),
    )
    if whole is None:
        return line
    of_whole = formulas.exact(*whole.accuracies) if whole.source else whole.accuracies
    return replace(
        line,
        whole=formulas.accuracy(whole.accuracies),
        whole_recipe=whole.recipe,
        whole_source=whole.source,
        recovery=formulas.recovery(of_whole, hard),
        lrs=formulas.label_robust(of["set"], hard, of["random"], of_whole),
    )


def _examined(
    networks: Sequence[Network], test: str, summary: Callable[[list[float]], float]
) -> Estimate | None:
    """Return the mean over networks of a summary of their tests of one kind; None without such tests."""
    scores = [[score for name, score in each.tests.items() if name.split()[0] == test] for each in networks]
    return formulas.accuracy([summary(each) for each in scores]) if all(scores) else None


def _whole_recipe(recipe: Mapping[str, Any]) -> str:
    """Return the recipe for the whole set, with augmentation if the given recipe has augmentation."""
    return "whole_plain" if recipe["augmentation"] == "none" else "whole"


def _pair(job: Job, recipes: Sequence[str], ipc: int) -> tuple[str, ...]:
    """Return the first two recipes that differ only in the augmentation, the second without; or none."""
    values = {name: job.config.recipe(name, job.name, ipc, job.network) for name in recipes}
    rest = {
        name: {key: value for key, value in each.items() if key not in ("name", "augmentation")}
        for name, each in values.items()
    }
    for one, other in itertools.permutations(values, 2):
        bare = values[other]["augmentation"] == "none" != values[one]["augmentation"]
        if bare and rest[one] == rest[other]:
            return one, other
    return ()


def _ars(found: Mapping[str, Mapping[str, Sequence[Network]]], pair: tuple[str, ...]) -> Estimate:
    with_, without = ({part: _accuracies(each) for part, each in found[recipe].items()} for recipe in pair)
    # Equal seeds at equal indices, even if one of the recipes has fewer networks.
    random = list(zip(with_["random"], without["random"], strict=False))
    return formulas.augmentation_robust(
        with_["set"], [one for one, _ in random], without["set"], [other for _, other in random]
    )
