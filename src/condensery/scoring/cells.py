"""The networks that a score compares: trained on a set, on random real images or on the whole set."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from condensery.errors import CondenseryError
from condensery.experiment.targets import WHOLE
from condensery.identity import digest
from condensery.jobs import Job
from condensery.machine.versions import code
from condensery.methods import real_images
from condensery.progress import Progress
from condensery.rows import EXAMINATION, protocol_of, read_rows, write_rows
from condensery.run import Run
from condensery.scoring.examining import Examination, Wanted
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import SEEDS_PER_SET, Evaluation, evaluate_each, network_seeds
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples

_log = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
        row: its result row.
        tests: name of another test, see `condensery.scoring.examining` -> accuracy in percent.
    """

    row: Row
    tests: Mapping[str, float]

    @property
    def accuracy(self) -> float:
        """Accuracy after the last epoch, in percent of the test images."""
        return self.row["accuracy"]

    @property
    def examinations(self) -> list[Row]:
        """One row per other test."""
        return [self.row | {"test": name, "accuracy": score} for name, score in sorted(self.tests.items())]


@dataclass(frozen=True)
class Store:
    """Folders of stored rows, which are not measured again.

    Attributes:
        cache: read and written; None stores nothing. Rows of other code are measured again.
        released: only read, and rows of any code are accepted, because CHANGELOG.md announces changed
            numbers.
    """

    cache: Path | None = None
    released: Path | None = None


