"""Several networks as one with grouped convolutions, against each network by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from condensery import networks
from condensery.networks import grouped

COUNT = 3


@pytest.mark.parametrize(
    ("name", "can"),
    [
        ("convnet-d2-w8", True),
        ("convnet-d2-w8-swish-gn-max", True),
        ("convnet-d1-w8-nonorm-nopool", True),
        ("convnet-d1-w8-bn", False),
        ("convnet-d1-w8-ln", False),
        ("lenet", False),
        ("mlp", False),
    ],
)
def test_logits_and_gradients_are_those_of_each_network_by_itself(name: str, can: bool) -> None:
    nets = [
        networks.initialize(
            networks.build(name, channels=3, size=(8, 8), classes=5), torch.Generator().manual_seed(seed)
        ).double()
        for seed in range(COUNT)
    ]
    assert grouped.can_group(nets[0]) == can
    if not can:
        return
    parameters = {
        name: torch.stack([dict(net.named_parameters())[name].detach() for net in nets]).requires_grad_()
        for name, _ in nets[0].named_parameters()
    }
    generator = torch.Generator().manual_seed(9)
    images = torch.randn(COUNT, 4, 3, 8, 8, dtype=torch.float64, generator=generator)
    weights = torch.randn(COUNT, 4, 5, dtype=torch.float64, generator=generator)
    found = grouped.logits(nets[0], grouped.joined(parameters), images)
    expected = torch.stack([net(own) for net, own in zip(nets, images, strict=True)])
    torch.testing.assert_close(found, expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for name, parameter in parameters.items():
        own: list[Tensor | None] = [dict(net.named_parameters())[name].grad for net in nets]
        assert parameter.grad is not None
        for one, other in zip(parameter.grad, own, strict=True):
            torch.testing.assert_close(one, other)
