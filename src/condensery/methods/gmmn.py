"""GMMN: images sampled from a generative moment matching network (Li, Swersky and Zemel 2015)."""

from __future__ import annotations

from condensery.methods.base import register
from condensery.methods.sampling import Sampling


@register
class MomentMatchingNetwork(Sampling):
    """Samples of the generator of ``condensery.generators.gmmn``, which has the parameters."""

    name = "gmmn"
