"""The configuration in the folder config/, and the resolution of one experiment from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from condensery.architectures import has_batch_norm
from condensery.errors import CondenseryError
from condensery.experiment.catalog import TARGETS, of_section
from condensery.experiment.plans import ExpertPlan, PairsPlan, PoolPlan, Search
from condensery.experiment.schemas import base_of, unknown
from condensery.experiment.target_kinds import Target
from condensery.experiment.targets import Evaluation, SetId, WholeEvaluation, sets_of, whole_evaluations_of

_Plan = TypeVar("_Plan")


@dataclass(frozen=True)
class Config:
    """The checked configuration.

    Attributes:
        protocol: name of the protocol.
        settings: the content of config.yaml, with the values that override it.
        datasets: datasets.yaml, name -> entry.
        methods: methods.yaml, name -> entry as written; :meth:`method` completes that of a variant.
        recipes: recipes.yaml, name -> entry as written.
        spec: the content of the protocol's file.
    """

    protocol: str
    settings: dict[str, Any]
    datasets: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]
    recipes: dict[str, dict[str, Any]]
    spec: dict[str, Any]

    @property
    def data_dir(self) -> Path:
        """The folder that contains raw/ and prepared/."""
        return Path(self.settings["data_dir"])

    def dataset(self, name: str) -> dict[str, Any]:
        """Return a data set's entry.

        Raises:
            CondenseryError: the name is unknown.
        """
        return _entry("data set", name, self.datasets, "datasets.yaml")

    def method(self, name: str) -> dict[str, Any]:
        """Return a method's entry; a variant takes the keys that it lacks from its base.

        Raises:
            CondenseryError: the name is unknown.
        """
        return {**self.methods[self.implementation(name)], **self.methods[name]}

    def implementation(self, name: str) -> str:
        """Return the name of the method of which this one is a variant, or the name itself.

        Raises:
            CondenseryError: the method is unknown.
        """
        return base_of(name, _entry("method", name, self.methods, "methods.yaml"))

    def network(self, dataset: str) -> str:
        """Return the network that a data set is condensed and evaluated with by default.

        Raises:
            CondenseryError: the data set is unknown.
        """
        return self.dataset(dataset)["network"]

    @property
    def image_sizes(self) -> dict[str, int]:
        """Name of the data set -> number of values of an image, C x H x W."""
        return {name: entry["channels"] * math.prod(entry["size"]) for name, entry in self.datasets.items()}

    def class_count(self, dataset: str) -> int:
        """Return the number of classes of a data set.

        Raises:
            CondenseryError: the data set is unknown.
        """
        classes = self.dataset(dataset)["classes"]
        return classes if isinstance(classes, int) else len(classes)

    def augmentation(self, dataset: str) -> str:
        """Return the data set's strategy of differentiable Siamese augmentation.

        Raises:
            CondenseryError: the data set is unknown.
        """
        return self.dataset(dataset)["augmentation"]

    def parameters(self, dataset: str, method: str, network: str, ipc: int) -> dict[str, Any]:
        """Resolve a method's parameters for one set.

        Later values replace earlier ones: the published values, the ``overrides`` of methods.yaml in their
        order, the values of the protocol, the protocol's ``overrides``; then the same four for a variant.

        Args:
            dataset: name of the data set.
            method: name of the method.
            network: name of the condensing network.
            ipc: images per class.

        Raises:
            CondenseryError: the data set or the method is unknown.
        """
        self.dataset(dataset)
        self.method(method)
        return self._resolve("methods", method, {"dataset": dataset, "network": network, "ipc": ipc})

    def needs(self, method: str) -> list[str]:
        """Return the kinds of files, trained beforehand, that a method needs: names of `needs.NEEDS`.

        Raises:
            CondenseryError: the method is unknown.
        """
        return self.method(method).get("needs", [])

    def generator_parameters(self, dataset: str, method: str) -> dict[str, Any]:
        """Resolve the parameters of a method's generator, which do not depend on ipc and network.

        Raises:
            CondenseryError: the data set or the method is unknown.
        """
        return self.parameters(dataset, method, self.network(dataset), 0)

    @property
    def search(self) -> Search | None:
        """The protocol's architecture search, or None."""
        return Search.read(self.spec["search"]) if "search" in self.spec else None

    @property
    def pool(self) -> PoolPlan | None:
        """The protocol's plan of pools of trained networks, or None."""
        return PoolPlan(**self.spec["pool"]) if "pool" in self.spec else None

    @property
    def pairs(self) -> PairsPlan | None:
        """The protocol's plan of pairs of networks before and after training, or None."""
        return PairsPlan(**self.spec["pairs"]) if "pairs" in self.spec else None

    @property
    def experts(self) -> ExpertPlan | None:
        """The protocol's plan of experts, or None."""
        return ExpertPlan(**self.spec["experts"]) if "experts" in self.spec else None

    def expert_epochs(self, dataset: str, network: str) -> int:
        """Return the number of epochs of experts: the largest number that a set of the protocol needs.

        Raises:
            CondenseryError: no set of the data set and the network needs experts.
        """
        sets = {
            (each.method, each.ipc)
            for target in self.spec["targets"]
            for each in self.target_sets(target)
            if (each.dataset, each.network) == (dataset, network) and "experts" in self.needs(each.method)
        }
        found = [self.parameters(dataset, method, network, ipc) for method, ipc in sets]
        if not found:
            raise CondenseryError(
                f"protocol {self.protocol} lists no set of {dataset} and {network} that needs experts: give "
                "--epochs, or take another protocol"
            )
        return max(values["start_epochs"] - 1 + values["expert_epochs"] for values in found)

    def required_search(self) -> Search:
        """Return :attr:`search`.

        Raises:
            CondenseryError: the protocol has none.
        """
        return _required(self.search, self.protocol, "architecture search", "search")

    def required_pool(self) -> PoolPlan:
        """Return :attr:`pool`.

        Raises:
            CondenseryError: the protocol has none.
        """
        return _required(self.pool, self.protocol, "pool", "pool")

    def required_pairs(self) -> PairsPlan:
        """Return :attr:`pairs`.

        Raises:
            CondenseryError: the protocol has none.
        """
        return _required(self.pairs, self.protocol, "pairs of networks", "pairs")

    def required_experts(self) -> ExpertPlan:
        """Return :attr:`experts`.

        Raises:
            CondenseryError: the protocol has none.
        """
        return _required(self.experts, self.protocol, "experts", "experts")

    @property
    def precision(self) -> str:
        """The precision of the computation: from config.yaml, or else from the protocol, or else fp32.

        A precision from the protocol applies to devices with instructions for it; others compute in fp32.
        """
        return self.settings["precision"] or self.spec.get("precision", "fp32")

    def recipe(self, name: str, dataset: str, ipc: int = 0, network: str | None = None) -> dict[str, Any]:
        """Resolve a recipe for one network on the sets of one data set and size.

        Args:
            name: the recipe.
            dataset: the data set.
            ipc: images per class; 0 for a whole data set.
            network: the evaluation network; default: the data set's own.

        Returns:
            ``name`` and the parameters that :func:`condensery.training.recipes.resolve` takes,
            ``augmentation`` as a strategy.

        Raises:
            CondenseryError: the data set or the recipe is unknown.
        """
        _entry("recipe", name, self.recipes, "recipes.yaml")
        coordinates = {"dataset": dataset, "network": network or self.network(dataset), "ipc": ipc}
        values = self._resolve("recipes", name, coordinates)
        if values.get("augmentation") == "dsa":
            values["augmentation"] = self.augmentation(dataset)
        return {"name": name, **values}

    def independent(self, method: str, network: str) -> bool:
        """Say whether the result for a class is independent of the other classes.

        It depends on them if the method or the network mixes classes, as batch norm does.

        Raises:
            CondenseryError: the method or the network is unknown.
        """
        return self.method(method)["independent_classes"] and not has_batch_norm(network)

    def classes_per_job(self, dataset: str) -> int | None:
        """Return the number of classes per condensation job: from config.yaml, or else from the protocol.

        None if each job condenses a complete set.
        """
        return self.settings["classes_per_job"] or self.spec.get("classes_per_job", {}).get(dataset)

    def shards(self, dataset: str, method: str, network: str) -> list[str]:
        """Return the classes of each condensation job of a set, such as ``["0-4", "5-9"]``.

        There is a single job for all classes if the protocol does not split them, or if they are not
        :meth:`independent`.

        Args:
            dataset: name of the data set.
            method: name of the method.
            network: name of the condensing network.

        Raises:
            CondenseryError: the data set, the method or the network is unknown.
        """
        count = self.class_count(dataset)
        size = self.classes_per_job(dataset) or count
        if not self.independent(method, network):
            size = count
        ranges = [range(count)[first : first + size] for first in range(0, count, size)]
        return [f"{r[0]}-{r[-1]}" if len(r) > 1 else f"{r[0]}" for r in ranges]

    def networks(self) -> list[str]:
        """Return every network that config/ names, sorted."""
        blocks = [block for target in self.spec["targets"].values() for block in target]
        named = (n for b in blocks for key in ("networks", "evaluate") for n in b.get(key, []))
        return sorted({*self._networks.values(), *named})

    def targets(self) -> list[str]:
        """Return the names of all targets that the protocol lists."""
        searched = of_section("search") if "search" in self.spec else ()
        return [*self.spec["targets"], *self.spec.get("continual", {}), *searched]

    def listed(self, kind: type[Target]) -> list[str]:
        """Return the names of the targets of a kind that the protocol lists."""
        return [name for name in self.targets() if isinstance(TARGETS[name], kind)]

    def tables(self) -> list[str]:
        """Return the names of the targets that are tables."""
        return [name for name in self.targets() if TARGETS[name].tables]

    def figures(self) -> list[str]:
        """Return the names of the targets that are figures; some are tables too."""
        return [name for name in self.targets() if TARGETS[name].figures]

    def refuse_unlisted(self, names: Iterable[str]) -> None:
        """Check that the protocol lists all targets among some words; words that name no target are ignored.

        Raises:
            CondenseryError: a word names a target that the protocol does not list.
        """
        listed = self.targets()
        for name in names:
            if name in TARGETS and name not in listed:
                raise CondenseryError(
                    f"config/protocols/{self.protocol}.yaml: lists no target {name!r}; add it there, take "
                    f"another protocol, or one of {', '.join(listed)}"
                )

    def blocks(self, target: str) -> list[dict[str, Any]]:
        """Return the blocks of cells that the protocol lists under ``targets`` for a target.

        Raises:
            CondenseryError: the protocol does not list the target.
        """
        return _entry("target", target, self.spec["targets"], f"protocols/{self.protocol}.yaml")

    def target_sets(self, target: str) -> list[SetId]:
        """Return the coordinates of a target's synthetic sets, without repetition, in the protocol's order.

        Raises:
            CondenseryError: the protocol does not list the target.
        """
        sets = (s for block in self.blocks(target) for s in sets_of(block, self._networks, self.spec["sets"]))
        return list(dict.fromkeys(sets))

    def target_evaluations(self, target: str) -> list[Evaluation]:
        """Return the evaluations of a target's sets, with the recipes of the block, or else of the method.

        Raises:
            CondenseryError: the protocol does not list the target.
        """
        evaluations = (
            Evaluation(s, recipe, network)
            for block in self.blocks(target)
            for s in sets_of(block, self._networks, self.spec["sets"])
            for recipe in block.get("recipes", self.method(s.method)["recipes"])
            for network in block.get("evaluate", [s.network])
        )
        return list(dict.fromkeys(evaluations))

    def whole_evaluations(self, target: str) -> list[WholeEvaluation]:
        """Return a target's trainings on whole data sets, without repetition.

        Raises:
            CondenseryError: the protocol does not list the target.
        """
        count = self.spec["whole_networks"]
        whole_set = (
            w for block in self.blocks(target) for w in whole_evaluations_of(block, self._networks, count)
        )
        return list(dict.fromkeys(whole_set))

    @property
    def _networks(self) -> dict[str, str]:
        return {name: entry["network"] for name, entry in self.datasets.items()}

    def _resolve(self, kind: str, name: str, coordinates: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a method or recipe: of its base and its protocol, then of a variant."""
        entries: dict[str, dict[str, Any]] = getattr(self, kind)
        values: dict[str, Any] = {}
        for each in dict.fromkeys([base_of(name, entries[name]), name]):
            for entry in (entries[each], self.spec.get(kind, {}).get(each, {})):
                values |= entry.get("parameters", {})
                for override in _holding(entry, coordinates):
                    values |= override
        return values


def _required(plan: _Plan | None, protocol: str, what: str, key: str) -> _Plan:
    if plan is None:
        raise CondenseryError(
            f"protocol {protocol} has no {what}: choose another, or add the key `{key}` to its file in "
            "config/protocols"
        )
    return plan


def _entry(what: str, name: str, entries: Mapping[str, Any], file: str) -> Any:
    if name not in entries:
        raise CondenseryError(f"{unknown(what, name, entries)} (in config/{file})")
    return entries[name]


def _holding(entry: Mapping[str, Any], coordinates: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for override in entry.get("overrides", []):
        if all(coordinates.get(key) in values for key, values in override["when"].items()):
            yield override["set"]
