"""The authors' side of a comparison: functions of their checkout, called in the order of their loops."""

from __future__ import annotations

import copy
import importlib
import sys
import time
import warnings
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from condensery.data import RealData, Split
from condensery.errors import CondenseryError
from harness.loops import AUGMENTATION
from harness.ours import start_images, start_labels
from harness.pair_case import PairCase

# Epochs of training before the test, so that predictions are better than chance.
_EPOCHS_BEFORE_TEST = 10


class Theirs:
    """The public code of DM and DSA, on the same data as our side."""

    def __init__(self, case: PairCase, data: RealData, *, device: str, exchange: str, reference: str) -> None:
        """Set up everything that the authors' programs set up once.

        Args:
            case: the comparison.
            data: real data.
            device: cpu or cuda.
            exchange: file for the weights that both sides test.
            reference: the checkout.
        """
        warnings.simplefilter("ignore")
        self._case, self._data, self._device = case, data, torch.device(device)
        self._code = imported(reference)
        # The authors' code leaves this to PyTorch, which uses TF32 for convolutions where available.
        torch.backends.cudnn.allow_tf32 = case.precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = case.precision == "tf32"
        self._args = SimpleNamespace(
            device=device,
            dsa=True,
            dsa_strategy=AUGMENTATION,
            dsa_param=self._code.ParamDiffAug(),
            dc_aug_param=None,
            dis_metric="ours",
            batch_train=256,
            lr_net=0.01,
            epoch_eval_train=case.epochs,
        )
        self._criterion = nn.CrossEntropyLoss().to(self._device)
        self._start = start_images(data, case.ipc).to(self._device)
        self._labels = start_labels(data, case.ipc).to(self._device)
        steps = {"dm": self._dm, "dsa": self._dsa, "train": self._train, "test": self._test}
        self._work = steps[case.kind](exchange)

    def step(self, number: int) -> tuple[float, list[float]]:
        """See :class:`harness.worker.Side`."""
        return self._work()

    def _dm(self, exchange: str) -> Callable[[], tuple[float, list[float]]]:
        def losses(net: Any, real: Tensor, synthetic: Tensor, c: int) -> Tensor:
            target = net.embed(real).detach()
            return ((target.mean(dim=0) - net.embed(synthetic).mean(dim=0)) ** 2).sum()

        return self._descent(losses, frozen=True)

    def _dsa(self, exchange: str) -> Callable[[], tuple[float, list[float]]]:
        def losses(net: Any, real: Tensor, synthetic: Tensor, c: int) -> Tensor:
            weights = list(net.parameters())
            labels = [torch.full((len(x),), c, device=self._device) for x in (real, synthetic)]
            gradients = torch.autograd.grad(self._criterion(net(real), labels[0]), weights)
            target = [gradient.detach().clone() for gradient in gradients]
            own = torch.autograd.grad(self._criterion(net(synthetic), labels[1]), weights, create_graph=True)
            return self._code.match_loss(own, target, self._args)

        return self._descent(losses, frozen=False)

    def _descent(
        self, losses: Callable[[nn.Module, Tensor, Tensor, int], Tensor], *, frozen: bool
    ) -> Callable[[], tuple[float, list[float]]]:
        """Return a step of the pixels, class by class, then of the network if the case includes it."""
        real = self._real_batches()
        images = self._start.clone().requires_grad_()
        pixels = torch.optim.SGD([images], lr=0.1, momentum=0.5)
        ipc = self._case.ipc

        def step() -> tuple[float, list[float]]:
            images.data.copy_(self._start)
            started = self._now()
            net = self._network().train()
            for parameter in net.parameters():
                parameter.requires_grad = not frozen
            loss = torch.tensor(0.0, device=self._device)
            for c in range(len(self._data.info.classes)):
                seed = int(time.time() * 1000) % 100000
                batch, own = (self._siamese(x, seed) for x in (real(c), images[c * ipc : (c + 1) * ipc]))
                loss += losses(net, batch, own, c)
            pixels.zero_grad()
            loss.backward()
            pixels.step()
            value = loss.item()
            if self._case.epochs:
                self._train_between(net, images)
            return self._now() - started, [value]

        return step

    def _train_between(self, net: nn.Module, images: Tensor) -> None:
        optimizer = torch.optim.SGD(net.parameters(), lr=self._args.lr_net)
        copied = self._code.TensorDataset(copy.deepcopy(images.detach()), copy.deepcopy(self._labels))
        loader = DataLoader(copied, batch_size=self._args.batch_train, shuffle=True)
        for _ in range(self._case.epochs):
            self._code.epoch("train", loader, net, optimizer, self._criterion, self._args, aug=True)

    def _train(self, exchange: str) -> Callable[[], tuple[float, list[float]]]:
        test = DataLoader(
            self._code.TensorDataset(_whole(self._data.test), torch.as_tensor(self._data.test.labels)), 256
        )
        few = [next(iter(test))]  # their function also tests, which has its own comparison

        def step() -> tuple[float, list[float]]:
            started = self._now()
            net = self._network()
            self._code.evaluate_synset(0, net, self._start.clone(), self._labels.clone(), few, self._args)
            seconds = self._now() - started
            return seconds, [self._accuracy(net, test)]

        return step

    def _test(self, exchange: str) -> Callable[[], tuple[float, list[float]]]:
        net = self._network()
        trained = self._code.TensorDataset(self._start, self._labels)
        optimizer = torch.optim.SGD(net.parameters(), lr=self._args.lr_net, momentum=0.9)
        for _ in range(_EPOCHS_BEFORE_TEST):
            loader = DataLoader(trained, batch_size=256, shuffle=True)
            self._code.epoch("train", loader, net, optimizer, self._criterion, self._args, aug=True)
        torch.save({name: tensor.cpu() for name, tensor in net.state_dict().items()}, exchange)
        test = DataLoader(_Pictures(self._data.test), batch_size=256)

        def step() -> tuple[float, list[float]]:
            started = self._now()
            accuracy = self._accuracy(net, test)
            return self._now() - started, [accuracy]

        return step

    def _accuracy(self, net: nn.Module, loader: DataLoader[Any]) -> float:
        """Return an accuracy in percent by the authors' function, which ignores its optimizer here."""
        _, accuracy = self._code.epoch("test", loader, net, None, self._criterion, self._args, aug=False)
        return 100 * float(accuracy)

    def _network(self) -> nn.Module:
        info = self._data.info
        return self._code.get_network(
            "ConvNet", info.channels, len(info.classes), (info.height, info.width)
        ).to(self._device)

    def _siamese(self, images: Tensor, seed: int) -> Tensor:
        # With a single image their code assigns a tensor to itself, which current PyTorch refuses.
        batch = images if len(images) > 1 else torch.cat([images, images])
        augmented = self._code.DiffAugment(
            batch, self._args.dsa_strategy, seed=seed, param=self._args.dsa_param
        )
        return augmented[: len(images)]

    def _real_batches(self) -> Callable[[int], Tensor]:
        """Return the authors' batches of a class: permuted indices into all images, floats on the device."""
        images = _whole(self._data.train).to(self._device)
        rows_of: list[list[int]] = [[] for _ in self._data.info.classes]
        for row, label in enumerate(self._data.train.labels.tolist()):
            rows_of[label].append(row)
        return lambda c: images[np.random.permutation(rows_of[c])[: self._case.batch_real]]

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class _Pictures(Dataset[Any]):
    """A test set like torchvision's: each picture is decoded and normalized at every access."""

    def __init__(self, split: Split) -> None:
        images = torch.as_tensor(np.asarray(split.images)).permute(0, 2, 3, 1)
        self._pixels = images.squeeze(3).numpy()
        self._labels = split.labels.tolist()
        self._transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(split.info.mean, split.info.std)]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


def imported(reference: str) -> ModuleType:
    """Return the module ``utils`` of a checkout.

    Raises:
        CondenseryError: the module cannot be imported from there.
    """
    sys.path.insert(0, reference)
    try:
        return importlib.import_module("utils")
    except ImportError as error:
        raise CondenseryError(
            f"{reference}: not a checkout of VICO-UoE/DatasetCondensation that can be imported: {error}"
        ) from error


def _whole(split: Split) -> Tensor:
    """Return all images of a split, normalized, float32 (N, C, H, W)."""
    rows = torch.arange(len(split)).split(5_000)
    return torch.cat([split.batch(part, torch.device("cpu")) for part in rows])
