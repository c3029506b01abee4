"""How busy a GPU is while a job runs, as its driver says."""

from __future__ import annotations

import contextlib
import statistics
import subprocess

import torch

SECONDS = 10
"""Between two questions to the driver."""


class Meter:
    """Asks the driver of an NVIDIA GPU how much of the time it computes, from now on until `stop`.

    The question is put by nvidia-smi, which ends with this process. Where there is no such command, or the
    driver does not say, as of a part of a GPU, nothing is known.
    """

    def __init__(self, device: torch.device) -> None:
        """Start to ask."""
        self._asking: subprocess.Popen[str] | None = None
        uuid = str(torch.cuda.get_device_properties(device.index or 0).uuid).removeprefix("GPU-")
        with contextlib.suppress(OSError):
            self._asking = subprocess.Popen(
                [
                    "nvidia-smi",
                    f"--id=GPU-{uuid}",
                    "--query-gpu=utilization.gpu",
                    "--format=csv,noheader,nounits",
                    f"--loop={SECONDS}",
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )

    def stop(self) -> float | None:
        """Ask no longer; return the mean of the answers in percent, or None if there are none."""
        if self._asking is None:
            return None
        # The pipe holds the answers of almost two days; then nvidia-smi waits, and later ones do not count.
        self._asking.terminate()
        answers, _ = self._asking.communicate()
        self._asking = None
        seen = [float(line) for line in answers.split() if line.isdecimal()]
        return statistics.mean(seen) if seen else None