@dataclass(frozen=True)
class Cell:
    """Networks of one kind, trained by one recipe on one set, on random real images or on the whole set.

    Attributes:
        job: data set, network and device.
        recipe: name of the recipe.
        about: ``method``, ``ipc``, ``network`` and ``seed`` of the images, as in rows.
        synthetic: the set; None for random images and the whole set.
        counts: stored random images per class.
        formation: formation of the random images, see `SyntheticSet`.
        learning_rate: learning rate for random images if the recipe uses that of the compared set; else None.
    """

    job: Job
    recipe: str
    about: Mapping[str, Any]
    synthetic: SyntheticSet | None = None
    counts: tuple[int, ...] = ()
    formation: int = 1
    learning_rate: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """All settings on which the accuracies depend, except seeds, code and versions; JSON-able."""
        config, ipc = self.job.config, self.about["ipc"]
        if self.synthetic:
            images: dict[str, Any] = {"set": self.synthetic.digest()}
        else:
            images = {"random": list(self.counts), "formation": self.formation, "lr": self.learning_rate}
        return {
            "data": dict(self.job.data.content),
            "network": self.job.network,
            "recipe": config.recipe(self.recipe, self.job.name, ipc, self.job.network),
            "precision": self.job.device.precision,
            "ipc": ipc,
            **images,
        }

    @property
    def file(self) -> str:
        """The name of the file of its rows."""
        ipc, kind = self.about["ipc"], "set" if self.synthetic else self.about["method"]
        parts = [self.job.name, self.job.network, kind, *([f"ipc{ipc}"] if ipc else []), self.recipe]
        return "-".join([*parts, digest(self.settings)]) + ".parquet"

    def networks(self, count: int, store: Store, wanted: Wanted) -> list[Network]:
        """Return ``count`` networks, in the order of their seeds.

        Networks with stored rows of every requested test are not trained again; the others are trained, and
        their rows are stored.

        Args:
            count: number of networks.
            store: the folders of stored rows.
            wanted: the requested tests besides the accuracy after the last epoch.

        Raises:
            CondenseryError: a class has too few real images, or a file of the store is damaged.
        """
        seeds = self._seeds(count)
        recipe = self.job.recipe(self.recipe, self.about["ipc"], self.synthetic)
        if self.learning_rate is not None:
            recipe = replace(recipe, lr=self.learning_rate)
        tests = wanted.tests(recipe.epochs_run)
        kept = {seed: each for seed, each in self._kept(store).items() if tests <= each.tests.keys()}
        missing = {seed: set_seed for seed, set_seed in seeds.items() if seed not in kept}
        if missing:
            kept |= self._trained(missing, recipe, wanted, store.cache)
        else:
            _log.info("%s, recipe %s: kept as %s", self.about["method"], self.recipe, self.file)
        # Stored rows may have another name of the set, more tests, and another protocol with the same recipe.
        named = {"method": self.about["method"], "condense_network": self.about["network"]}
        named |= {"protocol": self.job.config.protocol}
        return [
            Network(kept[seed].row | named, {name: kept[seed].tests[name] for name in tests})
            for seed in seeds
        ]

    def kept(self, store: Store) -> int:
        """Return the number of networks, counted from the first seed on, of which the store has rows."""
        kept, seeds = self._kept(store), self._seeds(SEEDS_PER_SET)
        return sum(1 for _ in itertools.takewhile(kept.__contains__, seeds))

    def _seeds(self, networks: int) -> dict[int, int]:
        """Return the seed of each network, and the seed of its images: each network has other random images.

        Networks have the seeds of set seed 0, so that a set without a seed in its file is scored like others.
        """
        if self.counts:
            return {network_seeds(each, 1)[0]: each for each in range(networks)}
        return dict.fromkeys(network_seeds(0, networks), self.about["seed"])

    def _kept(self, store: Store) -> dict[int, Network]:
        kept: dict[int, Network] = {}
        for folder in (store.cache, store.released):
            path = folder / self.file if folder else None
            if path is None or not path.is_file():
                continue
            found = read_rows([path], protocol_of(path)).to_dict("records")
            if folder == store.cache and {row["code"] for row in found} != {code()}:
                _log.info("%s: of other code, measured again", path)
                continue
            tests: dict[int, dict[str, float]] = {}
            if (others := _examinations(path)).is_file():
                trained_by = {row["network_seed"]: row["code"] for row in found}
                for row in read_rows([others], protocol_of(others), EXAMINATION).to_dict("records"):
                    # A run without other tests leaves those of earlier code in their file.
                    if row["code"] == trained_by.get(row["network_seed"]):
                        tests.setdefault(row["network_seed"], {})[row["test"]] = row["accuracy"]
            kept = {
                row["network_seed"]: Network(row, tests.get(row["network_seed"], {})) for row in found
            } | kept
        return kept

    def _trained(
        self, seeds: Mapping[int, int], recipe: Recipe, wanted: Wanted, cache: Path | None
    ) -> dict[int, Network]:
        """Train networks, and add their rows to those in the cache."""
        job, groups = self.job, self._groups(seeds)
        evaluations = [Evaluation(job.network, samples, job.data.test, of) for samples, _, of in groups]
        path = cache / self.file if cache else None
        identity = job.provenance(cell=self.settings, seeds=dict(seeds), wanted=vars(wanted))
        checkpoint = job.checkpoint(path, identity) if path else None
        label = f"{self.about['method']} {job.name} ipc {self.about['ipc']}, recipe {self.recipe}"
        examination = Examination(wanted, recipe.epochs_run, job.data.test)
        with Progress(label, len(seeds) * recipe.epochs_run, "epochs") as progress:
            run = Run(checkpoint, progress).carrying({"examination": examination})
            outcomes = evaluate_each(evaluations, recipe, job.device, run=run, examiner=examination)
        new: dict[int, Network] = {}
        for (samples, sets, of), found in zip(groups, outcomes, strict=True):
            common = job.training_columns(self.about, recipe, sets)
            common |= {"set_seed": seeds[of[0]], "images": len(samples)}
            if sets and (sets[0].formation > 1 or sets[0].labels.ndim == 2):
                common |= sets[0].storage()
            for each in found:
                tests = examination.found.get(each.network_seed, {})
                new[each.network_seed] = Network(common | each.columns(), tests)
        if path and checkpoint:
            named = {"protocol": job.config.protocol}
            every = [
                replace(each, row=each.row | named) for each in (self._kept(Store(cache)) | new).values()
            ]
            write_rows([each.row for each in every], path)
            if examinations := [row for each in every for row in each.examinations]:
                write_rows(examinations, _examinations(path), EXAMINATION)
            checkpoint.remove()
        return new

    def _groups(self, seeds: Mapping[int, int]) -> list[tuple[Samples, list[SyntheticSet], list[int]]]:
        """Return groups of networks: their training images, the sets in these, and the seeds."""
        if self.counts:
            draw = partial(random_set, self.job, self.counts, self.formation)
            sets = {seed: draw(set_seed) for seed, set_seed in seeds.items()}
            return [(Samples.of_set(each, self.job.device), [each], [seed]) for seed, each in sets.items()]
        if self.synthetic:
            return [(Samples.of_set(self.synthetic, self.job.device), [self.synthetic], list(seeds))]
        return [(Samples.of_split(self.job.data.train, self.job.device), [], list(seeds))]


