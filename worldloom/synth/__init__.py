"""Procedural worlds with exact truth."""

from worldloom.synth.cast import Hits, World
from worldloom.synth.room import Quality, Room, make_room, render_panorama_truth
from worldloom.synth.samples import sample_clip_path, sample_panorama_path, sample_panorama_truth_path
from worldloom.synth.solids import Box, Ellipsoid, Frustum, Material, Solid, Thing, put
from worldloom.synth.street import Street, line_of_sight, make_street

__all__ = [
    "Box",
    "Ellipsoid",
    "Frustum",
    "Hits",
    "Material",
    "Quality",
    "Room",
    "Solid",
    "Street",
    "Thing",
    "World",
    "line_of_sight",
    "make_room",
    "make_street",
    "put",
    "render_panorama_truth",
    "sample_clip_path",
    "sample_panorama_path",
    "sample_panorama_truth_path",
]
