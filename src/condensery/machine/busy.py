"""The use of a GPU while a job runs, as reported by its driver."""

from __future__ import annotations

import contextlib
import statistics
import subprocess

import torch

SECONDS = 10
"""Between two questions to the driver."""


class Meter:
    """Asks the driver of an NVIDIA GPU for the share of time in which it computes, from now until `stop`.

    It runs nvidia-smi, which ends with this process. The use is unknown without this command, and if the
    driver does not report it, as for a part of a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        """Start nvidia-smi, if the device is an NVIDIA GPU."""
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
        """Stop; return the mean of the reports in percent, or None if there are none."""
        if self._asking is None:
            return None
        # The pipe holds the reports of almost two days; then nvidia-smi waits, and later reports are lost.
        self._asking.terminate()
        answers, _ = self._asking.communicate()
        self._asking = None
        seen = [float(line) for line in answers.split() if line.isdecimal()]
        return statistics.mean(seen) if seen else None
