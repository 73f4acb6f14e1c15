"""Outdoor worlds by seed: streets, courtyards and fields."""

from worldloom.synth.street_scene import make_street

__all__ = ["make_street"]
