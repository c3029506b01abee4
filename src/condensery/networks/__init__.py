"""The networks of the papers, by name: `build`, `initialise` and the names that exist."""

from condensery.architectures import canonical, search_space
from condensery.networks.base import Network
from condensery.networks.initialise import initialise
from condensery.networks.inspection import activations, mixes_images
from condensery.networks.names import build

__all__ = [
    "Network",
    "activations",
    "build",
    "canonical",
    "initialise",
    "mixes_images",
    "search_space",
]
