"""The base of the methods that sample from a generator, which is read from a file or trained."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from condensery import generators
from condensery.errors import CondenseryError
from condensery.files import read_tensors
from condensery.generators import Setting
from condensery.methods.base import Problem
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet


class Sampling:
    """Samples of a generator, ``ipc`` per class; the name of the method is the kind of generator.

    The generator does not depend on the number of images, so that one, trained beforehand, serves all sizes.
    """

    name: str

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`.

        Raises:
            CondenseryError: the generator belongs to another problem, or snapshots are requested.
        """
        run.refuse_snapshots(f"{self.name} does not learn its images")
        if not problem.trained.get("generator"):
            setting = Setting(problem.data, problem.classes, problem.parameters, problem.seed, problem.device)
            weights = generators.train(self.name, setting, run=run)
        else:
            weights = self._read(problem, problem.trained["generator"][0])
        generator = generators.build(
            self.name, problem.data.info, problem.parameters, weights, problem.device
        )
        images = generators.sample(generator, problem.classes, problem.ipc, problem.seed, problem.device)
        return problem.synthetic_set(images)

    def _read(self, problem: Problem, path: Path) -> dict[str, Tensor]:
        """Return the weights that scripts/train_generator.py wrote for this problem."""
        try:
            weights, about = read_tensors(path)
        except (OSError, ValueError) as error:
            raise CondenseryError(
                f"{path}: cannot be read as a generator ({error}): make it with scripts/train_generator.py"
            ) from None
        expected = {
            "kind": self.name,
            "dataset": problem.data.info.name,
            "classes": list(problem.classes),
            "seed": problem.seed,
            "parameters": dict(problem.parameters),
        }
        for key, value in expected.items():
            if about.get(key) != value:
                raise CondenseryError(
                    f"{path}: a generator of {key} {about.get(key)}, but {value} is needed: make it with "
                    "scripts/train_generator.py"
                )
        return weights
