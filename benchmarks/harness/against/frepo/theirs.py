"""FRePo's step by its authors' code for JAX, compiled by it as in their program.

The batches come from memory, without TensorFlow's pipeline, which their program reads with. Two names that
newer versions of JAX and Flax have dropped are given back, and TensorFlow and the writer of logs are imported
as empty modules; the code itself is not changed.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

# XLA reads both when it is imported: one thread, like the other side.
os.environ |= {"NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu"}

# The parameters of their program, script/distill.py.
_NETWORKS, _OLDEST, _STEPS, _RATE, _BATCH_NET = 10, 100, 500_000, 3e-4, 1_000


class Theirs:
    """See :class:`harness.against.Side`."""

    def __init__(self, sizes: Mapping[str, int], shared: str, reference: str) -> None:
        self._code = code = _Code(reference)
        self._sizes, self._shared = sizes, dict(np.load(shared))
        self._images = self._shared["images"].transpose(0, 2, 3, 1).copy()
        classes = self._shared["targets"].shape[1]
        self._labels = np.eye(classes, dtype=np.float32)[self._shared["labels"]] - 1 / classes
        self._random, self._key = np.random.default_rng(0), code.jax.random.PRNGKey(0)

        model = code.models.create_model(
            "conv",
            classes,
            width=sizes["width"],
            depth=sizes["depth"],
            normalization="batch",
            output="feat_fc",
        )
        settings = SimpleNamespace(
            optimizer="adam", img_size=sizes["size"], img_channels=self._images.shape[3]
        )
        self._new = code.jax.jit(
            partial(
                code.training.create_train_state,
                config=settings,
                model=model,
                learning_rate_fn=lambda _: _RATE,
                has_bn=True,
            )
        )
        self._pool = [
            self._new(self._drawn()).replace(step=_OLDEST // _NETWORKS * i) for i in range(_NETWORKS)
        ]
        holder = code.frepo.ProtoHolder(
            self._shared["synthetic"].transpose(0, 2, 3, 1).copy(),
            self._shared["targets"],
            len(self._shared["targets"]),
        )
        rate = code.optax.cosine_decay_schedule(_RATE, _STEPS, alpha=0.1)
        self._state = code.frepo.create_proto_state(self._drawn(), holder, rate)
        features = partial(code.frepo.nn_feat_fn, has_bn=True)
        train = partial(
            code.training.train_step, has_feat=True, has_bn=True, loss_type=code.metrics.mean_squared_loss
        )
        self._learn, _, _, _, self._train = code.frepo.jit_fn(
            train, code.training.eval_step, features, features, use_flip=True
        )
        self._features = code.jax.jit(features)
        self._sample = code.jax.jit(partial(code.frepo.get_sample_proto, bs=_BATCH_NET))

    def check(self) -> dict[str, np.ndarray]:
        """See :class:`harness.against.Side`."""
        network = self._with_weights(self._pool[0])
        # An optimizer that keeps the gradients as its state, since their step returns no gradients.
        kept = self._code.optax.GradientTransformation(dict, lambda found, *_: (found, found))
        state = self._state.replace(tx=kept, opt_state=kept.init(self._state.params))
        state, metrics = self._learn(state, network, self._batch(self._shared["rows"], network))
        return {
            "loss": np.asarray(metrics["total_loss"]),
            "images": np.asarray(state.opt_state["x_proto"]).transpose(0, 3, 1, 2),
            "targets": np.asarray(state.opt_state["y_proto"]),
        }

    def step(self, number: int) -> None:
        """See :class:`harness.against.Side`."""
        place = self._random.integers(_NETWORKS)
        network = self._pool[place]
        rows = self._random.permutation(len(self._images))[: self._sizes["batch_real"]]
        self._state, _ = self._learn(self._state, network, self._batch(rows, network))
        if network.step > _OLDEST:
            network = self._new(self._drawn())
        else:
            key = self._drawn()
            images, labels = self._sample(self._state, key)
            network, _ = self._train(network, {"image": images, "label": labels}, key)
        self._pool[place] = network
        self._code.jax.block_until_ready((self._state.params, network.params))

    def _batch(self, rows: np.ndarray, network: Any) -> dict[str, Any]:
        images, labels = self._code.training.process_batch((self._images[rows], self._labels[rows]))
        return {"image": self._features(images, network), "label": labels}

    def _drawn(self) -> Any:
        """Return a new key of random numbers."""
        self._key, key = self._code.jax.random.split(self._key)
        return key

    def _with_weights(self, network: Any) -> Any:
        """Return a network with the weights that both sides share."""
        shared, depth = self._shared, self._sizes["depth"]
        parameters = dict(network.params)
        for i in range(depth):
            kernel = shared[f"conv {i} weight"].transpose(2, 3, 1, 0)
            parameters[f"Conv_{i}"] = {"kernel": kernel, "bias": shared[f"conv {i} bias"]}
        statistics = {}
        for i in range(depth - 1):
            scale, bias, mean, variance = (
                shared[f"norm {i} {name}"] for name in ("weight", "bias", "running_mean", "running_var")
            )
            parameters[f"BatchNorm_{i}"] = {"scale": scale, "bias": bias}
            statistics[f"BatchNorm_{i}"] = {"mean": mean, "var": variance}
        return network.replace(params=parameters, batch_stats=statistics)


class _Code:
    """The modules of the authors' code, and those that it uses."""

    def __init__(self, reference: str) -> None:
        self.jax, self.optax = importlib.import_module("jax"), importlib.import_module("optax")
        # A network's parameters are again a FrozenDict, which their code unfreezes.
        importlib.import_module("flax").config.update("flax_return_frozendict", True)
        importlib.import_module("flax.training.checkpoints")  # looks for TensorFlow, which is not there
        linalg = importlib.import_module("jax.scipy.linalg")
        current = linalg.solve

        def solve(a: Any, b: Any, sym_pos: bool = False) -> Any:
            return current(a, b, assume_a="pos" if sym_pos else "gen")

        vars(linalg)["solve"] = solve
        sys.modules |= {name: ModuleType(name) for name in ("tensorflow", "clu")}
        vars(sys.modules["clu"])["metric_writers"] = None
        sys.path.insert(0, reference)
        self.frepo = importlib.import_module("lib.datadistillation.frepo")
        self.models = importlib.import_module("lib.models.utils")
        self.training = importlib.import_module("lib.training.utils")
        self.metrics = importlib.import_module("lib.training.metrics")
