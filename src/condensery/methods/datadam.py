"""DataDAM: match the mean attention of the intermediate layers in addition to the mean features.

Source: Sajedi et al., *DataDAM: Efficient Dataset Distillation with Attention Matching*, 2023, and its
authors' public code.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.errors import CondenseryError
from condensery.methods import dm
from condensery.methods.base import Problem, register
from condensery.methods.dm import DistributionMatching
from condensery.networks import Network

# Factor of the whole loss, for which the learning rate is tuned (the authors' public code).
_FACTOR = 100


@register
class AttentionMatching(DistributionMatching):
    """DM that also matches the means of attention maps.

    Parameters besides those of DM: ``power``, the exponent p of activations before the sum over channels;
    ``feature_weight``, the weight of DM's loss relative to that of the attention.
    """

    name = "datadam"

    def matcher(self, problem: Problem) -> Matcher:
        """See :class:`condensery.methods.dm.DistributionMatching`.

        Raises:
            CondenseryError: the network has no intermediate maps.
        """
        return Matcher(problem)


class Matcher(dm.Matcher):
    """DM's loss on the concatenation of attention and features.

    The weighted sum of squared distances equals the squared distance of concatenated vectors, in which each
    part is multiplied by the root of its weight.
    """

    def features(self, network: Network) -> Callable[[Tensor], Tensor]:
        """See :class:`condensery.methods.dm.Matcher`.

        Raises:
            CondenseryError: the network has no layer with maps before its last layer.
        """
        if network.maps_given() < 2:
            raise CondenseryError(
                f"datadam matches the maps of a network's layers but the last, and {self._problem.network} "
                "has none: take a ConvNet of 2 or more blocks (--network)"
            )
        power = self._problem.parameters["power"]
        weight = math.sqrt(self._problem.parameters["feature_weight"])

        def both(images: Tensor) -> Tensor:
            maps, embedding = network.maps(images)
            parts = [attention(each.float(), power) for each in maps[:-1]]
            return math.sqrt(_FACTOR) * torch.cat([*parts, weight * embedding.float()], dim=1)

        return both


def attention(maps: Tensor, power: float) -> Tensor:
    """Return attention maps, (n, H * W), normalized to length 1 per image: where a network is active.

    Args:
        maps: activations, (n, C, H, W).
        power: the exponent p in the sum over channels of |activation|^p.
    """
    return F.normalize(maps.abs().pow(power).sum(1).flatten(1), dim=1)
