"""Networks of one shape that are trained together: their groups, and the stacked network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from condensery import networks, streams
from condensery.data import DataInfo
from condensery.machine.device import Device
from condensery.networks import grouped


def groups(
    network: str, info: DataInfo, batch: int, seeds: Sequence[int], device: Device
) -> list[tuple[int, ...]]:
    """Divide networks into groups that are trained together.

    Args:
        network: name of the networks.
        info: the data set, with the shape of the images and the classes.
        batch: images per network and step.
        seeds: one per network.
        device: determines whether networks are stacked, and the memory budget of their activations.

    Returns:
        The seeds of each group, in their order. If the device does not stack, each group has one network;
        otherwise as many as fit the memory budget, at least one.
    """
    if not device.stack_networks:
        return [(seed,) for seed in seeds]
    size = (info.height, info.width)
    net = networks.build(network, channels=info.channels, size=size, classes=len(info.classes))
    images = device.images_at_once(networks.activations(net, info.channels, size))
    count = max(1, images // batch)
    return [tuple(seeds[first : first + count]) for first in range(0, len(seeds), count)]


class StackedNetworks:
    """K networks of one shape, trained and tested together or, if K is 1, as a plain module.

    Batches, augmentations and initial weights of each network come from streams of its own seed, so that its
    result does not depend on the other networks. ``images`` is the number of images that each network will
    see in all epochs.

    Attributes:
        parameters: name in the module -> those of all networks, in the form in which they are trained.
        buffers: name in the module -> those of all networks, (K, ...) where K > 1.
    """

    def __init__(
        self, name: str, info: DataInfo, seeds: Sequence[int], device: Device, *, images: int
    ) -> None:
        size = (info.height, info.width)
        self.seeds, self.device, self.classes = tuple(seeds), device, len(info.classes)
        self.shape = (info.channels, *size)
        nets = [
            networks.initialize(
                networks.build(name, channels=info.channels, size=size, classes=len(info.classes)),
                streams.generator(seed, "evaluation-network"),
            )
            for seed in seeds
        ]
        stacked = torch.func.stack_module_state(nets) if len(nets) > 1 else None
        # After the stacking, for which all networks must be on one device.
        self.network = nets[0].to(device.torch_device)
        self.parameters: dict[str, Tensor]
        self.buffers: dict[str, Tensor]
        if stacked is None:
            self.parameters = dict(self.network.named_parameters())
            self.buffers = dict(self.network.named_buffers())
        else:
            self.parameters, self.buffers = (
                {name: t.detach().to(device.torch_device) for name, t in part.items()} for part in stacked
            )
        self._shapes = {name: tensor.shape for name, tensor in self.parameters.items()}
        if stacked is not None:
            if grouped.can_group(self.network):
                self.parameters = grouped.joined(self.parameters)
            for parameter in self.parameters.values():
                parameter.requires_grad_()
        work = len(seeds) * images * networks.activations(self.network, info.channels, size)
        self._forward: Callable[[Tensor], Tensor]
        if stacked is None:
            self._forward = device.compiled(self.network, work)
        elif grouped.can_group(self.network):
            self._forward = device.compiled(self._in_groups, work)
        else:
            self._forward = self._each

    def logits(self, images: Tensor, *, train: bool) -> Tensor:
        """Return the logits, float32 (K, n, classes), of images (K, n, C, H, W), a batch for each network."""
        self.network.train(train)
        with self.device.autocast():
            if len(self.seeds) == 1:
                return self._forward(images[0]).float().unsqueeze(0)
            return self._forward(images).float()

    def _in_groups(self, images: Tensor) -> Tensor:
        return grouped.logits(self.network, self.parameters, images)

    def _each(self, images: Tensor) -> Tensor:
        call = torch.func.vmap(self._call, randomness="error")
        return call(self.parameters, self.buffers, images)

    def _call(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        return torch.func.functional_call(self.network, (parameters, buffers), (images,))

    def state(self) -> dict[str, Tensor]:
        """Return parameters and buffers under the names of the module, each (K, ...) where K > 1."""
        own = {name: each.detach().view(self._shapes[name]) for name, each in self.parameters.items()}
        return own | self.buffers

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Set parameters and buffers to what :meth:`state` returned."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
