"""A protocol's plans: the search, the pools and pairs of networks, the experts and the map of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from condensery.experiment.targets import WHOLE, SetId, parts, sets_of

if TYPE_CHECKING:
    from condensery.experiment.config import Config

EARLY_STOPPING = "early_stopping"
"""The proxy that trains on the whole training set, for as many steps as the other proxies."""

WIDTHS = (32, 64, 128, 256)
PER_WIDTH = 180
"""Networks of each width in the search space."""


@dataclass(frozen=True)
class Search:
    """An architecture search: the key ``search`` of a protocol.

    Attributes:
        dataset: name of the data set.
        proxies: names of methods, whose sets of seed 0 are the proxies, and `EARLY_STOPPING`.
        ipc: images per class of the proxies.
        networks: number of trained networks; if not all of the space, they are drawn at random.
        widths: widths of the networks in the space, in channels.
        repeats: number of trainings per network, each with another seed.
        validation: share of the training images that is held out for the ranking.
        training_images: number of the other training images that the search uses; None uses all.
        seed: seed of the choice of validation images and of networks.
        networks_per_job: number of networks that one job trains.
    """

    dataset: str
    proxies: tuple[str, ...]
    ipc: int
    networks: int
    repeats: int
    validation: float
    seed: int
    networks_per_job: int
    widths: tuple[int, ...] = WIDTHS
    training_images: int | None = None

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Search:
        """Return the search that a protocol describes under ``search``, whose content has been checked."""
        lists = {key: tuple(content[key]) for key in ("proxies", "widths") if key in content}
        return cls(**{**content, **lists})

    @property
    def candidates(self) -> tuple[str, ...]:
        """What every network is trained on: the proxies, and the whole set."""
        return (*self.proxies, WHOLE)

    @property
    def split(self) -> dict[str, Any]:
        """The settings that determine the training and the validation images of the search."""
        return {key: getattr(self, key) for key in ("validation", "training_images", "seed")}

    def parts(self) -> list[str]:
        """Return the name of each job's part of the networks, such as ``3-of-30``."""
        return parts(self.networks, self.networks_per_job)

    def set_of(self, proxy: str, network: str) -> SetId | None:
        """Return the coordinates of a proxy condensed with a network; None if the proxy is not a set."""
        is_set = proxy not in (EARLY_STOPPING, WHOLE)
        return SetId(self.dataset, proxy, network, self.ipc, 0) if is_set else None


POOL_RECIPE = "pool"
"""The recipe of the networks of a pool."""


@dataclass(frozen=True)
class PoolPlan:
    """The pool of every data set and network that needs one: the key ``pool`` of a protocol.

    Attributes:
        networks: number of trained networks.
        networks_per_job: number of networks that one job trains.
        states: number of stored states per network.
        validation: share of the training images that is held out to measure the accuracy of states.
        seed: seed of the choice of validation images.
        training_images: number of the other images that the networks are trained on; None uses all.
    """

    networks: int
    networks_per_job: int
    states: int
    validation: float
    seed: int
    training_images: int | None = None

    @property
    def split(self) -> dict[str, Any]:
        """The settings that determine the training images of the networks and the validation images."""
        return {key: getattr(self, key) for key in ("validation", "training_images", "seed")}

    def parts(self) -> list[str]:
        """Return the name of each job's part of the networks, such as ``3-of-50``."""
        return parts(self.networks, self.networks_per_job)


PAIRS_RECIPE = "teacher"
"""The recipe of the networks of pairs."""


@dataclass(frozen=True)
class PairsPlan:
    """Networks before and after their training on all images: the key ``pairs`` of a protocol.

    Attributes:
        networks: number of trained networks per data set and network that needs pairs.
        networks_per_job: number of networks that one job trains.
    """

    networks: int
    networks_per_job: int

    def parts(self) -> list[str]:
        """Return the name of each job's part of the networks, such as ``3-of-20``."""
        return parts(self.networks, self.networks_per_job)


EXPERT_RECIPE = "expert"
"""The recipe of experts."""


@dataclass(frozen=True)
class ExpertPlan:
    """The experts of every data set and network that needs them: the key ``experts`` of a protocol.

    Attributes:
        networks: number of experts.
        networks_per_job: number of experts that one job trains.
    """

    networks: int
    networks_per_job: int

    def parts(self) -> list[str]:
        """Return the name of each job's part of the experts, such as ``3-of-10``."""
        return parts(self.networks, self.networks_per_job)


def state_steps(steps: int, states: int) -> list[int]:
    """Return the numbers of steps after which states of a network are stored, from 1 to ``steps``.

    They are evenly spaced on a logarithmic axis. The accuracy of a network grows roughly evenly on this axis,
    so that states of all accuracies are stored. There are fewer than ``states`` if there are too few steps.
    """
    return sorted({round(steps ** (1 - number / max(1, states - 1))) for number in range(states)})


EMBEDDING_SEED = 0
"""The seed of the sets and of the network whose features are mapped."""


class Embedding(NamedTuple):
    """A map of features: its data set, its network, its sets and the number of images."""

    dataset: str
    network: str
    sets: tuple[SetId, ...]
    classes: int
    real_images: int


def embedding(config: Config, target: str) -> Embedding:
    """Return the map that a target shows, with the set of seed 0 of each method and ipc.

    Raises:
        CondenseryError: the protocol does not list the target.
    """
    (block,) = config.blocks(target)
    (dataset,) = block["datasets"]
    network = block.get("networks", [config.network(dataset)])[0]
    sets = tuple(sets_of({**block, "sets": EMBEDDING_SEED + 1}, {dataset: network}, 1))
    return Embedding(dataset, network, sets, block["classes"], block["real_images"])
