"""Convolutions of 3 x 3 on a CPU in float32 with a quarter of the products, as PyTorch operators.

``winograd.cpp`` has the arithmetic (Lavin and Gray 2016, *Fast Algorithms for Convolutional Neural
Networks*). It is compiled for the processor when it is first used, and kept in the compiler's cache. Its
rounding errors are two to three times those of other convolutions in float32.

The operators have no gradients: they replace convolutions in graphs that are already differentiated.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

_SOURCE = Path(__file__).with_name("winograd.cpp")
_FLAGS = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
_CHANNELS_LAST = torch.channels_last

# Sides of a tile, and channels of a panel, in winograd.cpp.
_TILE, _PANEL = 4, 16


def serves(images: Tensor, channels: int) -> bool:
    """Say whether maps (n, C, H, W) of this type and shape can be convolved to ``channels`` channels."""
    return (
        images.device.type == "cpu"
        and images.dtype == torch.float32
        and all(side % _TILE == 0 for side in images.shape[2:])
        and all(count % _PANEL == 0 for count in (images.shape[1], channels))
    )


def convolve(images: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
    """Convolve with stride 1 and padding 1.

    Args:
        images: float32 (n, C, H, W); see :func:`serves`.
        weight: (K, C, 3, 3), or (C, K, 3, 3) where ``transposed``.
        bias: (K,), or None.
        transposed: whether to compute the transposed convolution, the gradient with respect to the images.

    Returns:
        (n, K, H, W), channels-last.
    """
    images = images.contiguous(memory_format=_CHANNELS_LAST)
    result = _convolved(images, weight, bias, transposed)
    out, into, down, right = weight.stride()
    first = weight.data_ptr()
    if transposed:
        out, into = into, out
        first += 2 * (down + right) * weight.element_size()
        down, right = -down, -right
    _library().condensery_convolve(
        _pointer(images),
        ctypes.c_void_p(first),
        _sizes(out, into, down, right),
        _pointer(bias),
        _pointer(result),
        *_shape(images, result),
    )
    return result


def correlate(images: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of a convolution's weight.

    Args:
        images: the convolved images, float32 (n, C, H, W); see :func:`serves`.
        gradient: the gradient with respect to the result, (n, K, H, W).

    Returns:
        (K, C, 3, 3), channels-last.
    """
    images, gradient = (t.contiguous(memory_format=_CHANNELS_LAST) for t in (images, gradient))
    result = _correlated(images, gradient)
    _library().condensery_correlate(
        _pointer(images),
        _pointer(gradient),
        _pointer(result),
        _sizes(*result.stride()),
        *_shape(images, gradient),
    )
    return result


def _convolved(images: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
    shape = (images.shape[0], weight.shape[1 if transposed else 0], *images.shape[2:])
    return torch.empty(shape, dtype=images.dtype, device=images.device, memory_format=_CHANNELS_LAST)


def _correlated(images: Tensor, gradient: Tensor) -> Tensor:
    shape = (gradient.shape[1], images.shape[1], 3, 3)
    return torch.empty(shape, dtype=images.dtype, device=images.device, memory_format=_CHANNELS_LAST)


def _pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _sizes(*values: int) -> ctypes.Array[ctypes.c_ssize_t]:
    return (ctypes.c_ssize_t * len(values))(*values)


def _shape(images: Tensor, result: Tensor) -> Sequence[ctypes.c_ssize_t | int]:
    count, channels, height, width = images.shape
    sizes = (count, height, width, channels, result.shape[1])
    return (*map(ctypes.c_ssize_t, sizes), torch.get_num_threads())


@functools.cache
def available() -> bool:
    """Say whether this machine can build the library; log the reason if it cannot."""
    try:
        _library()
    except (OSError, subprocess.SubprocessError) as error:
        logging.getLogger(__name__).warning("convolutions remain PyTorch's own: %s", error)
        return False
    return True


@functools.cache
def _library() -> ctypes.CDLL:
    """Return the library for this processor, and build it if the compiler's cache has none.

    Raises:
        OSError: there is no compiler, or the library cannot be written or loaded.
        subprocess.SubprocessError: the compiler fails.
    """
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    program = os.environ.get("CXX", "g++")
    # The compiler's predefined macros identify its version and the processor's instructions.
    macros = [program, "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    known = subprocess.run(macros, check=True, capture_output=True).stdout
    key = hashlib.sha256(b"\0".join([_SOURCE.read_bytes(), " ".join(_FLAGS).encode(), known])).hexdigest()
    target = Path(cache_dir()) / "condensery" / f"{key[:32]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        # Other processes may build it too: each renames a complete file.
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            built = Path(folder) / target.name
            subprocess.run([program, *_FLAGS, "-o", built, _SOURCE], check=True, capture_output=True)
            built.replace(target)
    return ctypes.CDLL(str(target))


_OPERATORS = torch.library.Library("condensery", "DEF")
_OPERATORS.define("convolve(Tensor images, Tensor weight, Tensor? bias, bool transposed) -> Tensor")
_OPERATORS.define("correlate(Tensor images, Tensor gradient) -> Tensor")
_OPERATORS.impl("convolve", convolve, "CPU")
_OPERATORS.impl("correlate", correlate, "CPU")
torch.library.register_fake("condensery::convolve", _convolved, lib=_OPERATORS)
torch.library.register_fake("condensery::correlate", _correlated, lib=_OPERATORS)
