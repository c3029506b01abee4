"""VAE: images sampled from a class-conditional variational autoencoder (Kingma and Welling 2014)."""

from __future__ import annotations

from condensery.methods.base import register
from condensery.methods.sampling import Sampling


@register
class VariationalAutoencoder(Sampling):
    """Samples of the generator of ``condensery.generators.vae``, which has the parameters."""

    name = "vae"
