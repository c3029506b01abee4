"""FRePo: a step of the images and labels, and the training step of the pool's network that follows it."""

from __future__ import annotations

from dataclasses import replace

from harness.against import Work

_PUBLISHED = {"ipc": 1, "width": 128, "depth": 3, "batch_real": 1024, "size": 32, "images": 5_000}

_wide = Work(
    "FRePo, 1,024 real images, widths 128, 256, 512",
    "yongchaoz/FRePo",
    ("jax", "flax", "optax"),
    _PUBLISHED,
)
_narrow = replace(_wide, step="FRePo, 1,024 real images, widths 16, 32, 64", sizes=_PUBLISHED | {"width": 16})

WORKS = tuple(replace(work, compiled=compiled) for work in (_wide, _narrow) for compiled in (True, False))

QUICK = replace(
    _wide,
    step="FRePo, 16 real images, widths 4, 8",
    sizes={"ipc": 1, "width": 4, "depth": 2, "batch_real": 16, "size": 16, "images": 100},
    compiled=False,
)
