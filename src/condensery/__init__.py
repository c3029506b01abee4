"""Dataset condensation, reproduced: DM and DSA, table by table and figure by figure."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from condensery import data, methods
    from condensery.data import RealData
    from condensery.errors import CondenseryError
    from condensery.experiment import Config, load_config
    from condensery.scoring import score
    from condensery.synthetic import SyntheticSet

__version__ = "0.1.0"

__all__ = ["CondenseryError", "Config", "RealData", "SyntheticSet", "data", "load_config", "methods", "score"]

# Where each name is; a name that is not here is a module. PyTorch takes seconds to import, so nothing is
# imported before it is used (PEP 562).
_MODULES = {
    "CondenseryError": "errors",
    "Config": "experiment",
    "RealData": "data",
    "SyntheticSet": "synthetic",
    "load_config": "experiment",
    "score": "scoring",
}


def __getattr__(name: str) -> Any:
    """Import an attribute of the package, a name in ``__all__``, when it is first used.

    Raises:
        AttributeError: the package has no such name.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, name)}")
    return getattr(module, name) if name in _MODULES else module


def __dir__() -> list[str]:
    """Return the names in ``__all__`` and those of the module itself."""
    return sorted({*globals(), *__all__})
