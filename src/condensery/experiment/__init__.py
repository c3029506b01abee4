"""The description of experiments: strict reading of config/, and the resolution of one job's settings."""

from __future__ import annotations

from condensery.experiment.config import Config
from condensery.experiment.loading import load_config
from condensery.experiment.plans import EARLY_STOPPING, Search
from condensery.experiment.targets import Evaluation, SetId, WholeEvaluation

__all__ = ["EARLY_STOPPING", "Config", "Evaluation", "Search", "SetId", "WholeEvaluation", "load_config"]
