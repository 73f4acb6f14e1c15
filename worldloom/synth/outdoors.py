"""Outdoor worlds by seed: streets, courtyards and fields."""

from worldloom.synth.courtyard import make_courtyard
from worldloom.synth.field import make_field
from worldloom.synth.street_scene import make_street

__all__ = ["make_courtyard", "make_field", "make_street"]
