"""DM with networks drawn from a group of trained networks, instead of random networks.

Source: *Dataset Condensation with Distribution Matching*, section 3.4 and Table 4.
"""

from __future__ import annotations

import torch

from condensery import streams
from condensery.experiment.groups import RANDOM
from condensery.methods.base import Problem, register
from condensery.methods.dm import DistributionMatching, Weights
from condensery.networks import Network
from condensery.pool.store import Pool, load_weights


@register
class PoolMatching(DistributionMatching):
    """DM that draws the network of each iteration uniformly from the states of a group of the pool.

    Parameters (``config/methods.yaml``): those of DM; ``network_group``, one of
    :data:`condensery.experiment.groups.GROUPS`. ``random`` is DM itself.
    """

    name = "dm-pool"

    def weights(self, problem: Problem) -> Weights:
        """See :class:`DistributionMatching`.

        Raises:
            CondenseryError: the pool is missing, or has no state in the group.
        """
        group = problem.parameters["network_group"]
        if group == RANDOM:
            return super().weights(problem)
        pool = Pool.open(problem.needed("pool", "pool"), problem.data.info.name, problem.network)
        members = pool.group(group)

        def draw(net: Network, step: int) -> None:
            stream = streams.generator(problem.seed, "pool", step)
            load_weights(net, members[int(torch.randint(len(members), (), generator=stream))].weights())

        return draw
