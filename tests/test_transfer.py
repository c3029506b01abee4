"""Parcels: many tensors reach a device in one copy, unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from condensery.machine.transfer import Parcel, together
from harness import simulated

TENSORS = (
    torch.arange(7),
    torch.rand(3, 2, 5),
    torch.tensor([True, False, True]),
    torch.empty(0, 4),
    torch.tensor(2.5, dtype=torch.float64),
    torch.rand(4, 6).t(),
)


@pytest.fixture
def device() -> Iterator[torch.device]:
    with simulated.present() as found:
        yield found


def test_what_is_taken_out_is_what_was_put_in_and_one_copy_brings_it(device: torch.device) -> None:
    parcel = Parcel(device)
    first, rest = parcel.add(TENSORS[:2]), parcel.add(TENSORS[2:])
    parcel.close()
    with simulated.counted() as counts:
        found = [*first(), *rest(), *first()]
    assert sum(counts.copies.values()) == 1
    assert not counts.waits
    for tensor, own in zip(found, [*TENSORS, *TENSORS[:2]], strict=True):
        assert tensor.device == device
        assert (tensor.dtype, tensor.shape) == (own.dtype, own.shape)
        assert torch.equal(tensor.cpu(), own)


def test_what_stays_on_the_cpu_is_the_same_tensor() -> None:
    assert all(
        one is other for one, other in zip(together(TENSORS, torch.device("cpu")), TENSORS, strict=True)
    )


def test_nothing_is_copied_where_nothing_is_sent(device: torch.device) -> None:
    with simulated.counted() as counts:
        assert together([], device) == []
    assert not counts.copies
