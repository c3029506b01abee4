"""The description of experiments: reading config/ strictly and resolving what one job needs."""

from __future__ import annotations

from condensery.experiment.config import Config
from condensery.experiment.loading import load_config
from condensery.experiment.plans import EARLY_STOPPING, Search
from condensery.experiment.targets import Evaluation, SetId, WholeEvaluation

__all__ = ["EARLY_STOPPING", "Config", "Evaluation", "Search", "SetId", "WholeEvaluation", "load_config"]
