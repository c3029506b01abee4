"""Random streams addressed by what they are for.

Every draw of the library comes from a stream named by (seed, purpose, address): there is no global seed
and no order of calls to respect. A class condensed in its own job, a network trained together with others
and a run that was stopped and resumed therefore see the numbers that an undisturbed run sees.
"""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, purpose: str, *address: int | str) -> torch.Generator:
    """Return the CPU generator of one stream.

    Args:
        seed: the seed of the experiment (of a synthetic set or of an evaluation network).
        purpose: what the draw is for, such as ``"real-batch"`` or ``"network"``.
        address: where in the experiment, such as a step and a class.

    Returns:
        A generator seeded by SHA-256 over the whole address, with 64 bits of which PyTorch's generator of the
        CPU takes 32. Values are drawn on the CPU and then moved, so that a result does not depend on the
        device.
    """
    name = repr((int(seed), purpose, *(a if isinstance(a, str) else int(a) for a in address))).encode()
    digest = hashlib.sha256(name).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
