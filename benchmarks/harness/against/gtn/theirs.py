"""GTN's step by its authors' code for PyTorch 1.2: their program, stopped before each iteration.

What their code cannot have here is given to it from outside. Horovod and MPI are replaced by modules for one
process, its log by one that writes nothing, and its compiled kernel, the gradient of cuDNN's convolution with
respect to its weights, by PyTorch's operation. The images are noise in memory instead of MNIST. Their learner
is replaced by a ConvNet, so that both sides train the same network. No validation runs.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class Theirs:
    """See :class:`harness.against.Side`."""

    def __init__(self, sizes: Mapping[str, int], shared: str, reference: str) -> None:
        self._torch = torch = importlib.import_module("torch")
        self._sizes, self._shared = sizes, dict(np.load(shared))
        self._same = False  # whether weights and real images are those of the other side
        self._images, self._labels = (torch.as_tensor(self._shared[name]) for name in ("images", "labels"))
        self._loss = float("nan")
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._put_modules()
        sys.path.insert(0, reference)
        code, models = importlib.import_module("train_cgtn"), importlib.import_module("models")
        learned: list[Any] = []

        def automl(**parts: Any) -> Any:
            learned.append(code.AutoML(**parts))
            return learned[0]

        few = [(self._images[0], self._labels[0])]
        shape = tuple(self._images.shape[1:])
        whole = [0] * len(self._images)  # the loader of it is replaced
        replaced: dict[str, Any] = {
            "get_dataset": lambda *_, **__: (shape, whole, few, (self._images[:1], self._labels[:1])),
            "EndlessDataLoader": lambda _: self._batches(),
            "Classifier": lambda *_, **__: self._learner(models.AbstractClassifier),
        }
        vars(code).update(replaced)
        torch.cuda.set_device = lambda _: None
        settings = json.loads((Path(reference) / "experiments" / "cgtn.json").read_text())
        settings |= {
            "num_inner_iterations": sizes["steps"],
            "generator_batch_size": 10 * sizes["ipc"] // sizes["steps"],
            "meta_batch_size": sizes["batch_real"],
            # The first iteration would validate.
            **{"starting_meta_iteration": 2, "logging_period": sys.maxsize},
            **{"device": "cpu", "automl_class": automl},
        }
        threading.Thread(target=self._run, args=(code.main, settings), daemon=True).start()
        self._wait()
        self._learned = learned[0]

    def check(self) -> dict[str, np.ndarray]:
        """See :class:`harness.against.Side`; the loss is that of the real batch after the last step."""
        named = self._named()
        with self._torch.no_grad():
            for name, parameter in named.items():
                parameter.copy_(self._torch.as_tensor(self._shared[f"teacher {name}"]))
        self._same = True
        self.step(0)
        self._same = False
        lengths = {name for name in named if name.endswith("weight_g")}
        # Batch norm follows the other layers and removes the length of their weights.
        left_out = lengths - {"deconv.3.conv.weight_g"}
        gradients = {name: p.grad.numpy().copy() for name, p in named.items() if name not in left_out}
        return {"loss": np.asarray(self._loss), **gradients}

    def step(self, number: int) -> None:
        """See :class:`harness.against.Side`."""
        self._turn.release()
        self._wait()

    def _run(self, program: Any, settings: dict[str, Any]) -> None:
        try:
            program(**settings)
        except BaseException as error:
            self._error = error
        self._done.release()

    def _wait(self) -> None:
        """Wait until the program is about to begin an iteration."""
        self._done.acquire()
        if self._error is not None:
            raise self._error

    def _record(self, key: str, value: Any) -> None:
        """Receive what the program logs; the number of the iteration comes first."""
        if key == "Iteration":
            self._done.release()
            self._turn.acquire()
        if key == "meta_training_loss":
            self._loss = value

    def _batches(self) -> Iterator[tuple[_OnHost, _OnHost]]:
        """Yield real batches: in an iteration, that after the last step is the first, then backwards."""
        steps, size = self._sizes["steps"], self._sizes["batch_real"]
        while True:
            for step in reversed(range(steps)):
                if self._same:
                    images, labels = (
                        self._torch.as_tensor(self._shared[name][step]) for name in ("drawn", "answers")
                    )
                else:
                    rows = self._torch.randperm(len(self._images))[:size]
                    images, labels = self._images[rows], self._labels[rows]
                yield _OnHost(images), _OnHost(labels)

    def _learner(self, base: Any) -> Any:
        """Return a new ConvNet as a learner of their code."""
        nn, sizes = self._torch.nn, self._sizes
        channels, side = self._images.shape[1:3]
        layers: list[Any] = []
        # MNIST is padded to 32 x 32.
        padding, side = (3, 32) if side == 28 else (1, side)
        for block in range(sizes["depth"]):
            width = sizes["width"]
            layers += [nn.Conv2d(width if block else channels, width, 3, padding=1 if block else padding)]
            layers += [nn.GroupNorm(width, width), nn.ReLU(), nn.AvgPool2d(2)]
            side //= 2
        layers += [nn.Flatten(), nn.Linear(sizes["width"] * side * side, 10), nn.LogSoftmax(1)]

        learner = base()
        learner.layers = nn.Sequential(*layers)
        learner.forward = lambda images: learner.layers(images)
        if self._same:
            with self._torch.no_grad():
                for i, parameter in enumerate(learner.parameters()):
                    parameter.copy_(self._torch.as_tensor(self._shared[f"weights {i}"]))
        return learner

    def _named(self) -> dict[str, Any]:
        """Return what is learned; their momentum of batch norm is not, since nothing uses it."""
        (rates,) = self._learned.optimizers
        found = dict(self._learned.generator.generator.named_parameters())
        found |= {"curriculum": self._learned.generator.curriculum}
        return found | {"log_lr": rates.log_lr, "log_momentum": rates.log_momentum}

    def _put_modules(self) -> None:
        """Give their program the modules that it imports."""

        def of_weights(
            shape: Any,
            of_output: Any,
            images: Any,
            padding: Any,
            stride: Any,
            dilation: Any,
            groups: int,
            *_: Any,
        ) -> Any:
            gradient = self._torch.nn.grad.conv2d_weight
            return gradient(images, shape, of_output, stride, padding, dilation, groups)

        one_process = {
            **{"init": lambda: None, "mpi_threads_supported": lambda: True},
            **{"size": lambda: 1, "rank": lambda: 0, "local_rank": lambda: 0},
            "broadcast_parameters": lambda *_, **__: None,
        }
        world = SimpleNamespace(bcast=lambda value, root: value)
        contents: dict[str, dict[str, Any]] = {
            "horovod": {},
            "horovod.torch": one_process,
            "mpi4py": {"MPI": SimpleNamespace(COMM_WORLD=world)},
            "custom_backward_cpp": {"backward": of_weights},
            "tabular_logger": {"record_tabular": self._record, "info": lambda *_: None},
        }
        for name, content in contents.items():
            sys.modules[name] = module = ModuleType(name)
            vars(module).update(content)
        vars(sys.modules["horovod"])["torch"] = sys.modules["horovod.torch"]


class _OnHost:
    """A tensor that stays on the host when their program asks for a copy on the GPU."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def to(self, *_: Any, **__: Any) -> Any:
        return self._tensor
