"""Condensation methods, one module per method; every module in this folder is imported."""

from __future__ import annotations

import importlib
import pkgutil

from condensery.methods.base import Method, Problem, get, names, register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Method", "Problem", "get", "names", "register"]
