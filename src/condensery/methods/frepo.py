"""FRePo: learn images and labels; ridge regression on their features predicts the labels of real images.

Source: Zhou, Nezhadarya and Ba, *Dataset Distillation using Neural Feature Regression*, 2022, and its
authors' public code. For each of ``iterations``::

    network        <- one of a pool of networks
    predicted      <- for real images, ridge regression on the network's features of the synthetic ones
    images, labels <- LAMB on the squared error of the predictions, and on the margins of the labels
    network        <- Adam on the squared error of its own outputs for the synthetic images; a new one if old
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from condensery import networks, streams
from condensery.methods.base import Problem, register
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet
from condensery.training.descent import Adam, Lamb
from condensery.training.ridge import regression, targets_of

REPORT_EVERY = 10

_MEAN = 0.9  # the share of its mean gradient that every optimizer here keeps
# The share of a batch's statistics in the running ones of batch norm (the authors' public code).
_NEWEST = 0.9


@register
class FeatureRegression:
    """Images, and the targets of their regression, under LAMB or Adam.

    Parameters (``config/methods.yaml``): ``iterations``; ``optimizer`` of images and labels, ``lamb`` or
    ``adam``; ``lr_img``, its rate, which falls along half a cosine to ``floor`` times its value;
    ``batch_real``, real images of all classes per iteration; ``init``; ``learn_labels``; ``flip``, whether
    the regression uses the mirrored images as well; and those of :class:`Pool`.

    Learned labels are soft, (N, C), and need not be probabilities; minus 1/C they are the targets of the
    regression. The classes depend on each other through the regression. The set is that after the last
    iteration.
    """

    name = "frepo"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`.

        Raises:
            CondenseryError: snapshots are requested.
        """
        run.refuse_snapshots("frepo learns labels with its images, which snapshots do not hold")
        parameters, prediction, pool = problem.parameters, Prediction(problem), Pool(problem)
        learned = _Learned(problem)
        for step in run.carrying({"pool": pool}).steps(parameters["iterations"], learned):
            member = pool.drawn(step)
            *gradients, loss = prediction.gradient(member.weights, learned.images, learned.targets, step)
            learned.step(step, *gradients)
            pool.train(member, learned.images, learned.targets, step)
            if (step + 1) % REPORT_EVERY == 0:
                run.report(step + 1, loss=loss)
        labels = learned.targets + 1 / learned.targets.shape[1] if parameters["learn_labels"] else None
        return problem.synthetic_set(learned.images, labels=labels)


def margin(targets: Tensor) -> Tensor:
    """Return the mean margin of targets, (N, C): the difference of the two largest entries, at most 1/C."""
    largest = targets.topk(2, dim=1).values
    return (largest[:, 0] - largest[:, 1]).clamp(max=1 / targets.shape[1]).mean()


class Prediction:
    """The loss of one iteration and its gradients.

    Attributes:
        network: computes the features, with batch norm's running statistics from its weights.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem, self._train = problem, problem.training_split()
        self._labels = torch.as_tensor(problem.data.train.labels).to(problem.device.torch_device)
        self.network = problem.new_network().eval().requires_grad_(False)
        info, parameters = problem.data.info, problem.parameters
        floats = networks.activations(self.network, info.channels, (info.height, info.width))
        self._at_once = problem.device.images_at_once(floats)
        shown = parameters["batch_real"] + problem.ipc * len(problem.classes)
        self._embed = problem.device.compiled(self.network.embed, parameters["iterations"] * shown * floats)

    def gradient(
        self, weights: dict[str, Tensor], images: Tensor, targets: Tensor, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients with respect to the images and to their targets, and the loss, a scalar.

        Args:
            weights: parameters and buffers of the network, as in ``state_dict``.
            images: all synthetic images, (N, C, H, W).
            targets: the targets of these images, (N, classes).
            step: index of the iteration, which addresses the real batch.
        """
        self.network.load_state_dict(weights)
        rows = self._rows(step)
        real = self._real_features(rows)
        wanted = targets_of(self._labels[rows.to(images.device)], targets.shape[1], real.dtype)
        leaves = images.detach().requires_grad_(), targets.detach().requires_grad_()
        shown, known = leaves
        if self._problem.parameters["flip"]:
            shown, known = torch.cat([shown, shown.flip(-1)]), torch.cat([known, known])
        support = self._features(shown)
        predicted = regression(support @ support.T, real @ support.T, known.to(real.dtype))
        missed = (predicted - wanted).square().sum() / (2 * len(real))
        loss = missed - margin(leaves[1])
        of_images, of_targets = torch.autograd.grad(loss, leaves)
        return of_images, of_targets, loss.detach()

    def _features(self, images: Tensor) -> Tensor:
        """Return features in float64: the ridge is smaller than the rounding errors of float32."""
        with self._problem.device.autocast():
            return self._embed(images).double()

    def _rows(self, step: int) -> Tensor:
        """Return the indices of the real images of an iteration, int64 (n,), drawn without replacement."""
        stream = streams.generator(self._problem.seed, "real", step)
        return torch.randperm(len(self._train), generator=stream)[: self._problem.parameters["batch_real"]]

    @torch.no_grad()
    def _real_features(self, rows: Tensor) -> Tensor:
        device, dtype = self._problem.device.torch_device, next(self.network.parameters()).dtype
        parts = (self._train.batch(part, device).to(dtype) for part in rows.split(self._at_once))
        return torch.cat([self._features(part) for part in parts])


@dataclass
class Member:
    """A network of the pool.

    Attributes:
        number: the number of networks that were drawn before it.
        age: steps since it was drawn, plus its initial age.
        weights: parameters and buffers by name.
        optimizer: the state of its optimizer, see :meth:`condensery.training.descent.Adam.state`.
    """

    number: int
    age: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]


