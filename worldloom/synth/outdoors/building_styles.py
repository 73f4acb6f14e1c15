"""Looks and proportions of kinds of buildings, from old brick to a glass office."""

from dataclasses import dataclass
from random import Random

from worldloom.synth.outdoors.facade_textures import (
    ashlar,
    boards,
    brick,
    concrete,
    painted,
    panes,
    roof_tiles,
    rubble,
    sheet_metal,
    stucco,
)
from worldloom.synth.textures import srgb, toned
from worldloom.synth.world import Colour, Material


@dataclass(frozen=True)
class Style:
    """What a front is made of; lengths in metres."""

    wall: Material
    base: Material  # of the ground storey
    trim: Material  # sills, cornices, slabs
    frame: Material  # of windows
    roof_cover: Material
    door: Material
    iron: Material
    brass: Material
    panes: tuple[Material, ...]
    shop_colours: tuple[Material, ...]
    shutters: Material | None
    far_glass: Colour
    storey: float = 3.1
    ground_storey: float = 3.6
    bay: float = 2.6
    window: tuple[float, float] = (1.15, 1.75)
    sill: float = 0.85  # above the floor
    arch: float = 0.0  # rise of window arches
    reveal: float = 0.22  # how deep windows lie
    bars: tuple[int, int] = (2, 2)  # panes across and upwards
    bar: float = 0.06
    surround: float = 0.0
    hood: bool = False
    cornice: float = 0.3
    bands: bool = False  # a string course at every floor
    balconies: float = 0.0  # share of bays of the front
    solid_balconies: float = 0.2
    roof: str = "gable"  # "flat", "gable", "front_gable", "hip" or "mansard"
    pitch: float = 0.75  # rise over run
    timbers: bool = False
    curtain_wall: bool = False


BUILDING_STYLES = ("brick", "stucco", "stone", "concrete", "glass", "timber", "cottage", "warehouse")


