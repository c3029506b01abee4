"""Imports once, in the server that forks the children, what takes a command or a plan a second or more."""

from __future__ import annotations

import importlib
import pkgutil

from condensery import commands
from condensery.machine.versions import versions

LATER = (
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.font_manager",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.manifold",
    "torch._dynamo",
    "snakemake.cli",
    "tests.workflows",
)
"""Modules that commands import on demand, and those that plan the workflow."""

for module in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}."):
    importlib.import_module(module.name)
for name in LATER:
    importlib.import_module(name)
versions()  # reads and caches the digest of the code
