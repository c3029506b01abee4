"""Random streams addressed by their purpose.

Every draw of the library comes from a stream identified by (seed, purpose, address), so that there is no
global seed, and the order of calls does not matter. A class that is condensed in its own job, a network that
is trained together with others, and a run that is stopped and resumed get the same random numbers as in an
undisturbed run.
"""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, purpose: str, *address: int | str) -> torch.Generator:
    """Return the CPU generator of one stream.

    Args:
        seed: the seed of the experiment (of a synthetic set or of an evaluation network).
        purpose: the purpose of the draw, such as ``"real-batch"`` or ``"network"``.
        address: the position in the experiment, such as a step and a class.

    Returns:
        A generator seeded with 64 bits of the SHA-256 over seed, purpose and address, of which PyTorch's CPU
        generator uses 32. Values are drawn on the CPU and then moved, so that results do not depend on the
        device.
    """
    name = repr((int(seed), purpose, *(a if isinstance(a, str) else int(a) for a in address))).encode()
    digest = hashlib.sha256(name).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
