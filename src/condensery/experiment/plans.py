"""A protocol's plans of its search, its pools and pairs of networks, its experts and its map of features."""

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
        dataset: the data set.
        proxies: methods, whose sets of seed 0 are trained on, and `EARLY_STOPPING`.
        ipc: images per class of the proxies.
        networks: how many networks of the space are trained; drawn at random unless these are all.
        widths: of the networks that they are drawn from.
        repeats: trainings of each network, each from another seed.
        validation: the share of the training images that is held out to rank by.
        training_images: how many of the others the search uses; all if None.
        seed: of the validation images and of the drawn networks.
        networks_per_job: how many networks one job trains.
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
        """Return the search that a protocol's ``search`` describes; it has been checked."""
        lists = {key: tuple(content[key]) for key in ("proxies", "widths") if key in content}
        return cls(**{**content, **lists})

    @property
    def candidates(self) -> tuple[str, ...]:
        """The sets that every network is trained on: the proxies, and the whole set."""
        return (*self.proxies, WHOLE)

    @property
    def split(self) -> dict[str, Any]:
        """The settings that determine the training and the validation images of the search."""
        return {key: getattr(self, key) for key in ("validation", "training_images", "seed")}

    def parts(self) -> list[str]:
        """Return the name of each job's part of the networks, such as ``3-of-30``."""
        return parts(self.networks, self.networks_per_job)

    def set_of(self, proxy: str, network: str) -> SetId | None:
        """Return the set of a proxy, condensed with a network; None if the proxy is not a set."""
        is_set = proxy not in (EARLY_STOPPING, WHOLE)
        return SetId(self.dataset, proxy, network, self.ipc, 0) if is_set else None


POOL_RECIPE = "pool"
"""The recipe of the networks of a pool."""


@dataclass(frozen=True)
class PoolPlan:
    """A pool of each data set and network that needs one: the key ``pool`` of a protocol.

    Attributes:
        networks: how many networks are trained.
        networks_per_job: how many of them one job trains.
        states: how many states of each are stored.
        validation: the share of the training images that is held out to measure the accuracy of a state.
        seed: of the validation images.
        training_images: how many of the others the networks are trained on; all if None.
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
        networks: how many networks are trained, of each data set and network that needs them.
        networks_per_job: how many of them one job trains.
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
    """The experts of each data set and network that needs them: the key ``experts`` of a protocol.

    Attributes:
        networks: how many are trained.
        networks_per_job: how many of them one job trains.
    """

    networks: int
    networks_per_job: int

    def parts(self) -> list[str]:
        """Return the name of each job's part of the experts, such as ``3-of-10``."""
        return parts(self.networks, self.networks_per_job)


def state_steps(steps: int, states: int) -> list[int]:
    """Return after how many steps to take the states of a network: after one, after all, and between.

    They are even on a logarithmic axis, as is, roughly, the accuracy of a network, so that states of all
    accuracies are taken. There are fewer than ``states`` where there are not enough steps.
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
    """Return the map that a target shows: with the set of seed 0 of each method and ipc.

    Raises:
        CondenseryError: the protocol does not list the target.
    """
    (block,) = config.blocks(target)
    (dataset,) = block["datasets"]
    network = block.get("networks", [config.network(dataset)])[0]
    sets = tuple(sets_of({**block, "sets": EMBEDDING_SEED + 1}, {dataset: network}, 1))
    return Embedding(dataset, network, sets, block["classes"], block["real_images"])
