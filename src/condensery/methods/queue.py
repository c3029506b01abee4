"""A queue of networks that are trained on real images during the condensation that uses them.

Source: IDM (Zhao et al. 2023) and its authors' public code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery import networks, streams
from condensery.methods.base import Problem
from condensery.networks import Network
from condensery.training.descent import SGD

# The initial number of networks, and the number of networks that are trained after each iteration of the
# pixels (the authors' public code).
_FIRST, _TRAINED = 3, 2
_RATE, _MOMENTUM, _WEIGHT_DECAY = 0.01, 0.9, 5e-4


@dataclass
class Entry:
    """A network of the queue.

    Attributes:
        number: the number of networks that were drawn before it.
        weights: parameters and buffers by name.
        momenta: the momenta of its optimizer, in the order of the parameters; empty before its first step.
        right: correctly classified images in its training batches, since accuracies were last reset.
        seen: images in these batches.
    """

    number: int
    weights: dict[str, Tensor]
    momenta: list[Tensor] = field(default_factory=list)
    right: float = 0.0
    seen: int = 0

    @property
    def accuracy(self) -> float:
        """Accuracy on its training batches since the last reset, in percent; 0 if there were none."""
        return 100 * self.right / self.seen if self.seen else 0.0


class Queue:
    """Networks that start at random, are trained, and are replaced by new ones.

    Reads the parameters ``networks``, their largest number; ``network_steps``, iterations between two new
    networks; ``train_steps`` and ``batch_net``, steps and batch of each training; and ``reset_steps``,
    iterations between two resets of the accuracies. No stream depends on the classes, so that all parts of a
    set are condensed with the same networks.
    """

    def __init__(self, problem: Problem) -> None:
        """Draw the first networks."""
        self._problem, self._train = problem, problem.training_split()
        self._labels = torch.as_tensor(problem.data.train.labels).to(problem.device.torch_device)
        self._network = problem.new_network().train()
        info, parameters = problem.data.info, problem.parameters
        floats = networks.activations(self._network, info.channels, (info.height, info.width))
        images = _TRAINED * parameters["iterations"] * parameters["train_steps"] * parameters["batch_net"]
        self._forward = problem.device.compiled(self._network, images * floats)
        self.entries: list[Entry] = []
        self._drawn = 0
        for _ in range(min(_FIRST, parameters["networks"])):
            self._append()

    def renew(self, step: int) -> None:
        """Reset the accuracies, and append a new network, if they are due in this iteration."""
        parameters = self._problem.parameters
        if step and step % parameters["reset_steps"] == 0:
            for entry in self.entries:
                entry.right, entry.seen = 0.0, 0
        if step % parameters["network_steps"] == 0:
            if len(self.entries) >= parameters["networks"]:
                self.entries.pop(0)
            self._append()

    def chosen(self, step: int) -> Entry:
        """Return the network with which the pixels are matched in an iteration, drawn uniformly."""
        stream = streams.generator(self._problem.seed, "queue-choice", step)
        return self.entries[int(torch.randint(len(self.entries), (), generator=stream))]

    def choose(self, net: Network, step: int) -> None:
        """Set the weights of a network to those of the chosen one."""
        net.load_state_dict(self.chosen(step).weights)

    def train(self, step: int) -> None:
        """Train some networks of the queue for some steps each."""
        stream = streams.generator(self._problem.seed, "queue-training", step)
        for position in torch.randperm(len(self.entries), generator=stream)[:_TRAINED].tolist():
            self._descend(self.entries[position], step)

    def _append(self) -> None:
        stream = streams.generator(self._problem.seed, "queue-network", self._drawn)
        networks.initialize(self._network, stream)
        self.entries.append(Entry(self._drawn, self._weights()))
        self._drawn += 1

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self._network.state_dict().items()}

    def _descend(self, entry: Entry, step: int) -> None:
        problem, parameters = self._problem, self._problem.parameters
        self._network.load_state_dict(entry.weights)
        optimizer = SGD(list(self._network.parameters()), _RATE, _MOMENTUM, _WEIGHT_DECAY)
        optimizer.momenta = entry.momenta
        right = torch.zeros((), device=self._labels.device)
        for number in range(parameters["train_steps"]):
            stream = streams.generator(problem.seed, "queue-batch", step, entry.number, number)
            rows = torch.randperm(len(self._labels), generator=stream)[: parameters["batch_net"]]
            images = self._train.batch(rows, problem.device.torch_device)
            labels = self._labels[rows.to(self._labels.device)]
            with problem.device.autocast():
                logits = self._forward(images).float()
            optimizer.zero_grad()
            F.cross_entropy(logits, labels).backward()
            optimizer.step()
            right += (logits.argmax(1) == labels).sum()
            entry.seen += len(rows)
        entry.right += right.item()
        entry.weights, entry.momenta = self._weights(), optimizer.momenta

    def state(self) -> dict[str, Tensor]:
        """See `condensery.run.Part`."""
        found = {"drawn": torch.tensor(self._drawn), "first": torch.tensor(self.entries[0].number)}
        for entry in self.entries:
            found |= {f"{entry.number} weights {name}": tensor for name, tensor in entry.weights.items()}
            found |= {f"{entry.number} momentum {i}": tensor for i, tensor in enumerate(entry.momenta)}
            counts = torch.tensor([entry.right, entry.seen], dtype=torch.float64)
            found[f"{entry.number} counts"] = counts
        return found

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `condensery.run.Part`."""
        self._drawn, device = int(state["drawn"]), self._labels.device
        names, count = list(self._network.state_dict()), len(list(self._network.parameters()))
        self.entries = []
        for number in range(int(state["first"]), self._drawn):
            right, seen = state[f"{number} counts"].tolist()
            weights = {name: state[f"{number} weights {name}"].to(device) for name in names}
            known = (f"{number} momentum {i}" for i in range(count))
            momenta = [state[name].to(device) for name in known if name in state]
            self.entries.append(Entry(number, weights, momenta, right, int(seen)))
