"""Whether labels of towns look like genuine ones: the same figures of both."""

import torch
from rich.console import Console
from rich.markdown import Markdown

from worldloom.apps.bench.result import Row
from worldloom.geometry import FREE, OCC3D_CLASSES
from worldloom.synth.towns.town import make_town
from worldloom.synth.traffic.drive import drive_town
from worldloom.synth.voxels.occupancy_statistics import (
    GENUINE_LABEL,
    TRAINING_AVERAGE,
    OccupancyStatistics,
    occupancy_statistics,
    statistics_table,
)
from worldloom.synth.voxels.voxelize import Voxelizer, voxelized_frames

_SEEDS = (0, 1, 2, 3, 4, 5, 7, 11)
_EVERY = 6  # frames: neighbours look alike


def statistics_rows(quick: bool) -> list[Row]:
    """Print all figures beside those of genuine labels; give the most telling ones as rows."""
    frames = town_statistics(_SEEDS[1:2], 3.0) if quick else town_statistics()
    Console().print(Markdown(statistics_table(GENUINE_LABEL, frames, TRAINING_AVERAGE)))
    note = f"mean of {len(frames)} frames of {1 if quick else len(_SEEDS)} towns"
    voxels = torch.stack([frame.classes for frame in frames]).mean(0).tolist()
    rows = [
        Row(
            f"voxels_{name}",
            voxels[c],
            "",
            baseline={"one Occ3D label": float(GENUINE_LABEL.classes[c]), "Occ3D average": float(TRAINING_AVERAGE[c])},
            note=note,
        )
        for c, name in enumerate(OCC3D_CLASSES[:FREE])
    ]
    heights = torch.stack([frame.heights for frame in frames]).mean(0)
    for low, high in ((0, 1), (2, 5), (6, 11), (12, 15)):
        own, genuine = (float(of[low : high + 1].sum()) for of in (heights, GENUINE_LABEL.heights))
        rows.append(Row(f"voxels_layers_{low}_{high}", own, "", baseline={"one Occ3D label": genuine}, note=note))
    for name in ("mask_lidar", "mask_camera"):
        share = sum(getattr(frame, name) for frame in frames) / len(frames)
        genuine = getattr(GENUINE_LABEL, name)
        rows.append(Row(f"{name}_share", share, "", baseline={"one Occ3D label": genuine}, note=note))
    return rows


def town_statistics(seeds: tuple[int, ...] = _SEEDS, seconds: float = 12.0) -> list[OccupancyStatistics]:
    """Figures of some frames of a drive through each town, as sensed."""
    figures = []
    for seed in seeds:
        town = make_town(seed)
        drive = drive_town(town, seconds, seed)
        for number, frame in enumerate(voxelized_frames(town, drive, Voxelizer(town))):
            if number % _EVERY == _EVERY - 2:
                figures.append(occupancy_statistics(*frame))
    return figures
