"""Clips for training and evaluation, from synthetic towns, nuScenes with Occ3D, and info pickles; windows of protocols.

clips = open_clips("runs/clips", split="val")
protocol = PROTOCOLS["ours"]
for window, past, future in each_window(clips, protocol):
    ...
print(windows([len(clip) for clip in clips], protocol))
"""

from worldloom.occupancy.data.check import DataReport, check_data
from worldloom.occupancy.data.clips import (
    Clip,
    Mask,
    Pair,
    anchored,
    counterfactual_pairs,
    open_clips,
    open_infos,
    open_nuscenes,
    open_towns,
)
from worldloom.occupancy.data.protocols import (
    PROTOCOLS,
    Protocol,
    Window,
    Windows,
    each_window,
    long_rollout,
    windows,
)
from worldloom.occupancy.data.splits import TOWN_SPLITS, split_of_town

__all__ = [
    "PROTOCOLS",
    "TOWN_SPLITS",
    "Clip",
    "DataReport",
    "Mask",
    "Pair",
    "Protocol",
    "Window",
    "Windows",
    "anchored",
    "check_data",
    "counterfactual_pairs",
    "each_window",
    "long_rollout",
    "open_clips",
    "open_infos",
    "open_nuscenes",
    "open_towns",
    "split_of_town",
    "windows",
]
