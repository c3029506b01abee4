"""Compute the precision study task by task; a later run resumes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from condensery import data, methods
from condensery.experiment import Config, load_config
from condensery.jobs import Job
from condensery.machine import device as devices
from condensery.machine.versions import versions
from condensery.progress import Progress
from condensery.rows import COORDINATES, SCHEMA, Kind, read_rows, write_rows
from condensery.run import Checkpoint, Run
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import evaluate, network_seeds
from condensery.training.samples import Samples
from harness.loops import CONFIG
from harness.study import Study, Task

KIND = Kind(
    SCHEMA.append(pa.field("condense_precision", pa.string(), nullable=False)),
    (*COORDINATES, "condense_precision", "precision"),
    "benchmarks/precision.py",
)
"""Columns of the study: those of an evaluation, and the precision of the condensation."""

RECIPE = "dsa"


class StudyRun:
    """A study in a folder: ``rows.parquet``, one row per trained network, and the sets in ``sets/``."""

    def __init__(self, study: Study, folder: Path, prepared: Path, device: str) -> None:
        """Read the results of earlier runs.

        Args:
            study: the study to compute.
            folder: folder of the results.
            prepared: folder with the prepared data sets.
            device: cpu, cuda or cuda:N.
        """
        self._study, self._folder, self._prepared = study, folder, prepared
        self._device = device
        self._config: Config = load_config(CONFIG, "paper")
        self._file, self._protocol = folder / "rows.parquet", f"precision-{study.name}"
        exists = self._file.exists()
        self.rows = read_rows([self._file], self._protocol, KIND) if exists else pd.DataFrame()

    def done(self, task: Task) -> bool:
        """Return whether the rows of a task exist."""
        if self.rows.empty:
            return False
        wanted = {
            "dataset": task.cell.dataset,
            "method": task.cell.method,
            "ipc": task.cell.ipc,
            "set_seed": task.set_seed,
            "condense_precision": task.condensed,
            "precision": task.evaluated,
        }
        return bool((self.rows[list(wanted)] == pd.Series(wanted)).all(axis=1).any())

    def compute(self, task: Task) -> None:
        """Condense the set if it does not exist, evaluate it and add its rows.

        Raises:
            Stopped: the process received a signal; the next run resumes.
        """
        cell = task.cell
        # The compiler keeps only a few variants of a function, and shapes and precisions give many.
        torch.compiler.reset()
        real = data.load(self._prepared / cell.dataset)
        network = self._config.network(cell.dataset)
        device = devices.choose(self._device, task.evaluated)
        job = Job(self._config, cell.dataset, real, network, device)
        path = self._path(task)
        synthetic = SyntheticSet.load(path) if path.exists() else self._condense(task, job, path)
        recipe = job.recipe(RECIPE, cell.ipc, synthetic)
        if self._study.epochs:
            recipe = replace(recipe, epochs=self._study.epochs)
        count = self._study.test_images
        test = real.test.subset(np.arange(count)) if count else real.test
        label = f"{_name(task)}, evaluated in {task.evaluated}"
        identity = _identity(task=label, recipe=recipe.stated(), networks=self._study.networks)
        checkpoint = Checkpoint(path.with_suffix(f".{task.evaluated}-evaluation"), identity)
        with Progress(label, self._study.networks * recipe.epochs_run, "epochs") as progress:
            outcomes = evaluate(
                network,
                Samples.of_set(synthetic, device),
                test,
                recipe,
                network_seeds(task.set_seed, self._study.networks),
                device,
                run=Run(checkpoint, progress),
            )
        about = {"method": cell.method, "ipc": cell.ipc, "network": network}
        common = job.training_columns(about, recipe) | {
            "protocol": self._protocol,
            "dataset": cell.dataset,
            "set_seed": task.set_seed,
            "images": len(synthetic),
            "precision": task.evaluated,
            "condense_precision": task.condensed,
        }
        self._add([common | outcome.columns() for outcome in outcomes])
        checkpoint.remove()

    def _condense(self, task: Task, job: Job, path: Path) -> SyntheticSet:
        cell = task.cell
        job = replace(job, device=devices.choose(self._device, task.condensed))
        problem = job.problem(cell.method, cell.ipc, task.set_seed, **cell.parameters)
        experiment = {"set": _name(task), "parameters": problem.parameters}
        checkpoint = Checkpoint(path.with_suffix(".condensation"), _identity(**experiment))
        with Progress(_name(task), problem.parameters["iterations"], "iterations") as progress:
            synthetic = methods.get(cell.method).condense(problem, run=Run(checkpoint, progress))
        synthetic.provenance = {
            "experiment": experiment,
            "versions": versions(),
            "precision": task.condensed,
        }
        synthetic.save(path)
        checkpoint.remove()
        return synthetic

    def _path(self, task: Task) -> Path:
        cell = task.cell
        name = f"{cell.dataset}-{cell.method}-ipc{cell.ipc}-{task.condensed}-seed{task.set_seed}.safetensors"
        return self._folder / "sets" / name

    def _add(self, rows: Sequence[dict[str, Any]]) -> None:
        write_rows([*self.rows.to_dict("records"), *rows], self._file, KIND)
        self.rows = read_rows([self._file], self._protocol, KIND)


def _name(task: Task) -> str:
    cell = task.cell
    return f"{cell.method} {cell.dataset} ipc {cell.ipc} seed {task.set_seed} in {task.condensed}"


def _identity(**experiment: Any) -> str:
    """Return the identity of a checkpoint, which includes the code."""
    text = json.dumps(experiment | versions(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
