"""LD: learn soft labels of fixed real images, by the gradient through one step of a network on them.

Source: Bohdal, Yang and Hospedales, *Flexible Dataset Distillation: Learn Labels Instead of Images*, 2020,
the second-order version. In each of ``iterations``::

    change  <- gradient of the loss of some of the images and their labels, at the weights
    labels  <- Adam on the loss of a real batch at weights - lr_inner * change; then probabilities again
    weights <- Adam with change, or new random ones when the network has learned what it can
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from condensery import streams
from condensery.methods.base import Problem, register
from condensery.methods.functional import FunctionalNetwork, dot
from condensery.run import UNATTENDED, Run, checkpoint
from condensery.synthetic import SyntheticSet


@register
class LabelDistillation:
    """Soft labels of random real images, the same number of every class.

    Parameters (``config/methods.yaml``): ``iterations``; ``lr_label``, Adam's rate for the labels;
    ``lr_inner``, the rate of the differentiated step; ``lr_net``, Adam's rate for the network; ``batch_net``,
    images of the set per iteration; ``batch_real``, real images of all classes per iteration; ``patience``,
    see :class:`Plateau`.

    The images are in the order of their true classes, whatever labels are learned.
    """

    name = "ld"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`.

        Raises:
            CondenseryError: snapshots are requested.
        """
        run.refuse_snapshots("ld learns labels, which snapshots do not hold")
        learner = Learner(problem)
        for iteration in run.steps(problem.parameters["iterations"], learner):
            loss = learner.step(iteration)
            run.report(iteration + 1, loss=loss)
        return problem.synthetic_set(learner.images, labels=learner.labels)


class Learner:
    """The images, their labels, and the network that is trained on them.

    Attributes:
        functional: the network.
        images: float32 (N, C, H, W) on the device.
        labels: probabilities, float32 (N, classes) on the device; initially uniform.
    """

    def __init__(self, problem: Problem) -> None:
        """Choose the images and draw the first network."""
        self._problem = problem
        self.functional = FunctionalNetwork(problem)
        self.images = problem.initial_images("real")
        classes = len(problem.data.info.classes)
        self.labels = self.images.new_full((len(self.images), classes), 1 / classes)
        self._labels_adam = torch.optim.Adam([self.labels], lr=problem.parameters["lr_label"])
        self._networks = 0
        self._renew()

    def _renew(self) -> None:
        self._weights = [w.requires_grad_() for w in self.functional.initial(self._networks)]
        self._network_adam = torch.optim.Adam(self._weights, lr=self._problem.parameters["lr_net"])
        self._plateau = Plateau(self._problem.parameters["patience"])
        self._networks += 1

    def step(self, iteration: int) -> Tensor:
        """Improve the labels, then the network; return the loss of the real batch, a scalar."""
        parameters = self._problem.parameters
        stream = streams.generator(self._problem.seed, "inner-batch", iteration)
        rows = torch.randperm(len(self.images), generator=stream)[: parameters["batch_net"]]
        rows = rows.to(self.images.device)
        change, of_labels, loss, wrong = self.gradient(rows, iteration)
        self.labels.grad = torch.zeros_like(self.labels).index_copy(0, rows, of_labels)
        self._labels_adam.step()
        self._normalize()
        for weight, slope in zip(self._weights, change, strict=True):
            weight.grad = slope
        self._network_adam.step()
        if self._plateau.reached(wrong):
            self._renew()
        return loss

    def gradient(self, rows: Tensor, iteration: int) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Differentiate through one step of the network.

        Args:
            rows: indices of the images of the step, int64 (n,) on the device.
            iteration: index of the iteration, which addresses the real batch.

        Returns:
            The gradient of the network's own loss with respect to its weights; the gradient of the loss of
            the real batch after the step with respect to the labels of ``rows``, (n, classes); the latter
            loss; and the number of misclassified real images.
        """
        parameters = self._problem.parameters
        labels = self.labels[rows].requires_grad_()
        change = self.functional.gradient(self._weights, self.images[rows], labels, differentiable=True)
        plain = [slope.detach() for slope in change]
        after = [
            w.detach() - parameters["lr_inner"] * slope for w, slope in zip(self._weights, plain, strict=True)
        ]
        real = self.functional.real_batch(parameters["batch_real"], iteration)
        loss, wrong, adjoint = self.functional.test(after, *real)
        (along,) = torch.autograd.grad(dot(change, adjoint), labels)
        return plain, -parameters["lr_inner"] * along, loss, wrong

    def _normalize(self) -> None:
        """Turn the labels into probabilities again: clip them to [0, 1], and divide by their sum."""
        self.labels.clamp_(0, 1)
        total = self.labels.sum(1, keepdim=True)
        # With very many classes, one step can set a whole row to zero.
        self.labels.copy_(torch.where(total > 0, self.labels / total, 1 / self.labels.shape[1]))

    def state(self) -> dict[str, Tensor]:
        """See :meth:`condensery.run.Part.state`."""
        weights = {f"weight.{number}": weight for number, weight in enumerate(self._weights)}
        networks = {"labels": self.labels, "networks": torch.tensor(self._networks)}
        adams = checkpoint.adam_state("labels-adam", self._labels_adam) | checkpoint.adam_state(
            "network-adam", self._network_adam
        )
        return weights | networks | adams | self._plateau.state()

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        for number, weight in enumerate(self._weights):
            weight.copy_(state[f"weight.{number}"])
        self.labels.copy_(state["labels"])
        self._networks = int(state["networks"])
        checkpoint.restore_adam("labels-adam", self._labels_adam, state)
        checkpoint.restore_adam("network-adam", self._network_adam, state)
        self._plateau.restore(state)


class Plateau:
    """Decides when a network has stopped improving.

    It has stopped when the sum of the errors of the last ``patience`` batches has not reached a new minimum
    for more than ``patience`` batches (the authors' public code).

    Counts of errors stay on the device until they can change the decision, because the host waits for the
    device whenever it reads one.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._unread: list[Tensor] = []
        self._errors: list[int] = []
        self._fewest, self._since = 0, 0

    def reached(self, wrong: Tensor) -> bool:
        """Record the number of errors of a batch, a scalar tensor; say whether to start a new network."""
        self._unread.append(wrong)
        missing = self._patience - len(self._errors)
        if len(self._unread) <= missing + self._patience - self._since:
            return False  # too few batches to decide, whatever the counts are
        self._read()
        return self._since > self._patience

    def _read(self) -> None:
        """Read the counts that are still on the device."""
        for wrong in torch.stack(self._unread).tolist() if self._unread else []:
            first = len(self._errors) < self._patience
            self._errors = [*self._errors, wrong][-self._patience :]
            if len(self._errors) < self._patience:
                continue
            total = sum(self._errors)
            if first or total < self._fewest:
                self._fewest, self._since = total, 0
            else:
                self._since += 1
        self._unread = []

    def state(self) -> dict[str, Tensor]:
        """See :meth:`condensery.run.Part.state`."""
        self._read()
        counts = {"fewest": torch.tensor(self._fewest), "since": torch.tensor(self._since)}
        return counts | {"errors": torch.tensor(self._errors, dtype=torch.int64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        self._fewest, self._since = int(state["fewest"]), int(state["since"])
        self._errors, self._unread = state["errors"].tolist(), []