def building_style(name: str, seed: int) -> Style:
    """One of BUILDING_STYLES in the variant of a seed."""
    if name not in BUILDING_STYLES:
        raise ValueError(f"style must be one of {BUILDING_STYLES}, got {name!r}")
    random = Random(f"style {name} {seed}")

    def pick(*colours: str) -> Colour:
        return toned(srgb(random.choice(colours)), random.uniform(0.85, 1.12))

    def style(**looks: object) -> Style:
        defaults: dict[str, object] = {
            "trim": ashlar(seed + 1, pick("#cfc6b4", "#b9b0a0", "#d8d0c0"), (1.4, 0.6)),
            "frame": painted(seed + 2, pick("#e8e6e0", "#e8e6e0", "#4a3a2c", "#3d4a44", "#7b2f28"), "frame"),
            "roof_cover": roof_tiles(seed + 3, pick("#9a4f36", "#7d4634", "#5c5552", "#46474c", "#a8603c")),
            "door": boards(seed + 4, pick("#5a2e22", "#24402f", "#1f3350", "#6b4a2f", "#3a3a3a"), 0.12, upright=True),
            "iron": painted(seed + 5, (0.03, 0.032, 0.035), "iron", 0.5, 0.6),
            "brass": painted(seed + 6, (0.45, 0.34, 0.14), "brass", 0.3, 0.9),
            "panes": panes(seed + 7),
            "shop_colours": tuple(
                painted(seed + 8 + k, srgb(c), "shopfront")
                for k, c in enumerate(("#2d4236", "#6d2b26", "#25344a", "#c9bfa8", "#3a3734", "#8a6a3d"))
            ),
            "shutters": None,
            "far_glass": (0.05, 0.06, 0.075),
        }
        return Style(**(defaults | looks))  # pyright: ignore[reportArgumentType]

    metal = sheet_metal(seed + 3, pick("#5b6062", "#6f7a74", "#4c4f52"))
    match name:
        case "brick":
            clay = brick(seed, pick("#9c5440", "#8a4a3a", "#b06a4a", "#7d4f45", "#c2a074"))
            return style(
                wall=clay,
                base=random.choice((clay, ashlar(seed + 10, pick("#a59a88", "#8f8778")))),
                arch=random.choice((0.0, 0.18, 0.55)),
                surround=random.choice((0.0, 0.14)),
                cornice=random.choice((0.3, 0.5)),
                bands=random.random() < 0.5,
                bars=random.choice(((2, 2), (1, 2), (2, 3))),
                roof=random.choice(("flat", "gable", "mansard", "front_gable")),
                storey=random.uniform(2.9, 3.5),
                bay=random.uniform(2.2, 3.0),
            )
        case "stucco":
            plaster = stucco(seed, pick("#e0c48c", "#d79a6a", "#e6dcc6", "#c9796a", "#b8c0a8", "#dcb0a0", "#9fb2bd"))
            return style(
                wall=plaster,
                base=random.choice((plaster, stucco(seed + 10, toned(plaster.colour, 0.7)))),
                window=(random.uniform(0.95, 1.15), random.uniform(1.5, 1.9)),
                surround=random.choice((0.0, 0.12, 0.18)),
                shutters=random.choice(
                    (None, boards(seed + 9, pick("#3f5d4c", "#6a4a35", "#4b6d86", "#7c3f33"), 0.06))
                ),
                balconies=random.choice((0.0, 0.25, 0.6)),
                roof=random.choice(("gable", "hip", "hip", "flat")),
                pitch=random.uniform(0.4, 0.7),
                cornice=0.28,
                bay=random.uniform(2.4, 3.2),
            )
        case "stone":
            stone = ashlar(seed, pick("#cbbfa4", "#c2b597", "#b5b0a4", "#d4c9b0"), (0.9, 0.42))
            return style(
                wall=stone,
                base=ashlar(seed + 10, toned(stone.colour, 0.85), (1.1, 0.55)),
                window=(1.15, random.uniform(2.0, 2.3)),
                sill=0.5,
                surround=0.16,
                hood=random.random() < 0.6,
                storey=random.uniform(3.3, 3.7),
                ground_storey=4.2,
                cornice=random.uniform(0.45, 0.7),
                bands=True,
                balconies=random.choice((0.3, 0.6, 1.0)),
                solid_balconies=0.0,
                roof=random.choice(("mansard", "mansard", "flat")),
                roof_cover=roof_tiles(seed + 3, pick("#4a4d55", "#56585e"), (0.25, 0.2)),
                bars=(2, 3),
                reveal=0.3,
            )
        case "concrete":
            slab = concrete(seed, pick("#a8a49a", "#b9b4a6", "#96938c"))
            return style(
                wall=slab,
                base=slab,
                trim=concrete(seed + 1, pick("#8d8a84", "#c4bfb2")),
                window=(random.uniform(1.4, 2.0), 1.45),
                storey=2.8,
                ground_storey=random.choice((2.9, 3.6)),
                bay=random.uniform(2.9, 3.6),
                bars=(2, 1),
                reveal=0.14,
                balconies=random.choice((0.35, 0.5, 0.0)),
                solid_balconies=0.8,
                shutters=None,
                roof="flat",
                cornice=0.12,
                frame=painted(seed + 2, pick("#dcdcda", "#4c4c4c"), "frame"),
            )
        case "glass":
            body = concrete(seed, pick("#5f6469", "#7a7d80", "#3d4247"), (1.5, 0.9))
            return style(
                wall=body,
                base=ashlar(seed + 10, pick("#6d6a66", "#3f4144"), (1.2, 0.8)),
                frame=painted(seed + 2, pick("#2c2f33", "#8a8f94", "#b8bcc0"), "frame", 0.35, 0.7),
                bay=random.uniform(1.5, 2.6),
                storey=random.uniform(3.4, 3.9),
                ground_storey=4.6,
                reveal=0.12,
                bars=random.choice(((1, 1), (2, 1), (1, 2))),
                cornice=0.15,
                roof="flat",
                curtain_wall=True,
                far_glass=(0.09, 0.13, 0.17),
            )
        case "timber":
            plaster = stucco(seed, pick("#e8dfc8", "#e0cfa6", "#d8b88a", "#c9a08a"), 0.2)
            return style(
                wall=plaster,
                base=random.choice((plaster, rubble(seed + 10, pick("#9b8d78", "#8a8578")))),
                trim=boards(seed + 1, pick("#4a3020", "#3a2a20", "#6a2f26"), 0.3),
                window=(1.0, 1.15),
                storey=2.65,
                ground_storey=3.0,
                bay=random.uniform(2.0, 2.6),
                bars=(2, 3),
                reveal=0.1,
                timbers=True,
                roof=random.choice(("gable", "front_gable")),
                pitch=random.uniform(0.95, 1.3),
                cornice=0.16,
                shutters=random.choice((None, boards(seed + 9, pick("#3f5d4c", "#7c3f33"), 0.08))),
            )
        case "cottage":
            wall = random.choice(
                (
                    rubble(seed, pick("#a89a82", "#8f8a7e", "#b3a284")),
                    boards(seed, pick("#d8d4c8", "#8fa3ad", "#a8553f", "#c9b98a", "#7c8a6a")),
                    stucco(seed, pick("#e9e4d8", "#dccfae")),
                    brick(seed, pick("#9c5440", "#b5785a")),
                )
            )
            return style(
                wall=wall,
                base=wall,
                window=(random.uniform(0.95, 1.4), 1.2),
                storey=2.7,
                ground_storey=2.9,
                bay=random.uniform(2.6, 3.6),
                reveal=0.18,
                surround=random.choice((0.0, 0.1)),
                roof=random.choice(("gable", "hip", "front_gable")),
                pitch=random.uniform(0.6, 1.1),
                cornice=0.0,
                shutters=random.choice((None, boards(seed + 9, pick("#3f5d4c", "#31485c", "#7c3f33"), 0.08))),
            )
        case _:
            wall = random.choice(
                (brick(seed, pick("#8a4a3a", "#7a5a4a")), sheet_metal(seed, pick("#8a9096", "#6d7f86")))
            )
            return style(
                wall=wall,
                base=wall,
                window=(random.uniform(2.0, 2.6), 2.2),
                sill=1.0,
                storey=4.2,
                ground_storey=4.6,
                bay=random.uniform(3.6, 4.6),
                bars=(4, 4),
                bar=0.05,
                arch=random.choice((0.0, 0.35)),
                frame=painted(seed + 2, pick("#39403c", "#5c3a30"), "frame"),
                roof=random.choice(("flat", "gable")),
                roof_cover=metal,
                pitch=0.35,
                cornice=0.2,
            )
