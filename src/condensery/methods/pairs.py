"""Networks as they are before and after their training, and on the line between the two.

Source: DANCE (Zhang et al. 2024), whose networks NCFM (Wang et al. 2025) takes over.
"""

from __future__ import annotations

import torch

from condensery import streams
from condensery.methods.base import Problem
from condensery.networks import Network
from condensery.pool.store import Member, Pool, load_weights


class Pairs:
    """Draws a pair of networks for each step, and a point on the line between their weights."""

    def __init__(self, problem: Problem) -> None:
        """Open the pairs of a problem.

        Raises:
            CondenseryError: they are missing, or are of another data set or network.
        """
        pool = Pool.open(problem.needed("pairs", "pairs"), problem.data.info.name, problem.network)
        self._pairs, self._seed = pool.pairs(), problem.seed

    def between(self, net: Network, step: int) -> None:
        """Set the weights of a network to those at the point that the step draws, each equally likely."""
        (initial, trained), share = self._drawn(step)
        load_weights(net, torch.lerp(trained.weights().float(), initial.weights().float(), share))

    def trained(self, net: Network, step: int) -> None:
        """Set the weights of a network to those of the same pair after its training."""
        (_, trained), _ = self._drawn(step)
        load_weights(net, trained.weights())

    def _drawn(self, step: int) -> tuple[tuple[Member, Member], float]:
        stream = streams.generator(self._seed, "pair", step)
        chosen = int(torch.randint(len(self._pairs), (), generator=stream))
        return self._pairs[chosen], torch.rand((), generator=stream).item()
