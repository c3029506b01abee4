"""GTN: learn a generator whose images train a network in a few steps.

Source: Such et al., *Generative Teaching Networks*, 2020, and its authors' public code. For each of
``iterations`` steps of Adam::

    weights <- new random ones
    for step in range(steps):
        velocity <- momenta[step] * velocity + gradient of the loss on the generator's images of this step
        weights <- weights - rates[step] * velocity
    generator, its inputs, rates, momenta <- Adam on the sum over steps of the loss of a real batch after each
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from condensery import streams
from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.generators.layers import cut
from condensery.methods.base import Problem, register
from condensery.methods.functional import FunctionalNetwork, Weights, dot
from condensery.methods.unrolling import Graph, Step
from condensery.run import UNATTENDED, Run
from condensery.run.checkpoint import adam_state, restore_adam
from condensery.synthetic import SyntheticSet

_LEAK = 0.1  # of the generator's activations
_DOUBLINGS = 2  # of the generator's maps, from a quarter of the image's sides


@register
class GenerativeTeaching:
    """A generator, its inputs per step, and the learning rate and momentum of each step.

    Parameters (``config/methods.yaml``): ``iterations`` of Adam; ``lr``, its rate, which falls along half a
    cosine to ``floor`` times its value; ``steps`` of a network's training; ``lr_net`` and ``momentum_net``,
    the initial learning rate and momentum of each step; ``batch_real``, real images of all classes after each
    step; ``noise``, the length of the generator's input; ``width``, channels of the generator's first maps.

    The images of the set, at most ``ipc`` per class, are divided evenly among the steps, with the classes in
    turn; the remainder is left out. The set has the batches of the steps one after the other, the learning
    rates and the momenta, (1, steps) each, but not the generator.
    """

    name = "gtn"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`.

        Raises:
            CondenseryError: a step has fewer than two images, or snapshots are requested.
        """
        run.refuse_snapshots("gtn learns a generator, which snapshots do not hold")
        parameters, teaching = problem.parameters, Teaching(problem)
        learned = _Learned(teaching.teacher)
        for iteration in run.steps(parameters["iterations"], learned):
            losses = teaching.differentiate(iteration)
            turned = (1 + math.cos(math.pi * iteration / parameters["iterations"])) / 2
            learned.step(parameters["lr"] * (parameters["floor"] + (1 - parameters["floor"]) * turned))
            run.report(iteration + 1, loss=losses[-1])
        teacher = teaching.teacher
        return problem.synthetic_set(
            teacher.images().flatten(0, 1),
            labels=teaching.labels.flatten(),
            learning_rate=teacher.log_rates.exp()[None],
            momentum=teacher.log_momenta.exp()[None],
        )


