"""Furnished rooms, flats and halls."""

from worldloom.synth.rooms.room import make_room, room_plan, rooms_at

__all__ = ["make_room", "room_plan", "rooms_at"]
