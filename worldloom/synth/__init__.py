"""Procedural worlds with exact truth."""

from worldloom.synth.samples import sample_clip_path, sample_panorama_path, sample_panorama_truth_path
from worldloom.synth.world import SEMANTICS, SKY, Material, Part, Thing, World

__all__ = [
    "SEMANTICS",
    "SKY",
    "Material",
    "Part",
    "Thing",
    "World",
    "sample_clip_path",
    "sample_panorama_path",
    "sample_panorama_truth_path",
]
