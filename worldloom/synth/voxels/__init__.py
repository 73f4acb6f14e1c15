"""Occupancy truth of towns and drives."""

from worldloom.synth.voxels.voxelize import Voxelizer, voxelize_drive

__all__ = ["Voxelizer", "voxelize_drive"]
