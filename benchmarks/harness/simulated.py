"""A simulated accelerator: a PyTorch device other than the CPU, on a machine without one.

Each of its tensors wraps a tensor of the CPU, which does the arithmetic, so that the same operations give
bit-identical results. It refuses operations on tensors of two devices, as a GPU does, and random numbers
on the device, since all are drawn on the CPU, from streams. It counts what delays a GPU: reads by the host,
which wait for the device, and copies to the device.

PyTorch calls it ``privateuseone``, the name of a device from outside PyTorch. Its tensors are wrappers, since
these have strides and views like any other tensor.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves, tree_map

NAME = "privateuseone"

TAKEN = {"device_mb": 3, "device_reserved_mb": 20}
"""Its memory statistics, in MB."""

# Operations in which CUDA accepts a tensor of the host.
_COPIES = ("aten::copy_", "aten::_to_copy")
_INDEXED = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")

# Operations that return a value to the host, or a tensor whose size depends on values.
_WAITS = (
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave",
    "aten::_unique2",
)

# Operations that only allocate memory, or return a view.
_MEMORY = ("aten::empty_like", "aten::new_empty", "aten::new_empty_strided", "aten::_unsafe_view")


@dataclass
class Counts:
    """Counts of the host's operations on the device.

    Attributes:
        waits: line of code -> number of times that the host waited there for a value of the device.
        copies: line of code -> number of copies from the host to the device there.
        operations: number of operations on the device.
        launches: number of operations that start a kernel on a GPU: neither views nor allocations.
        seconds: of a processor inside the operations.
    """

    waits: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)
    operations: int = 0
    launches: int = 0
    seconds: float = 0.0


_listening: list[Counts] = []

# Operation and shapes of its arguments -> remembered result, while arithmetic is left out.
_remembered: dict[Any, Any] | None = None


@contextlib.contextmanager
def counted() -> Iterator[Counts]:
    """Count the operations on the device in the context."""
    counts = Counts()
    _listening.append(counts)
    try:
        yield counts
    finally:
        _listening.remove(counts)


@contextlib.contextmanager
def without_arithmetic() -> Iterator[None]:
    """Compute each operation once for arguments of the same shapes, and return that result from then on.

    Host code that reads no values of the device runs as usual, without the time of the arithmetic.
    """
    global _remembered
    _remembered = {}
    try:
        yield
    finally:
        _remembered = None


class Simulated(Tensor):
    """A tensor on the device: shape, strides and type of the tensor on the CPU that it wraps."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> Self:
        """Wrap a tensor of the CPU."""
        return Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=torch.device(NAME, 0),
        )

    def __init__(self, host: Tensor) -> None:
        self.host = host

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation that has a tensor of the device among its arguments."""
        started = time.thread_time()
        try:
            return _run(operation, args, kwargs or {})
        finally:
            for counts in _listening:
                counts.seconds += time.thread_time() - started

    def tolist(self) -> Any:
        """Return the values; PyTorch's own method refuses subclasses."""
        return self.cpu().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a leaf with the same values; a copy of a parameter is a parameter."""
        copied = type(self)(self.host.clone()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copied._is_param = True
        return memo.setdefault(id(self), copied)


def _run(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Check, count and compute one operation."""
    name, leaves = operation._schema.name, tree_leaves((args, kwargs))
    ours = [leaf for leaf in leaves if isinstance(leaf, Simulated)]
    _refuse(operation, leaves)
    _count(operation, args, leaves)
    result = _computed(operation, tree_map(_on_host, args), tree_map(_on_host, kwargs))
    wanted = kwargs.get("device")
    if name == "aten::_to_copy" and wanted is not None and torch.device(wanted).type != NAME:
        return result
    if name == "aten::copy_" and not isinstance(args[0], Simulated):
        return args[0]
    if torch.Tag.inplace_view in operation.tags:
        return _reshaped(ours[0])
    known = {id(each.host): each for each in ours}
    return tree_map(lambda value: _on_device(value, known), result)


