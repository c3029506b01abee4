"""What a step of a hot loop costs the host where the device takes no time: milliseconds and launches.

The device is the simulated accelerator, whose operations compute nothing here and whose own time does not
count. What remains is draws, indices, Python, and PyTorch's way to each operation, which stands for that to
a launch; what the way to the simulated device takes longer than the way to the CPU is subtracted. It is
measured as time of a processor, so that other processes do not count either. Classes, batches and networks
are those of CIFAR-10 and of the published parameters; images are 8 x 8, which spares arithmetic and changes
no draw but that of the classifier's weights. Networks run uncompiled.

``python -m harness.host LOOP`` measures one loop, and prints a line of JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from condensery.data import RealData
from condensery.machine.device import Device
from condensery.methods import dm, gradient_matching
from condensery.methods.pixels import Pixels
from condensery.training.loop import train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks
from harness import data, loops, simulated
from harness.case import Case

# Does some steps; its argument tells one call from another.
Work = Callable[[int], object]

CASE = Case("loops", "dm", size=8)
_WARM_UP, _CALLS = 1, 5
_REPEATED = 2_000


@dataclass(frozen=True)
class Measured:
    """One loop.

    Attributes:
        name: of the loop.
        milliseconds: of the thread that makes the step, per step: the median over calls.
        least, most: of the calls.
        elsewhere: milliseconds per step of all other threads together.
        launches: operations per step for which a GPU would start a kernel.
        copies: from the host to the device, per step.
        waits: of the host for the device, per step.
    """

    name: str
    milliseconds: float
    least: float
    most: float
    elsewhere: float
    launches: float
    copies: float
    waits: float


def _dm(real: RealData, device: Device) -> Work:
    problem = loops.problem(CASE, real, device, "dm")
    matcher, pixels = dm.Matcher(problem), Pixels(problem)

    def steps(call: int) -> None:
        for number in range(_DM_STEPS):
            gradient, _ = matcher.gradient(pixels.images, call * _DM_STEPS + number)
            pixels.step(gradient)

    return steps


def _dsa(real: RealData, device: Device) -> Work:
    problem = loops.problem(CASE, real, device, "dsa")
    return loops.trained_between(gradient_matching.Matcher(problem, loops.AUGMENTATION), Pixels(problem))


def _training(real: RealData, device: Device, networks: int) -> Work:
    images = real.train.subset(torch.arange(CASE.classes * CASE.ipc))
    samples = Samples.of_split(images, device)
    stacked = StackedNetworks(CASE.network, real.info, range(networks), device, images=0)
    recipe = Recipe("dsa", _EPOCHS - 1, 0.01, 0.9, 5e-4, 256, loops.AUGMENTATION)
    return lambda call: train(stacked, samples, recipe)


_DM_STEPS, _EPOCHS = 10, 10

# name -> its work, and the steps of a call
LOOPS: dict[str, tuple[Callable[[RealData, Device], Work], int]] = {
    "dm": (_dm, _DM_STEPS),
    "dsa": (_dsa, 1),
    "training-1": (lambda real, device: _training(real, device, 1), _EPOCHS),
    "training-20": (lambda real, device: _training(real, device, 20), _EPOCHS),
}


def measure(name: str) -> Measured:
    """Measure a loop, a key of :data:`LOOPS`, in this process."""
    build, steps = LOOPS[name]
    torch.set_num_threads(1)
    real = data.real_data(CASE, Path())
    with simulated.present() as torch_device, simulated.without_arithmetic():
        memory = 2**40
        work = build(real, Device(torch_device, "fp32", False, memory))
        detour = _detour(torch_device)
        here, all_threads = [], []
        for call in range(_WARM_UP + _CALLS):
            with simulated.counted() as counts:
                thread, process = time.thread_time(), time.process_time()
                work(call)
                not_ours = counts.seconds + counts.operations * detour
                here.append(time.thread_time() - thread - not_ours)
                all_threads.append(time.process_time() - process - not_ours)
    own = [1e3 * seconds / steps for seconds in here[_WARM_UP:]]
    elsewhere = [1e3 * (both - one) / steps for both, one in zip(all_threads, here, strict=True)]
    return Measured(
        name,
        statistics.median(own),
        min(own),
        max(own),
        statistics.median(elsewhere[_WARM_UP:]),
        counts.launches / steps,
        sum(counts.copies.values()) / steps,
        sum(counts.waits.values()) / steps,
    )


def _detour(device: torch.device) -> float:
    """Return how many seconds longer the way to an operation of the device takes than to one of the CPU."""
    here = torch.ones(1)
    there, taken = here.to(device), []
    for tensor in (here, there):
        tensor + tensor
        with simulated.counted() as counts:
            started = time.thread_time()
            for _ in range(_REPEATED):
                tensor + tensor
            taken.append((time.thread_time() - started - counts.seconds) / _REPEATED)
    return taken[1] - taken[0]


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1]))))