class Teacher(nn.Module):
    """The generator and all other learned tensors.

    Batch norm takes its statistics from the images of a step, also when the stored images are generated.

    Attributes:
        curriculum: the inputs of the generator, (steps, batch, noise).
        log_rates: logarithms of the learning rates, (steps,).
        log_momenta: logarithms of the momenta, (steps,).
    """

    def __init__(
        self, info: DataInfo, labels: Tensor, parameters: Mapping[str, Any], stream: torch.Generator
    ) -> None:
        """Draw the weights and the inputs.

        Args:
            info: the data set.
            labels: labels of the images, int64 (steps, batch), on the CPU.
            parameters: the parameters of the method.
            stream: a CPU generator.
        """
        super().__init__()
        noise, width, classes = parameters["noise"], parameters["width"], len(info.classes)
        self._size = (info.height, info.width)
        self._first = (width, *(-(-side // 2**_DOUBLINGS) for side in self._size))
        hidden, flat = 8 * width, math.prod(self._first)
        self.flat = nn.Sequential(
            _drawn(nn.Linear(noise + classes, hidden, bias=False), stream),
            nn.BatchNorm1d(hidden, track_running_stats=False),
            nn.LeakyReLU(_LEAK),
            _drawn(nn.Linear(hidden, flat, bias=False), stream),
            nn.BatchNorm1d(flat, track_running_stats=False),
            nn.LeakyReLU(_LEAK),
        )
        self.maps = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.ReflectionPad2d(1),
            _drawn(nn.Conv2d(width, width // 2, 3, bias=False), stream),
            nn.BatchNorm2d(width // 2, track_running_stats=False),
            nn.LeakyReLU(_LEAK),
            nn.Upsample(scale_factor=2),
            nn.ReflectionPad2d(1),
            _drawn(nn.Conv2d(width // 2, info.channels, 3), stream),
            nn.Tanh(),
        )
        self.curriculum = nn.Parameter(torch.randn(*labels.shape, noise, generator=stream))
        steps = len(labels)
        self.log_rates = nn.Parameter(torch.full((steps,), math.log(parameters["lr_net"])))
        self.log_momenta = nn.Parameter(torch.full((steps,), math.log(parameters["momentum_net"])))
        self.register_buffer("classes", F.one_hot(labels, classes).float(), persistent=False)

    classes: Tensor

    def forward(self, step: int) -> Tensor:
        """Return the images of a step in normalized space, (batch, C, H, W), from -2 to 2."""
        maps = self.flat(torch.cat([self.curriculum[step], self.classes[step]], 1))
        return 2 * cut(self.maps(maps.unflatten(1, self._first)), self._size)

    @torch.no_grad()
    def images(self) -> Tensor:
        """Return the images of all steps, (steps, batch, C, H, W)."""
        return torch.stack([self(step) for step in range(len(self.curriculum))])


def _drawn(layer: nn.Linear | nn.Conv2d, stream: torch.Generator) -> nn.Module:
    """Return a layer with weight norm; its weights are normal with variance 2 / (number of inputs)."""
    with torch.no_grad():
        drawn = torch.randn(layer.weight.shape, generator=stream)
        layer.weight.copy_(drawn * math.sqrt(2 / layer.weight[0].numel()))
        if layer.bias is not None:
            layer.bias.zero_()
    return weight_norm(layer)


class Teaching:
    """Training on a teacher's images, the losses on real images after each step, and their gradient.

    Attributes:
        functional: the network.
        labels: labels of the images, int64 (steps, batch) on the device.
        teacher: the learned generator, inputs, rates and momenta.
    """

    def __init__(self, problem: Problem) -> None:
        """Build the network and the teacher.

        Raises:
            CondenseryError: a step has fewer than two images.
        """
        count, steps = problem.ipc * len(problem.classes), problem.parameters["steps"]
        if count < 2 * steps:
            raise CondenseryError(
                f"gtn cannot divide {count} images among {steps} steps with two or more in each: set steps, "
                f"in config/methods.yaml or the protocol, to {count // 2} or less"
            )
        order = torch.arange(count // steps * steps).view(steps, -1) % len(problem.classes)
        labels = torch.tensor(problem.classes)[order]
        self._problem, device = problem, problem.device.torch_device
        self.functional = FunctionalNetwork(problem)
        self.labels = labels.to(device)
        stream = streams.generator(problem.seed, "teacher")
        self.teacher = Teacher(problem.data.info, labels, problem.parameters, stream).to(device)

    def differentiate(self, iteration: int) -> Tensor:
        """Set the gradients of the teacher's parameters to those of the sum of the losses.

        Args:
            iteration: index of the iteration, which addresses the initial weights and the real images.

        Returns:
            The loss of a real batch after each step, (steps,).
        """
        teacher = self.teacher
        images, rates, momenta = teacher.images(), teacher.log_rates.exp(), teacher.log_momenta.exp()
        of_images, of_rates, of_momenta, losses = self.gradient(images, rates, momenta, iteration)
        teacher.zero_grad()
        teacher.log_rates.grad = of_rates * rates.detach()
        teacher.log_momenta.grad = of_momenta * momenta.detach()
        # The graph of the generator, too, exists for only one step at a time.
        for step, upstream in enumerate(of_images):
            torch.autograd.backward(teacher(step), upstream)
        return losses

    def gradient(
        self, images: Tensor, rates: Tensor, momenta: Tensor, iteration: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the gradients of the sum of the losses with respect to all three, and the losses, (steps,).

        The forward pass keeps weights and velocity after each step and no graph, see
        :mod:`condensery.methods.unrolling`.

        Args:
            images: (steps, batch, C, H, W).
            rates: (steps,).
            momenta: (steps,).
            iteration: index of the iteration, which addresses the initial weights and the real images.
        """
        steps = [
            Step(number, labels, rate)
            for number, (labels, rate) in enumerate(zip(self.labels, rates.tolist(), strict=True))
        ]
        known = momenta.tolist()
        weights = self.functional.initial(iteration)
        velocity: Weights = [torch.zeros_like(w) for w in weights]
        path, velocities = [weights], [velocity]
        for step, momentum in zip(steps, known, strict=True):
            change = self.functional.gradient(path[-1], images[step.rows], step.labels)
            velocities.append(torch._foreach_add(torch._foreach_mul(velocities[-1], momentum), change))
            path.append(torch._foreach_sub(path[-1], torch._foreach_mul(velocities[-1], step.rate)))
        of_images, losses = torch.zeros_like(images), images.new_zeros(len(steps))
        of_rates, of_momenta = torch.zeros_like(losses), torch.zeros_like(losses)
        of_weights = of_velocity = velocity
        size = self._problem.parameters["batch_real"]
        for number, (step, momentum) in reversed(list(enumerate(zip(steps, known, strict=True)))):
            real = self.functional.real_batch(size, iteration, number)
            losses[number], _, own = self.functional.test(path.pop(), *real)
            of_weights = torch._foreach_add(of_weights, own)
            # weights <- weights - rate * velocity, and before that velocity <- momentum * velocity + change.
            of_rates[number] = -dot(velocities.pop(), of_weights)
            of_velocity = torch._foreach_sub(of_velocity, torch._foreach_mul(of_weights, step.rate))
            of_momenta[number] = dot(velocities[-1], of_velocity)
            _, more, of_images[number] = Graph(self.functional, step, path[-1], images).slope(of_velocity)
            of_weights = torch._foreach_add(of_weights, more)
            of_velocity = torch._foreach_mul(of_velocity, momentum)
        return of_images, of_rates, of_momenta, losses


class _Learned:
    """A teacher under Adam."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._adam = torch.optim.Adam(teacher.parameters())

    def step(self, lr: float) -> None:
        """Take one step of Adam along the gradients of the teacher."""
        self._adam.param_groups[0]["lr"] = lr
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        """See :meth:`condensery.run.Part.state`."""
        return self._teacher.state_dict() | adam_state("adam", self._adam)

    def restore(self, state: dict[str, Tensor]) -> None:
        """See :meth:`condensery.run.Part.restore`."""
        names = self._teacher.state_dict()
        self._teacher.load_state_dict({name: state[name] for name in names})
        restore_adam("adam", self._adam, state)
