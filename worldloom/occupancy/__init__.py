"""Forecasts of 4D occupancy and the metrics that judge them."""

from worldloom.occupancy.forecast import copy_last, copy_warp
from worldloom.occupancy.future_path import FuturePath, lay_path
from worldloom.occupancy.metrics import SemanticScore, score_forecast

__all__ = ["FuturePath", "SemanticScore", "copy_last", "copy_warp", "lay_path", "score_forecast"]
