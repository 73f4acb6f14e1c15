"""Furnished rooms, flats and halls."""

from worldloom.synth.rooms.room import make_room

__all__ = ["make_room"]