class Pool:
    """Networks of different ages, which train on the synthetic images and are replaced when they are old.

    Reads the parameters ``networks``, their number; ``network_steps``, the age at which a network is
    replaced; ``lr_net``, the rate of their Adam; and ``batch_net``, the largest number of synthetic images
    per step.

    Attributes:
        members: the networks.
    """

    def __init__(self, problem: Problem) -> None:
        """Draw the networks, whose ages are spread evenly."""
        self._problem, parameters = problem, problem.parameters
        self._network = problem.new_network().train()
        for module in self._network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = _NEWEST
        self._names = [name for name, _ in self._network.named_parameters()]
        info = problem.data.info
        floats = networks.activations(self._network, info.channels, (info.height, info.width))
        images = min(parameters["batch_net"], problem.ipc * len(problem.classes))
        self._forward = problem.device.compiled(self._network, parameters["iterations"] * images * floats)
        count = parameters["networks"]
        self.members = [
            self._new(number, parameters["network_steps"] // count * number) for number in range(count)
        ]

    def drawn(self, step: int) -> Member:
        """Return the network of an iteration, each equally likely."""
        stream = streams.generator(self._problem.seed, "pool-choice", step)
        return self.members[int(torch.randint(len(self.members), (), generator=stream))]

    def train(self, member: Member, images: Tensor, targets: Tensor, step: int) -> None:
        """Train a network for one step, or replace it by a new one if it has reached ``network_steps``.

        Args:
            member: the network.
            images: all synthetic images, (N, C, H, W).
            targets: the targets of these images, (N, classes).
            step: index of the iteration, which addresses the batch.
        """
        parameters = self._problem.parameters
        if member.age > parameters["network_steps"]:
            drawn = 1 + max(each.number for each in self.members)
            self.members[self.members.index(member)] = self._new(drawn, 0)
            return
        if len(images) > parameters["batch_net"]:
            stream = streams.generator(self._problem.seed, "pool-batch", step)
            rows = torch.randperm(len(images), generator=stream)[: parameters["batch_net"]].to(images.device)
            images, targets = images[rows], targets[rows]
        self._network.load_state_dict(member.weights)
        optimizer = self._optimizer()
        optimizer.restore(member.optimizer, self._names)
        with self._problem.device.autocast():
            outputs = self._forward(images).to(images.dtype)
        optimizer.zero_grad()
        ((outputs - targets).square().sum() / (2 * len(images))).backward()
        optimizer.step()
        member.age += 1
        member.weights, member.optimizer = self._weights(), optimizer.state(self._names)

    def _new(self, number: int, age: int) -> Member:
        stream = streams.generator(self._problem.seed, "pool-network", number)
        networks.initialize(self._network, stream)
        return Member(number, age, self._weights(), self._optimizer().state(self._names))

    def _optimizer(self) -> Adam:
        rate = self._problem.parameters["lr_net"]
        return Adam(list(self._network.parameters()), rate, _MEAN, 0.0, decoupled=False)

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self._network.state_dict().items()}

    def state(self) -> dict[str, Tensor]:
        """See `condensery.run.Part`."""
        found: dict[str, Tensor] = {}
        for place, member in enumerate(self.members):
            found[f"{place} counts"] = torch.tensor([member.number, member.age])
            found |= {f"{place} weights {name}": tensor for name, tensor in member.weights.items()}
            found |= {f"{place} optimizer {name}": tensor for name, tensor in member.optimizer.items()}
        return found

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `condensery.run.Part`."""
        device = self._problem.device.torch_device
        for place, member in enumerate(self.members):
            member.number, member.age = state[f"{place} counts"].tolist()
            member.weights = {name: state[f"{place} weights {name}"].to(device) for name in member.weights}
            member.optimizer = {name: state[f"{place} optimizer {name}"] for name in member.optimizer}


class _Learned:
    """Images and, if labels are learned, their targets, under one optimizer."""

    def __init__(self, problem: Problem) -> None:
        self._parameters = parameters = problem.parameters
        self.images = problem.initial_images(parameters["init"])
        classes = len(problem.data.info.classes)
        centered = targets_of(problem.labels.to(self.images.device), classes, self.images.dtype)
        self.targets = centered / math.sqrt(classes / 10)
        self._tensors = {"images": self.images}
        if parameters["learn_labels"]:
            self._tensors["targets"] = self.targets
        tensors, rate = list(self._tensors.values()), parameters["lr_img"]
        self._optimizer: Adam = (
            Lamb(tensors, rate, _MEAN)
            if parameters["optimizer"] == "lamb"
            else Adam(tensors, rate, _MEAN, 0.0, decoupled=False)
        )

    def step(self, iteration: int, of_images: Tensor, of_targets: Tensor) -> None:
        """Take one step along the gradients, with the rate of an iteration."""
        floor = self._parameters["floor"]
        turned = (1 + math.cos(math.pi * iteration / self._parameters["iterations"])) / 2
        self._optimizer.lr = self._parameters["lr_img"] * (floor + (1 - floor) * turned)
        self.images.grad, self.targets.grad = of_images, of_targets
        self._optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """See :meth:`condensery.run.Part.state`."""
        return self._tensors | self._optimizer.state(list(self._tensors))

    def restore(self, state: dict[str, Tensor]) -> None:
        """See :meth:`condensery.run.Part.restore`."""
        for name, tensor in self._tensors.items():
            tensor.copy_(state[name])
        self._optimizer.restore(state, list(self._tensors))
