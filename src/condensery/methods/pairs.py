"""Networks before and after their training, and networks interpolated between the two.

Source: DANCE (Zhang et al. 2024); NCFM (Wang et al. 2025) uses the same networks.
"""

from __future__ import annotations

import torch

from condensery import streams
from condensery.methods.base import Problem
from condensery.networks import Network
from condensery.pool.store import Member, Pool, load_weights


class Pairs:
    """Draws, for each step, a pair of networks and a share for the interpolation between their weights."""

    def __init__(self, problem: Problem) -> None:
        """Open the pairs of a problem.

        Raises:
            CondenseryError: the pairs are missing, or belong to another data set or network.
        """
        pool = Pool.open(problem.needed("pairs", "pairs"), problem.data.info.name, problem.network)
        self._pairs, self._seed = pool.pairs(), problem.seed

    def between(self, net: Network, step: int) -> None:
        """Set the weights of a network to the interpolation of the step, whose share is uniform in [0, 1)."""
        (initial, trained), share = self._drawn(step)
        load_weights(net, torch.lerp(trained.weights().float(), initial.weights().float(), share))

    def trained(self, net: Network, step: int) -> None:
        """Set the weights of a network to those of the step's pair after its training."""
        (_, trained), _ = self._drawn(step)
        load_weights(net, trained.weights())

    def _drawn(self, step: int) -> tuple[tuple[Member, Member], float]:
        stream = streams.generator(self._seed, "pair", step)
        chosen = int(torch.randint(len(self._pairs), (), generator=stream))
        return self._pairs[chosen], torch.rand((), generator=stream).item()
