"""DCC, and DSAC, which augments: a step of the images, and the training of the network that follows it."""

from __future__ import annotations

from dataclasses import replace

from harness.against import Work

_SIZES = {"ipc": 1, "batch_real": 32, "epochs": 5, "size": 32, "images": 5_000, "augmented": 0}

_dcc = Work(
    "DCC, 32 real images per class, 5 epochs of the network",
    "Saehyung-Lee/DCC",
    ("torch",),
    _SIZES,
)
_dsac = replace(_dcc, step=_dcc.step.replace("DCC", "DSAC"), sizes=_SIZES | {"augmented": 1})

WORKS = tuple(replace(work, compiled=compiled) for work in (_dcc, _dsac) for compiled in (True, False))

QUICK = replace(
    _dsac,
    step="DSAC, 4 real images per class, an epoch of the network",
    sizes={"ipc": 1, "batch_real": 4, "epochs": 1, "size": 16, "images": 100, "augmented": 1},
    compiled=False,
)
