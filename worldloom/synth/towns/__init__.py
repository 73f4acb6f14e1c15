"""Towns that stand: roads, ground, blocks, and what is on them."""

from worldloom.synth.towns.town import Town, make_town

__all__ = ["Town", "make_town"]
