"""What methods need that is trained beforehand, and where it lies.

Another kind is an entry here, a script and a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment.targets import SetId

if TYPE_CHECKING:
    from condensery.experiment.config import Config


@dataclass(frozen=True)
class Need:
    """A kind of thing that is trained beforehand and shared by sets.

    Attributes:
        rule: the rule of the workflow that trains it.
        path: where it lies below the results, without suffix, from coordinates of a set and ``{part}``.
        step_rule: the rule that trains it for one step of continual learning, on what that step sees.
        step_path: likewise, from coordinates of the step; where there is none, a method has to do without.
        optional: whether a method without it trains what it needs for one set.
        section: the key of a protocol that describes it, if there is one; a set then records what it was.
        parts: the names of its files, where there are several.
    """

    rule: str
    path: str
    step_rule: str = ""
    step_path: str = ""
    optional: bool = False
    section: str = ""
    parts: Callable[[Config], Iterable[str]] = lambda _: ("",)

    def paths(self, config: Config, set_id: SetId) -> list[str]:
        """Return where the files for a set lie below the results, without suffix."""
        return [self.path.format(**set_id._asdict(), part=part) for part in self.parts(config)]


NEEDS: Mapping[str, Need] = {
    "features": Need(
        rule="pretrain",
        path="features/{dataset}/{network}/seed{seed}",
        step_rule="continual_features",
        step_path="continual/{tasks}/steps{steps}/features/{network}/order{order}/step{step}",
    ),
    "pool": Need(
        rule="pool",
        path="pool/{dataset}/{network}/{part}",
        section="pool",
        parts=lambda config: config.pool.parts(),
    ),
    "generator": Need(
        rule="generator",
        path="generators/{dataset}/{method}/seed{seed}",
        optional=True,
    ),
}
"""What an entry of methods.yaml may name under ``needs``: a network trained on the whole set, whose features
are looked at; all networks of a pool; a generator."""


def needed(config: Config, set_id: SetId) -> dict[str, list[str]]:
    """Return what a set is condensed with: name of the need -> paths below the results, without suffix."""
    return {name: NEEDS[name].paths(config, set_id) for name in config.needs(set_id.method)}


def needed_in_step(config: Config, method: str, coordinates: Mapping[str, Any]) -> dict[str, str]:
    """Return what a step of continual learning is condensed with; otherwise as `needed`.

    Args:
        config: the configuration.
        method: the method.
        coordinates: ``tasks``, ``steps``, ``network``, ``order`` and ``step``.
    """
    known = {name: NEEDS[name].step_path for name in config.needs(method)}
    return {name: path.format(**coordinates) for name, path in known.items() if path}


def parse(words: Iterable[str]) -> dict[str, list[Path]]:
    """Read what a command line gives of these things, words such as ``features=FILE``.

    Raises:
        CondenseryError: a word is not like that, or names something else.
    """
    found: dict[str, list[Path]] = {}
    for word in words:
        name, _, file = word.partition("=")
        if name not in NEEDS or not file:
            raise CondenseryError(f"{word!r} is not NAME=FILE: NAME is one of {', '.join(NEEDS)}")
        found.setdefault(name, []).append(Path(file))
    return found
