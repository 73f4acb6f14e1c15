"""A memory of the static world in blocks of voxels, and of the frames that saw it."""

from worldloom.occupancy.memory.memory import Memory
from worldloom.occupancy.memory.memory_file import load_memory, save_memory

__all__ = ["Memory", "load_memory", "save_memory"]
