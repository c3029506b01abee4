"""Score any set: its accuracy, that of random images and of the whole set, and figures that compare them."""

from __future__ import annotations

from condensery.scoring.opening import open_job
from condensery.scoring.scores import Comparison, Score, score, score_set

__all__ = ["Comparison", "Score", "open_job", "score", "score_set"]
