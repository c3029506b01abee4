"""The networks of the papers, by name: `build`, `initialize` and the names that exist."""

from condensery.architectures import canonical, search_space
from condensery.networks.base import Network
from condensery.networks.initialize import assign, draw, initialize
from condensery.networks.inspection import activations, mixes_images
from condensery.networks.names import build

__all__ = [
    "Network",
    "activations",
    "assign",
    "build",
    "canonical",
    "draw",
    "initialize",
    "mixes_images",
    "search_space",
]