def _computed(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute an operation on the CPU, unless its result is remembered."""
    if _remembered is None or _is_view(operation) or operation._schema.is_mutable:
        return operation(*args, **kwargs)
    shapes = tuple(
        (leaf.shape, leaf.stride(), leaf.dtype) if isinstance(leaf, Tensor) else repr(leaf)
        for leaf in tree_leaves((args, kwargs))
    )
    if (operation, shapes) not in _remembered:
        _remembered[operation, shapes] = operation(*args, **kwargs)
    # A new object, like the result of any operation.
    return tree_map(
        lambda value: value.detach() if isinstance(value, Tensor) else value, _remembered[operation, shapes]
    )


def _is_view(operation: Any) -> bool:
    """Return whether an operation returns a view of an argument and writes nothing."""
    aliases = [each.alias_info for each in operation._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _on_host(value: Any) -> Any:
    if isinstance(value, Simulated):
        return value.host
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == NAME else value


def _on_device(value: Any, known: dict[int, Simulated]) -> Any:
    if not isinstance(value, Tensor):
        return value
    return known[id(value)] if id(value) in known else Simulated(value)


def _reshaped(tensor: Simulated) -> Simulated:
    """Give a wrapper the shape that an in-place operation gave to its tensor."""
    host = tensor.host
    with torch._C._DisableTorchDispatch():
        tensor.as_strided_(host.shape, host.stride(), host.storage_offset())
    return tensor


def _refuse(operation: Any, leaves: list[Any]) -> None:
    """Raise the errors of a GPU, and refuse random numbers on the device."""
    name = operation._schema.name
    if torch.Tag.nondeterministic_seeded in operation.tags:
        raise RuntimeError(f"{name}: random numbers are drawn on the CPU, from a stream")
    host = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.device.type == "cpu"]
    # A GPU accepts scalars of the host in arithmetic, and indices of the host in any operation.
    numbers = torch.Tag.pointwise in operation.tags or name.startswith("aten::_foreach")
    if name in _COPIES or (name in _INDEXED and not any(leaf.is_floating_point() for leaf in host)):
        return
    if host and not (numbers and all(leaf.dim() == 0 for leaf in host)):
        raise RuntimeError(
            f"{name}: Expected all tensors to be on the same device, but found {NAME}:0 and cpu"
        )


def _count(operation: Any, args: tuple[Any, ...], leaves: list[Any]) -> None:
    if not _listening:
        return
    name = operation._schema.name
    host = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.device.type == "cpu"]
    masks = [leaf for leaf in leaves if isinstance(leaf, Simulated) and leaf.dtype == torch.bool]
    target_on_host = name == "aten::copy_" and args[0].device.type == "cpu"
    away = name == "aten::_to_copy" and any(leaf == torch.device("cpu") for leaf in leaves)
    waits = name in _WAITS or target_on_host or away or (name in _INDEXED and bool(masks))
    copies = bool(host) and not target_on_host and (name in _COPIES or name in _INDEXED)
    launches = not (_is_view(operation) or name in _MEMORY)
    for counts in _listening:
        counts.operations += 1
        counts.launches += launches
        if waits:
            counts.waits[_line()] += 1
        if copies:
            counts.copies[_line()] += 1


def _line() -> str:
    """Return the project's line of code that is running, as ``file:line``."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame and "/condensery/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{frame.f_code.co_filename.rsplit('/', 1)[1]}:{frame.f_lineno}" if frame else "elsewhere"


def _make(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Run an operation that creates a tensor of the device without tensor arguments."""
    for counts in _listening:
        counts.launches += not operation._schema.name.startswith("aten::empty")
    if torch.Tag.nondeterministic_seeded in operation.tags:
        raise RuntimeError(f"{operation}: random numbers are drawn on the CPU, from a stream")
    kwargs = {key: value for key, value in kwargs.items() if key != "pin_memory"}
    return Simulated(operation(*args, **kwargs | {"device": torch.device("cpu")}))


@functools.cache
def register() -> tuple[torch.library.Library, ...]:
    """Register the device in this process, permanently."""
    module = types.ModuleType(f"torch.{NAME}")
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "synchronize": lambda device=None: None,
        "max_memory_allocated": lambda device=None: TAKEN["device_mb"] << 20,
        "max_memory_reserved": lambda device=None: TAKEN["device_reserved_mb"] << 20,
        "manual_seed_all": lambda seed: None,
        "get_amp_supported_dtype": lambda: [torch.bfloat16],
        "_is_in_bad_fork": lambda: False,
        "_lazy_init": lambda: None,
    }
    for name, answer in answers.items():
        setattr(module, name, answer)
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=module)
    rest = torch.library.Library("_", "IMPL")
    rest.fallback(_make, "PrivateUse1")
    # These create an empty tensor, and then change its shape.
    ranges = torch.library.Library("aten", "IMPL")
    for operation in (
        torch.ops.aten.arange.default,
        torch.ops.aten.arange.start,
        torch.ops.aten.arange.start_step,
    ):
        ranges.impl(operation, functools.partial(_make, operation), "PrivateUse1")
    return rest, ranges


@contextlib.contextmanager
def present() -> Iterator[torch.device]:
    """Make the device available to PyTorch in the context."""
    register()
    # `torch.tensor` must copy by operations that are counted here.
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        # Autograd starts its threads at the first backward pass, for the devices present then.
        with torch.autograd.set_multithreading_enabled(False):
            yield torch.device(NAME, 0)
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
