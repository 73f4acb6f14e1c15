"""Metrics of forecast occupancy: accuracy, bits, action following, drift, physics, risk and planning."""

from worldloom.occupancy.metrics.groups import VRU
from worldloom.occupancy.metrics.semantic import SemanticScore, score_forecast

__all__ = ["VRU", "SemanticScore", "score_forecast"]
