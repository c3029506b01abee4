"""DCC's step by functions of its authors' code, in the order of their loop.

A module that SciPy has dropped, and that nothing here uses, is imported as an empty one. A single image is
augmented as a batch of two, because current PyTorch refuses an assignment in the augmentation.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

_STRATEGY = "color_crop_cutout_flip_scale_rotate"


class Theirs:
    """See :class:`harness.against.Side`."""

    def __init__(self, sizes: Mapping[str, int], shared: str, reference: str) -> None:
        self._torch = torch = importlib.import_module("torch")
        sys.modules["scipy.ndimage.interpolation"] = module = ModuleType("scipy.ndimage.interpolation")
        vars(module)["rotate"] = None
        sys.path.insert(0, reference)
        self._code = code = importlib.import_module("utils")
        self._sizes, self._shared = sizes, dict(np.load(shared))
        self._images = torch.as_tensor(self._shared["images"])
        synthetic = self._shared["synthetic"]
        self._classes = len(synthetic) // sizes["ipc"]
        self._rows = [np.flatnonzero(self._shared["labels"] == c) for c in range(self._classes)]
        self._labels = torch.arange(self._classes).repeat_interleave(sizes["ipc"])
        self._synthetic = torch.as_tensor(synthetic).clone().requires_grad_()
        self._pixels = torch.optim.SGD([self._synthetic], lr=0.1, momentum=0.5)
        self._loss = torch.nn.CrossEntropyLoss()
        self._args = SimpleNamespace(
            device="cpu",
            dis_metric="ours",
            dsa=bool(sizes["augmented"]),
            dsa_strategy=_STRATEGY,
            dsa_param=code.ParamDiffAug(),
            dc_aug_param=None,
        )
        shape = self._images.shape
        self._network = code.get_network("ConvNet", shape[1], self._classes, tuple(shape[2:])).train()
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=0.01)
        with torch.no_grad():
            for i, parameter in enumerate(self._network.parameters()):
                parameter.copy_(torch.as_tensor(self._shared[f"weights {i}"]))

    def check(self) -> dict[str, np.ndarray]:
        """See :class:`harness.against.Side`; without augmentation, whose draws differ."""
        distance = self._distance(self._shared["rows"], augmented=False)
        (gradient,) = self._torch.autograd.grad(distance, self._synthetic)
        return {"loss": distance.detach().numpy(), "images": gradient.numpy()}

    def step(self, number: int) -> None:
        """See :class:`harness.against.Side`."""
        size = self._sizes["batch_real"]
        rows = [np.random.permutation(each)[:size] for each in self._rows]
        distance = self._distance(rows, augmented=self._args.dsa)
        self._pixels.zero_grad()
        distance.backward()
        self._pixels.step()
        distance.item()
        copied = self._code.TensorDataset(self._synthetic.detach().clone(), self._labels.clone())
        loader = self._torch.utils.data.DataLoader(copied, batch_size=256, shuffle=True)
        for _ in range(self._sizes["epochs"]):
            self._code.epoch(
                "train", loader, self._network, self._optimizer, self._loss, self._args, aug=self._args.dsa
            )

    def _distance(self, rows: Sequence[np.ndarray], *, augmented: bool) -> Any:
        """Return the distance between the mean gradients of all classes, as a graph."""
        torch, weights = self._torch, list(self._network.parameters())
        sums, shown = [torch.zeros_like(weight) for weight in weights], []
        for c, own in enumerate(rows):
            real = self._images[own]
            synthetic = self._synthetic[c * self._sizes["ipc"] : (c + 1) * self._sizes["ipc"]]
            if augmented:
                seed = int(time.time() * 1000) % 100000
                real, synthetic = self._siamese(real, seed), self._siamese(synthetic, seed)
            shown.append(synthetic)
            labels = torch.full((len(real),), c)
            gradients = torch.autograd.grad(self._loss(self._network(real), labels), weights)
            sums = [
                total + gradient.detach() / self._classes
                for total, gradient in zip(sums, gradients, strict=True)
            ]
        loss = self._loss(self._network(torch.cat(shown)), self._labels)
        return self._code.match_loss(torch.autograd.grad(loss, weights, create_graph=True), sums, self._args)

    def _siamese(self, images: Any, seed: int) -> Any:
        batch = images if len(images) > 1 else self._torch.cat([images, images])
        augment, args = self._code.DiffAugment, self._args
        return augment(batch, args.dsa_strategy, seed=seed, param=args.dsa_param)[: len(images)]
