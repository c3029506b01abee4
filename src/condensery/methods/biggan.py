"""BigGAN: images sampled from a class-conditional adversarial network (Brock, Donahue and Simonyan 2019)."""

from __future__ import annotations

from condensery.methods.base import register
from condensery.methods.sampling import Sampling


@register
class BigGan(Sampling):
    """Samples of the generator of ``condensery.generators.biggan``, which has the parameters."""

    name = "biggan"
