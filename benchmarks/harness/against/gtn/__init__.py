"""GTN: a training of four steps, its gradient, and the step of the generator along it."""

from __future__ import annotations

from dataclasses import replace

from harness.against import Work

_step = Work(
    "GTN, 4 steps of 50 images, 50 real images after each",
    "uber-research/GTN",
    ("torch",),
    {"ipc": 20, "steps": 4, "batch_real": 50, "size": 28, "width": 128, "depth": 3, "images": 5_000},
    compiled=False,  # no job of GTN compiles
)

WORKS = (_step,)

QUICK = replace(
    _step,
    step="GTN, 2 steps of 10 images, 8 real images after each",
    sizes={"ipc": 2, "steps": 2, "batch_real": 8, "size": 28, "width": 4, "depth": 2, "images": 100},
)
