"""Score any set: accuracy beside random images and the whole set, and the figures that are made of them."""

from __future__ import annotations

from condensery.scoring.opening import open_job
from condensery.scoring.scores import Comparison, Score, score, score_set

__all__ = ["Comparison", "Score", "open_job", "score", "score_set"]
