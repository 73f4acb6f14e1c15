"""Navigable Gaussian-splat scenes and 4D occupancy driving worlds."""

__version__ = "0.1.0"