def _examinations(path: Path) -> Path:
    """Return the path of the file with other tests of the networks in a file of rows."""
    return path.with_suffix(".tests.parquet")


def of_set(job: Job, recipe: str, synthetic: SyntheticSet, name: str, ipc: int) -> Cell:
    """Return the cell of networks that are trained on a set.

    Args:
        job: data set, network and device.
        recipe: name of the recipe.
        synthetic: the set.
        name: name of its method.
        ipc: stored images per class.
    """
    experiment = synthetic.provenance.get("experiment", {})
    about = {
        "method": name,
        "ipc": ipc,
        "network": experiment.get("network", ""),
        "seed": experiment.get("seed", 0),
    }
    return Cell(job, recipe, about, synthetic)


def of_random(job: Job, recipe: str, synthetic: SyntheticSet, ipc: int) -> Cell:
    """Return the cell of networks that are each trained on other random real images, see `random_set`.

    Number of images per class, formation and, if the recipe uses it, learning rate are those of the set.

    Args:
        job: data set, network and device.
        recipe: name of the recipe.
        synthetic: the set with which random images are compared.
        ipc: stored images per class.
    """
    about = {"method": random_method(synthetic), "ipc": ipc, "network": "", "seed": 0}
    counts = torch.bincount(synthetic.class_indices, minlength=len(synthetic.classes)).tolist()
    resolved = job.recipe(recipe, ipc, synthetic)
    rate = resolved.lr if resolved.learned_lr and synthetic.learning_rate is not None else None
    return Cell(job, recipe, about, None, tuple(counts), synthetic.formation, rate)


def of_whole(job: Job, recipe: str) -> Cell:
    """Return the cell of networks that are trained on the whole training set."""
    return Cell(job, recipe, {"method": WHOLE, "ipc": 0, "network": "", "seed": 0})


def random_method(synthetic: SyntheticSet) -> str:
    """Return the name of the method that selects random images in the formation of a set."""
    parts = synthetic.formation
    return "random" if parts == 1 else f"random-{parts}x{parts}"


def random_set(job: Job, counts: Sequence[int], formation: int, seed: int) -> SyntheticSet:
    """Return a set of random real images with given numbers of images per class.

    With equal counts it is the set of method ``random`` with this seed.

    Args:
        job: the job, with the data set.
        counts: stored images per class.
        formation: each stored image holds ``formation**2`` real images, each shrunk by the mean over
            ``formation**2`` pixels.
        seed: the seed of the draw.

    Raises:
        CondenseryError: a class has too few training images, or the formation does not divide the images.
    """
    train, info, parts = job.data.train, job.data.info, formation**2
    for c, count in enumerate(counts):
        size = len(train.indices_of(c))
        if parts * count > size:
            raise CondenseryError(
                f"{info.name}: class {info.classes[c]} has {size} training images, and {parts * count} are "
                "needed to compare the set with random ones: give a smaller set"
            )
    chosen = [real_images.first_drawn(train, c, parts * count, seed) for c, count in enumerate(counts)]
    images = real_images.stored(train, chosen, formation, torch.device("cpu"))
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return SyntheticSet.of(info, images, labels, formation=formation)
