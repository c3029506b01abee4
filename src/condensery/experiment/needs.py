"""The files that methods need and that are trained beforehand.

A new kind needs an entry here, a script and a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment.plans import EXPERT_RECIPE, PAIRS_RECIPE, POOL_RECIPE
from condensery.experiment.targets import SetId

if TYPE_CHECKING:
    from condensery.experiment.config import Config


@dataclass(frozen=True)
class Need:
    """A kind of file that is trained beforehand and shared by sets.

    Attributes:
        rule: the rule of the workflow that trains it.
        path: the path of the file relative to the results, without suffix. Its fields are coordinates of a
            set and ``{part}``.
        step_rule: the rule that trains it for one step of continual learning, on the data of that step.
        step_path: the path of that file, likewise, with coordinates of the step; "" if continual learning
            does not support this kind.
        optional: whether a method trains it for each set if it is not given.
        section: the key of a protocol that describes it; "" if there is none.
        parts: returns the names of the parts, each a file.
        settings: returns the settings from which the file for a set is trained.
    """

    rule: str
    path: str
    step_rule: str = ""
    step_path: str = ""
    optional: bool = False
    section: str = ""
    parts: Callable[[Config], Iterable[str]] = lambda _: ("",)
    settings: Callable[[Config, SetId], Mapping[str, Any]] = lambda _config, _set_id: {}

    def paths(self, config: Config, set_id: SetId) -> list[str]:
        """Return the paths of the files for a set, relative to the results and without suffix."""
        return [self.path.format(**set_id._asdict(), part=part) for part in self.parts(config)]


def _networks(name: str, recipe: str, parts: Callable[[Config], Iterable[str]]) -> Need:
    """Return the need of network states that all sets of a data set and network share, trained in parts.

    Args:
        name: the name of the rule, of the folder and of the key of a protocol.
        recipe: the recipe of their training.
        parts: see `Need`.
    """
    return Need(
        rule=name,
        path=f"{name}/{{dataset}}/{{network}}/{{part}}",
        settings=lambda config, set_id: {
            name: config.spec[name],
            "training": config.recipe(recipe, set_id.dataset, network=set_id.network),
        },
        section=name,
        parts=parts,
    )


NEEDS: Mapping[str, Need] = {
    "features": Need(
        rule="pretrain",
        path="features/{dataset}/{network}/seed{seed}",
        settings=lambda config, set_id: config.recipe("features", set_id.dataset, network=set_id.network),
        step_rule="continual_features",
        step_path="continual/{tasks}/steps{steps}/features/{network}/order{order}/step{step}",
    ),
    "pool": _networks("pool", POOL_RECIPE, lambda config: config.required_pool().parts()),
    "pairs": _networks("pairs", PAIRS_RECIPE, lambda config: config.required_pairs().parts()),
    "experts": _networks("experts", EXPERT_RECIPE, lambda config: config.required_experts().parts()),
    "generator": Need(
        rule="generator",
        path="generators/{dataset}/{method}/seed{seed}",
        settings=lambda config, set_id: config.generator_parameters(set_id.dataset, set_id.method),
        optional=True,
    ),
}
"""The kinds that an entry of methods.yaml may list under ``needs``: a network trained on the whole set, whose
features are used; all networks of a pool; pairs of networks before and after their training; experts; a
generator."""


def needed(config: Config, set_id: SetId) -> dict[str, list[str]]:
    """Return the files that a set needs: name of the need -> paths in the results, without suffix."""
    return {name: NEEDS[name].paths(config, set_id) for name in config.needs(set_id.method)}


def needed_in_step(config: Config, method: str, coordinates: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that a step of continual learning needs: name of the need -> path, see `needed`.

    Args:
        config: the configuration.
        method: name of the method.
        coordinates: ``tasks``, ``steps``, ``network``, ``order`` and ``step`` of the step.
    """
    known = {name: NEEDS[name].step_path for name in config.needs(method)}
    return {name: path.format(**coordinates) for name, path in known.items() if path}


def parse(words: Iterable[str]) -> dict[str, list[Path]]:
    """Read the values of the option ``--with``, words such as ``features=FILE``.

    Raises:
        CondenseryError: a word has another form or an unknown name.
    """
    found: dict[str, list[Path]] = {}
    for word in words:
        name, _, file = word.partition("=")
        if name not in NEEDS or not file:
            raise CondenseryError(f"{word!r} is not NAME=FILE: NAME is one of {', '.join(NEEDS)}")
        found.setdefault(name, []).append(Path(file))
    return found
