"""Imports all that any command does, in the server that forks the children."""

from __future__ import annotations

import importlib
import pkgutil

from condensery import commands

for module in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}."):
    importlib.import_module(module.name)
