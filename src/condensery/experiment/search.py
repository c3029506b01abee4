"""What a protocol says of the architecture search, and the jobs that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment.pools import draws_from_pool
from condensery.experiment.reading import unknown
from condensery.experiment.targets import WHOLE, SetId, parts

if TYPE_CHECKING:
    from condensery.experiment.config import Config

TARGETS = ("table5", "figure_nas")
"""What a protocol with a search makes besides its ``targets``."""

EARLY_STOPPING = "early_stopping"
"""The proxy that is the whole training set, for as many steps as training on another proxy takes."""

WIDTHS = (32, 64, 128, 256)
PER_WIDTH = 180
"""Networks of each width in the search space."""


@dataclass(frozen=True)
class Search:
    """An architecture search: the key ``search`` of a protocol.

    Attributes:
        dataset: what is searched on.
        proxies: methods, whose sets of seed 0 are trained on, and `EARLY_STOPPING`.
        ipc: images per class of the proxies.
        networks: how many networks of the space are trained; drawn if these are not all.
        widths: of the networks that they are drawn from.
        repeats: how often each network is trained.
        validation: how much of the training images is held out to rank by.
        training_images: how many of the others the search knows; all if None.
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
        """What every network is trained on: the proxies, and the whole set."""
        return (*self.proxies, WHOLE)

    @property
    def split(self) -> dict[str, Any]:
        """What decides which images the search may know, and which it ranks by."""
        return {key: getattr(self, key) for key in ("validation", "training_images", "seed")}

    def parts(self) -> list[str]:
        """Return the name of each job's part of the networks, such as ``3-of-30``."""
        return parts(self.networks, self.networks_per_job)

    def set_of(self, proxy: str, network: str) -> SetId | None:
        """Return the set that is a proxy, condensed with a network; None where the proxy is no set."""
        is_set = proxy not in (EARLY_STOPPING, WHOLE)
        return SetId(self.dataset, proxy, network, self.ipc, 0) if is_set else None


def check_target(config: Config, file: Path) -> None:
    """Check what the schema cannot: names, and the number of networks.

    Raises:
        CondenseryError: the first thing that cannot be used.
    """
    search = config.search
    if search is None:
        return
    where = f"{file}: search"
    if search.dataset not in config.datasets:
        raise CondenseryError(f"{where}.dataset: {unknown('data set', search.dataset, config.datasets)}")
    for proxy in search.proxies:
        if proxy == EARLY_STOPPING:
            continue
        if proxy not in config.methods:
            known = [*config.methods, EARLY_STOPPING]
            raise CondenseryError(f"{where}.proxies: {unknown('proxy', proxy, known)}")
        made = search.set_of(proxy, config.network(search.dataset))
        needs = config.method(proxy)["needs_features"] or config.needs_generator(proxy)
        if needs or draws_from_pool(config, made):
            raise CondenseryError(
                f"{where}.proxies: {proxy} looks through networks trained on the whole set, which have seen "
                "the validation images; give a method that needs none"
            )
    limit = PER_WIDTH * len(search.widths)
    if search.networks > limit:
        raise CondenseryError(
            f"{where}.networks: must be at most {limit}, the networks of width "
            f"{', '.join(map(str, search.widths))}, not {search.networks}"
        )
