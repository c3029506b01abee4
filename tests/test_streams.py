"""Streams: equal addresses give equal numbers, different addresses different ones."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from condensery import streams


def first(*address: object) -> float:
    return torch.rand(1, generator=streams.generator(*address)).item()


def test_equal_addresses_give_equal_numbers():
    assert first(3, "real", 7, 2) == first(3, "real", 7, 2)


def test_every_part_of_the_address_counts():
    addresses = [
        (0, "real", 1, 2),
        (1, "real", 1, 2),
        (0, "network", 1, 2),
        (0, "real", 2, 1),
        (0, "real", 12),
    ]
    assert len({first(*address) for address in addresses}) == len(addresses)


def test_numpy_integers_address_as_python_integers():
    assert first(np.int64(3), "real", np.int32(7)) == first(3, "real", 7)


def test_the_seed_is_sha256_of_the_address():
    digest = hashlib.sha256(repr((3, "real", 7)).encode()).digest()
    expected = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
    assert torch.rand(1, generator=expected).item() == first(3, "real", 7)


def test_the_global_state_is_neither_read_nor_moved():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first(0, "real")
    assert torch.equal(before, torch.get_rng_state())


def test_neighboring_streams_are_not_correlated():
    draws = torch.stack(
        [torch.randn(4000, generator=streams.generator(0, "real", step)) for step in range(8)]
    )
    correlation = torch.corrcoef(draws) - torch.eye(8)
    assert correlation.abs().max() < 0.08  # five standard errors of 1 / sqrt(4000)
