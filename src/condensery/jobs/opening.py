"""An opened job: a configuration, a data set, a network and a device."""

from __future__ import annotations

import glob
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from condensery import data
from condensery.data import RealData
from condensery.data.views import held_out, training_only
from condensery.experiment import Config, load_config
from condensery.identity import check_data, digest, set_columns
from condensery.machine import device
from condensery.machine.busy import Meter
from condensery.machine.device import Device
from condensery.machine.versions import versions
from condensery.methods import Problem
from condensery.methods.base import Parameters
from condensery.run import Checkpoint
from condensery.synthetic import SyntheticSet
from condensery.training import recipes
from condensery.training.recipes import Recipe

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Configuration, real data, network name and device; it builds problems and recipes.

    ``name`` is the data set's entry in datasets.yaml. ``split`` has the settings by which training images
    were held out, or is None. ``meter`` measures the use of a GPU.
    """

    config: Config
    name: str
    data: RealData
    network: str
    device: Device
    split: dict[str, Any] | None = None
    meter: Meter | None = None

    @classmethod
    def open(
        cls,
        name: str,
        *,
        config: Path = Path("config"),
        protocol: str | None = None,
        prepared: Path | None = None,
        network: str | None = None,
        device_name: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        on: Device | None = None,
    ) -> Self:
        """Read and check the configuration and the data of an experiment; log the device on which it runs.

        Args:
            name: the data set, an entry of datasets.yaml.
            config: the folder of the configuration.
            protocol: default: config.yaml's.
            prepared: the folder of the prepared data; default: data/prepared/NAME.
            network: default: the data set's own.
            device_name: auto, cpu, cuda or cuda:N; default: config.yaml's.
            precision: default: config.yaml's or the protocol's.
            threads: PyTorch's CPU threads in the whole process; default: all cores.
            on: the device, if it has been chosen already; the four arguments before it are then not used.

        Raises:
            CondenseryError: the configuration, the data set or the device cannot be used.
        """
        if threads:
            torch.set_num_threads(threads)
        chosen = {"device": device_name, "precision": precision}
        settings = {key: value for key, value in chosen.items() if value is not None}
        read = load_config(config, protocol, settings)
        read.dataset(name)
        real = data.load(prepared or read.data_dir / "prepared" / name)
        opened = on or device.choose(
            read.settings["device"], read.precision, native_only=not read.settings["precision"]
        )
        if on is None:
            _log.info("device: %s, %s", opened.label, opened.precision)
        return cls(read, name, real, network or read.network(name), opened)

    def without_test_images(self) -> Self:
        """Return the job of the architecture search, in which validation images replace the test split.

        Raises:
            CondenseryError: the protocol has no search.
        """
        return self.held_out(self.config.required_search().split)

    def held_out(self, split: dict[str, Any]) -> Self:
        """Return the job with some training images held out: they replace the test split.

        Args:
            split: ``validation``, ``seed`` and ``training_images`` of `condensery.data.views.held_out`.

        Raises:
            CondenseryError: no images would be left to train on, or none to validate with.
        """
        data = held_out(self.data, split["validation"], split["seed"], split["training_images"])
        return replace(self, data=data, split=split)

    def problem(
        self,
        method: str,
        ipc: int,
        seed: int,
        *,
        real: RealData | None = None,
        classes: tuple[int, ...] | None = None,
        trained: Mapping[str, Sequence[Path]] | None = None,
        **changed: Any,
    ) -> Problem:
        """Return the problem of condensing one set, with the parameters that the configuration resolves.

        Args:
            method: an entry of methods.yaml.
            ipc: images per class.
            seed: the seed of the set.
            real: the data set; default: that of the job, without its test images.
            classes: the classes of a part of the set; default: all.
            trained: the files that were trained beforehand, see `Problem`.
            changed: parameters that replace those of the configuration.

        Raises:
            CondenseryError: a method or a class is unknown, or there are too few images.
        """
        real = training_only(self.data) if real is None else real
        parameters = self.config.parameters(self.name, method, self.network, ipc)
        return Problem(
            data=real,
            ipc=ipc,
            classes=tuple(range(len(real.info.classes))) if classes is None else classes,
            network=self.network,
            parameters=Parameters(parameters | changed, method),
            augmentation=self.config.augmentation(self.name),
            seed=seed,
            device=self.device,
            trained=trained or {},
        )

    def recipe(self, name: str, ipc: int = 0, synthetic: SyntheticSet | None = None) -> Recipe:
        """Return the recipe by which the network is trained on a set.

        Args:
            name: name of the recipe.
            ipc: images per class of the set; 0 is the whole data set.
            synthetic: the set, for recipes that use the learning rates learned with it.

        Raises:
            CondenseryError: the recipe is unknown, or needs learning rates that the set does not carry.
        """
        return recipes.resolve(self.config.recipe(name, self.name, ipc, self.network), synthetic)

    def columns(self) -> dict[str, Any]:
        """Return the columns of a result row for protocol, data, device, versions and memory.

        The memory is the peak of the job so far.
        """
        return {
            "protocol": self.config.protocol,
            "dataset": self.data.info.name,
            "device": self.device.label,
            "precision": self.device.precision,
            "data": digest(dict(self.data.content)),
            **versions(),
            **self.device.peak_memory(),
        }

    def log_use(self) -> None:
        """Log the peak memory of the job, and the use of its GPU."""
        taken = self.device.peak_memory()
        memory = {name: f"{amount:.0f} MB" for name, amount in taken.items()}
        text = f"{memory['memory_mb']} of the host"
        if "device_mb" in memory:
            text += f", {memory['device_mb']} of the device, which holds {memory['device_reserved_mb']}"
        _log.info("memory at its peak: %s", text)
        if self.meter and (share := self.meter.stop()) is not None:
            _log.info("the GPU was busy %.0f %% of the time", share)

    def load_set(self, path: Path) -> SyntheticSet:
        """Read a synthetic set of the data set.

        Raises:
            CondenseryError: the file is absent, or the set is of another data set or of other images.
        """
        synthetic = SyntheticSet.load(path)
        synthetic.check_against(self.data.info)
        check_data(str(path), synthetic.provenance, self.data.content)
        return synthetic

    def training_columns(
        self, about: Mapping[str, Any], recipe: Recipe, sets: Sequence[SyntheticSet] = ()
    ) -> dict[str, Any]:
        """Return the columns of a row of a network that was trained on sets by a recipe.

        Args:
            about: ``method``, ``ipc`` and ``network`` of the set, as in its provenance.
            recipe: the recipe of the training.
            sets: the sets that the network was trained on; empty for a whole data set.
        """
        return (
            self.columns()
            | set_columns(sets)
            | {
                "method": about["method"],
                "ipc": about["ipc"],
                "condense_network": about["network"],
                "evaluate_network": self.network,
                "recipe": recipe.name,
                "epochs": recipe.epochs,
            }
        )

    def provenance(self, **experiment: Any) -> dict[str, Any]:
        """Return the provenance of a result: experiment, data, versions and precision.

        It does not contain the machine, so that parts from different machines can be joined to one set.

        Args:
            experiment: the entries of the experiment: method, network, seed, parameters and so on.
        """
        restricted = {"split": self.split} if self.split else {}
        return {
            "experiment": {"protocol": self.config.protocol, "dataset": self.data.info.name}
            | restricted
            | experiment,
            "data": dict(self.data.content),
            "versions": versions(),
            "precision": self.device.precision,
        }

    def checkpoint(self, out: Path, provenance: dict[str, Any], part: str = "") -> Checkpoint:
        """Return the checkpoint of an output, a hidden file beside it.

        A checkpoint is not resumed if experiment, data or the code that computes have changed; a change of
        the commit without a change of that code does not matter.

        Args:
            out: the path of the output.
            provenance: the provenance of the output.
            part: name of a part of the work, if each part has its own checkpoint.
        """
        known = dict(provenance["versions"])
        commit = known.pop("commit")
        identity = provenance | {"versions": known, "files": self.data.files}
        name = _checkpoint_of(out) + (f".{part}" if part else "")
        return Checkpoint(out.with_name(name), identity, commit=commit)

    def remove_checkpoints(self, out: Path) -> None:
        """Delete the checkpoints of all parts of an output.

        A killed run on another device, which divides the work into other parts, may have left some of them.

        Args:
            out: the path of the output.
        """
        name = f"{glob.escape(_checkpoint_of(out))}.*"
        found = {each.name for each in out.parent.glob(name)}
        # A run that is killed in its first save leaves a temporary file alone.
        found |= {each.name.split("-", 2)[2] for each in out.parent.glob(f".partial-*-{name}")}
        for each in found:
            Checkpoint(out.with_name(each), None).remove()


def _checkpoint_of(out: Path) -> str:
    return f".{out.name}.checkpoint"
