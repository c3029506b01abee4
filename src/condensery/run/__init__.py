"""The run of long work: its checkpoint, its progress, its snapshots and its clock."""

from condensery.run.checkpoint import Checkpoint
from condensery.run.parts import Part, Recorder, Snapshot, Stopwatch, last_iteration
from condensery.run.run import UNATTENDED, Run, not_finite

__all__ = [
    "UNATTENDED",
    "Checkpoint",
    "Part",
    "Recorder",
    "Run",
    "Snapshot",
    "Stopwatch",
    "last_iteration",
    "not_finite",
]
