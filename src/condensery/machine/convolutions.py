"""Compilation of convolutions on a CPU in float32: channels-last maps, and Winograd's algorithm for 3 x 3.

Convolutions are replaced in the compiler's graph of a function and its derivatives of any order. There a
convolution, its two gradients and the gradients of these are all convolutions, or gradients of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch.fx import Graph, Node

from condensery.machine import winograd

_aten = torch.ops.aten
_Target = Callable[..., Any]
_Result = TypeVar("_Result")


def compiled(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """Return a function compiled this way; its arguments include images, (n, C, H, W)."""
    inner = torch.compile(function, dynamic=False, options={"post_grad_custom_pre_pass": _REPLACEMENT})

    def call(*arguments: Any) -> _Result:
        # Channels-last inputs stay channels-last in every layer.
        return inner(*(_channels_last(argument) for argument in arguments))

    return call


def _channels_last(argument: Any) -> Any:
    if isinstance(argument, Tensor) and argument.dim() == 4:
        return argument.contiguous(memory_format=torch.channels_last)
    return argument


class Replacement(CustomGraphPass):
    """Replaces the convolutions that :mod:`condensery.machine.winograd` supports."""

    def __call__(self, graph: Graph) -> None:
        """Rewrite the compiler's graph in place."""
        for node in list(graph.nodes):
            if node.target == _aten.convolution.default:
                _replace_convolution(graph, node)
            elif node.target == _aten.convolution_backward.default:
                _replace_gradients(graph, node)

    def uuid(self) -> str:
        """Return a key for the compiler's cache that differs between versions of this pass."""
        sources = (Path(__file__), Path(winograd.__file__))
        return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


# One object for all functions: with other options the compiler would start over for every network.
_REPLACEMENT = Replacement()


def _replace_convolution(graph: Graph, node: Node) -> None:
    arguments: tuple[Any, ...] = node.args
    images, weight, bias, *how = arguments
    *sizes, transposed, extra, groups = how
    if not _regular(weight, sizes, extra, groups):
        return
    if not winograd.serves(images.meta["val"], node.meta["val"].shape[1]):
        return
    with graph.inserting_before(node):
        new = _call(graph, torch.ops.condensery.convolve.default, images, weight, bias, transposed)
    node.replace_all_uses_with(new)
    graph.erase_node(node)


def _replace_gradients(graph: Graph, node: Node) -> None:
    arguments: tuple[Any, ...] = node.args
    gradient, images, weight, _, *how = arguments
    *sizes, transposed, extra, groups, _ = how
    if transposed or not _regular(weight, sizes, extra, groups):
        return
    if not winograd.serves(images.meta["val"], gradient.meta["val"].shape[1]):
        return
    for part in list(node.users):
        with graph.inserting_before(node):
            match part.args[1]:
                case 0:
                    convolve = torch.ops.condensery.convolve.default
                    new = _call(graph, convolve, gradient, weight, None, True)
                case 1:
                    new = _call(graph, torch.ops.condensery.correlate.default, images, gradient)
                case 2:
                    new = _call(graph, _aten.sum.dim_IntList, gradient, [0, 2, 3])
        part.replace_all_uses_with(new)
        graph.erase_node(part)
    graph.erase_node(node)


def _regular(weight: Node, sizes: list[list[int]], extra: list[int], groups: int) -> bool:
    """Say whether a convolution is of 3 x 3 with sizes (stride, padding, dilation) of 1, and nothing else."""
    taps = tuple(weight.meta["val"].shape[2:])
    ones = all(list(each) == [1, 1] for each in sizes)
    return taps == (3, 3) and ones and list(extra) == [0, 0] and groups == 1


def _call(graph: Graph, target: _Target, *arguments: Any) -> Node:
    """Insert a call and record its result's metadata, which the compiler needs."""
    new = graph.call_function(target, arguments)
    values = [each.meta["val"] if isinstance(each, Node) else each for each in arguments]
    with values[0].fake_mode:
        new.meta["val"] = target(*values)
    return new
