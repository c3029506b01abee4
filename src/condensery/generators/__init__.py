"""Generators of images: trained once on the real images of a data set, and then sampled from."""

from condensery.generators.base import Generator, Setting, sample
from condensery.generators.loop import KINDS, build, train

__all__ = ["KINDS", "Generator", "Setting", "build", "sample", "train"]
