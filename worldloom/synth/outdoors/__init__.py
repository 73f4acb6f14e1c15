"""Outdoor worlds by seed: streets, courtyards and fields."""

from worldloom.synth.outdoors.courtyard import make_courtyard
from worldloom.synth.outdoors.field import make_field
from worldloom.synth.outdoors.street_scene import make_street

__all__ = ["make_courtyard", "make_field", "make_street"]
