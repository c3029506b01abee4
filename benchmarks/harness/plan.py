"""Which cases are measured, by device: full sizes on a GPU, fewer real images for the growth on a CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.case import LOOPS, METHODS, Case

CLASSES = (10, 100, 200)
IPC = (1, 10, 50)
SIZES = (28, 32, 64)
STACKS = ("training", "testing")  # loops of several networks at once, on a GPU so many:
STACKED = 20
IMAGES = (50_000, 200_000, 1_281_167)  # the last is ImageNet-1K


def cases(device: str, *, quick: bool) -> list[Case]:
    """Return the cases for a kind of device, ``cpu`` or ``cuda``, the most informative first."""
    if quick:
        tiny: dict[str, Any] = {
            "ipc": 1,
            "size": 16,
            "batch_real": 8,
            "images": 1_000,
            "network": "convnet-d2-w16",
        }
        loops = [Case("loops", loop, **tiny) for loop in LOOPS]
        later = [Case("methods", method, **tiny) for method in METHODS]
        return [*loops, *later, Case("images", "dm", **{**tiny, "images": 400_000})]
    if device == "cuda":
        # The library's default first.
        own = [
            Case("loops", loop, precision, compiled=True, networks=STACKED if loop in STACKS else 1)
            for precision in ("fp32", "tf32", "bf16")
            for loop in LOOPS
        ]
        other = [replace(case, compiled=False) for case in own]
        other += [replace(case, networks=1) for case in own if case.loop in STACKS]
        return [*own, *_methods("fp32", "bf16"), *_growth(Case("", "", "fp32"), networks=STACKED), *other]
    main = [
        Case("loops", loop, precision, compiled)
        for precision, compiled in (("fp32", True), ("bf16", True), ("fp32", False), ("bf16", False))
        for loop in LOOPS
    ]
    return [*main, *_methods("fp32", "bf16"), *_growth(Case("", "", "bf16", batch_real=16), networks=1)]


def _methods(*precisions: str) -> list[Case]:
    return [Case("methods", method, each, compiled=True) for each in precisions for method in METHODS]


def precisions(device: str, *, quick: bool) -> list[str]:
    """Return the precisions whose ceilings are measured."""
    return ["fp32"] if quick else ["fp32", "bf16"] if device == "cpu" else ["fp32", "tf32", "bf16"]


def _growth(base: Case, networks: int) -> list[Case]:
    """Return the cases that vary one size and keep the others; uncompiled, to save time.

    Args:
        base: the case that they vary.
        networks: networks that are trained together.
    """
    matching = ("dm", "dsa-pixels")
    stacked = replace(base, study="ipc", loop="training", networks=networks)
    return [
        *(replace(base, study="classes", loop=loop, classes=n) for loop in matching for n in CLASSES),
        *(replace(base, study="ipc", loop=loop, ipc=n) for loop in matching for n in IPC),
        *(replace(stacked, ipc=n) for n in IPC),
        *(replace(base, study="size", loop=loop, **_sized(n)) for loop in matching for n in SIZES),
        *(replace(base, study="images", loop="dm", images=n, **_sized(64)) for n in IMAGES),
    ]


def _sized(size: int) -> dict[str, Any]:
    """Return the fields of a size of images, with the papers' network for it."""
    return {"size": size, "network": "convnet-d4" if size == 64 else "convnet"}
