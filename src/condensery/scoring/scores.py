"""The score of a set: accuracies, what they gain over random images, what they lose against the whole set."""

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
"""They differ in the augmentation alone, which is what ARS compares."""
NETWORKS = 5
WHOLE_NETWORKS = 3
HARD = ", hard labels"
"""Is added to the name of a set with soft labels whose labels are made hard."""


@dataclass(frozen=True)
class Line:
    """What networks trained by one recipe show.

    Attributes:
        recipe: its name.
        augmentation: of the recipe, a strategy or ``none``.
        epochs: of the recipe.
        networks: trained on the set.
        random_networks: trained on random images.
        accuracy: of networks trained on the set, in percent of the test images, after the last epoch.
        random: of networks each trained on other random real images, as many per class.
        random_set: the same mean, and the interval within which one set of random images is to be expected.
        gain: improvement over random (IOR), in percentage points.
        hard: accuracy with hard labels; None if the set has hard labels.
        whole: accuracy of networks trained on the whole training set; None if not compared.
        whole_recipe: by which recipe; "" if not compared, or published.
        whole_source: where it is printed, if it is a published one and not measured; else "".
        recovery: hard-label recovery (HLR), in percentage points; None if not compared.
        lrs: label-robust score, 0 to 100; None if not compared.
        best_look: the mean of each network's best accuracy in several looks at the test images: selected on
            them, to compare with published numbers that are; None unless wanted.
        random_best_look: likewise, of random images.
        corrupted: mean accuracy over all kinds and severities of corruption; None unless wanted.
        random_corrupted: likewise, of random images.
        attacked: accuracy under attack by PGD; None unless wanted.
        random_attacked: likewise, of random images.
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
        name: of the method, or of the file.
        source: the file; empty for a set in memory.
        digest: of the set.
        dataset: name of the data set.
        dataset_title: its name for readers.
        network: name of the evaluation network.
        protocol: whose recipes were used.
        precision: of the arithmetic.
        device: where networks were trained.
        classes: of the data set.
        images_stored: images in the set.
        images_trained_on: images that networks are trained on: more, where a stored image holds several.
        pixel_bytes: of the stored images as 8-bit values.
        label_bytes: of soft labels as float32; hard labels take none, see `SyntheticSet.storage`.
        lines: one per recipe.
        ars: augmentation-robust score, 0 to 100; None unless two recipes differ in the augmentation alone.
        ars_recipes: these recipes, with and without augmentation; empty if there are none.
        rows: of all networks, those of random images and of the whole set included.
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
    """What sets are compared by.

    Attributes:
        recipes: names of recipes.
        networks: trained on a set, by each recipe.
        random_networks: on random images, by each recipe. None: those that are kept or released, up to
            ``networks``, if two or more are released; else ``networks``.
        whole_networks: trained on the whole set; 0 leaves it out, and with it HLR and LRS. None: as many as
            the store has rows of, up to `WHOLE_NETWORKS`; else none where an accuracy is published; else
            `WHOLE_NETWORKS`.
        store: where rows are kept.
        wanted: what else is measured of networks on the set and on random images.
        published: the folder of published accuracies; None for none.
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
    """Accuracies on the whole set, in percent: of networks, or one that is printed in ``source``."""

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
    """Score a set in memory; nothing is written unless there is a cache, or built-in data to be prepared.

    Args:
        images: (N, C, H, W), or (N, H, W, C).
        labels: (N,), classes; or (N, K), soft labels.
        data: name of the data set, an entry of datasets.yaml.
        space: of the images; default: what they must be, as for a file, see `condensery.exchange.read`.
        formation: parts along each side of an image, see `SyntheticSet`.
        name: of the method.
        recipes: names of recipes, entries of recipes.yaml.
        networks: see `Comparison`.
        random_networks: see `Comparison`.
        whole_networks: see `Comparison`.
        looks: see `condensery.scoring.examining.Wanted`.
        robustness: likewise.
        network: the evaluation network; default: the data set's own.
        config: the folder of the configuration.
        protocol: whose recipes are used; default: config.yaml's.
        prepared: the folder of the prepared data; default: data/prepared/NAME.
        cache: a folder where rows are kept; default: none are.
        released: a folder of rows that are released; default: none are used.

    Raises:
        CondenseryError: the set is not one of the data set, or the space has to be given.
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
        name: of its method.
        comparison: what it is compared by.

    Raises:
        CondenseryError: a recipe is unknown or not one for random images, or there are too few of them.
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
    """Return how many networks are trained on random images, as `Comparison` says."""
    if comparison.random_networks is not None:
        return comparison.random_networks
    released = cell.kept(Store(released=comparison.store.released))
    # Released rows are of the last epoch on clean images alone. One network has no interval.
    if comparison.wanted != Wanted() or released < 2:
        return comparison.networks
    return min(cell.kept(comparison.store), comparison.networks)


def _accuracies(networks: Sequence[Network]) -> list[float]:
    return [each.accuracy for each in networks]


def _once(rows: Iterable[Row], coordinates: Sequence[str]) -> list[Row]:
    """Return each row once: two recipes may be compared with the same networks."""
    return list({tuple(row[name] for name in coordinates): row for row in rows}.values())


def _whole(job: Job, recipe: str, comparison: Comparison) -> _Whole | None:
    """Return the accuracy on the whole set as `Comparison` says; None if it is left out."""
    cell, count = cells.of_whole(job, recipe), comparison.whole_networks
    if count == 0:
        return None
    if count is None:
        kept = min(cell.kept(comparison.store), WHOLE_NETWORKS)
        if not kept and comparison.published and job.config.protocol == PAPER:
            # Without the printed deviation, which is over networks whose number is not stated.
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
    """Return the mean over networks of what sums up their tests of a kind, if there are such."""
    scores = [[score for name, score in each.tests.items() if name.split()[0] == test] for each in networks]
    return formulas.accuracy([summary(each) for each in scores]) if all(scores) else None


def _whole_recipe(recipe: Mapping[str, Any]) -> str:
    """Return the recipe of the whole set, which augments if that of the set does."""
    return "whole_plain" if recipe["augmentation"] == "none" else "whole"


def _pair(job: Job, recipes: Sequence[str], ipc: int) -> tuple[str, ...]:
    """Return the first two recipes that differ in the augmentation alone, the second without; or none."""
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
    # Of equal seeds in equal places, if there are fewer by one of the recipes.
    random = list(zip(with_["random"], without["random"], strict=False))
    return formulas.augmentation_robust(
        with_["set"], [one for one, _ in random], without["set"], [other for _, other in random]
    )
