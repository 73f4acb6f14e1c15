"""Masks and polygons of maps, against the devkit's conventions worked out by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldloom.errors import InputError
from worldloom.geometry.io.nuscenes_map import MapLine, MapPolygon, mask_points, save_map_expansion, save_map_mask


def rectangle(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], dtype=float)


def on_mask(mask: np.ndarray, x: float, y: float) -> bool:
    """The devkit's rule: a point's pixel is (round(x / 0.1), round(height - y / 0.1)); outside there is nothing."""
    column, row = round(x / 0.1), round(mask.shape[0] - y / 0.1)
    return 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[row, column] == 255


def test_mask_is_where_the_devkit_looks(tmp_path: Path):
    from PIL import Image

    xs, ys = mask_points(30.0, 20.0)
    # A street of 4 m along x, 5 m from the lower edge, that ends at x = 12.
    inside = (xs[None] < 12) & (np.abs(ys[:, None] - 7) < 2)
    save_map_mask(tmp_path / "mask.png", inside)
    image = Image.open(tmp_path / "mask.png")
    assert image.mode == "L"
    mask = np.array(image)
    assert set(np.unique(mask)) == {0, 255}
    generator = np.random.default_rng(0)
    for x, y in generator.uniform((0, 0.1), (30, 20), (2000, 2)).tolist():
        near_edge = min(abs(x - 12), abs(y - 5), abs(y - 9)) < 0.051
        assert near_edge or on_mask(mask, x, y) == (x < 12 and 5 < y < 9), (x, y)
    # Half a pixel: the edge at x = 12 lies between what pixels 119 and 120 stand for.
    assert on_mask(mask, 11.94, 7)
    assert not on_mask(mask, 11.96, 7)
    assert on_mask(mask, 5, 8.94)
    assert not on_mask(mask, 5, 8.96)
    assert on_mask(mask, 5, 5.06)
    assert not on_mask(mask, 5, 5.04)


def lanes() -> list[MapPolygon]:
    first = np.array([[10.0, 5], [20, 5], [20, 15]])
    return [
        MapPolygon("drivable_area", "roads", rectangle(5, 0, 30, 30), (rectangle(10, 10, 2, 2),)),
        MapPolygon("lane", "a", rectangle(10, 3, 12, 12), centre=first, followers=("b",)),
        MapPolygon("lane_connector", "b", rectangle(18, 15, 4, 5), centre=np.array([[20.0, 15], [20, 20]])),
        MapPolygon("stop_line", "a", rectangle(18, 14, 4, 1)),
    ]


def test_expansion_by_hand(tmp_path: Path):
    line = MapLine("lane_divider", "middle", np.array([[10.0, 7], [20, 7]]))
    save_map_expansion(tmp_path / "town.json", (40.0, 30.0), lanes(), [line])
    content = json.loads((tmp_path / "town.json").read_text())
    assert (content["version"], content["canvas_edge"]) == ("1.3", [40.0, 30.0])
    node = {record["token"]: (record["x"], record["y"]) for record in content["node"]}
    polygon = {record["token"]: record for record in content["polygon"]}
    (area,) = content["drivable_area"]
    shape = polygon[area["polygon_tokens"][0]]
    assert [node[t] for t in shape["exterior_node_tokens"]] == [(5, 0), (35, 0), (35, 30), (5, 30)]
    assert [node[t] for t in shape["holes"][0]["node_tokens"]] == [(10, 10), (12, 10), (12, 12), (10, 12)]
    (lane,), (connector,), (stop,) = content["lane"], content["lane_connector"], content["stop_line"]
    assert polygon[stop["polygon_token"]]["exterior_node_tokens"]
    assert content["connectivity"] == {
        lane["token"]: {"incoming": [], "outgoing": [connector["token"]]},
        connector["token"]: {"incoming": [lane["token"]], "outgoing": []},
    }
    east, north = content["arcline_path_3"][lane["token"]]
    assert (east["start_pose"], east["end_pose"], east["segment_length"]) == ([10, 5, 0], [20, 5, 0], [0, 10, 0])
    assert north["start_pose"] == [20, 5, np.pi / 2]  # left of east: positive
    (divider,) = content["line"]
    assert [node[t] for t in divider["node_tokens"]] == [(10, 7), (20, 7)]
    tokens = [r["token"] for layer in content.values() if isinstance(layer, list) for r in layer if isinstance(r, dict)]
    assert len(set(tokens)) == len(tokens)


def test_tokens_depend_on_names_alone(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    for folder in (tmp_path, tmp_path / "elsewhere"):
        save_map_expansion(folder / "town.json", (40.0, 30.0), lanes())
    assert (tmp_path / "town.json").read_bytes() == (tmp_path / "elsewhere/town.json").read_bytes()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([MapPolygon("ocean", "a", rectangle(0, 0, 1, 1))], "a layer drivable_area, .*got 'ocean'"),
        (lanes() + lanes()[:1], "different names in drivable_area, got 'roads' twice"),
        ([MapPolygon("walkway", "a", rectangle(0, 0, 1, 1)[:2])], "at least 3 points inside 40 x 30 m, got 2"),
        ([MapPolygon("walkway", "a", rectangle(-1, 0, 1, 1))], "points inside 40 x 30 m"),
        ([MapPolygon("walkway", "a", rectangle(0, 30, 1, 1))], "points inside 40 x 30 m"),
        ([MapPolygon("walkway", "a", rectangle(np.nan, 0, 1, 1))], "points inside 40 x 30 m"),
        (lanes()[:2], "followers of 'a' among the lanes, got 'b'"),
        ([*lanes(), MapPolygon("lane", "b", rectangle(0, 0, 1, 1))], "connectors of different names"),
    ],
)
def test_shapes_that_do_not_fit(tmp_path: Path, shapes: list[Any], message: str):
    with pytest.raises(InputError, match=message) as error:
        save_map_expansion(tmp_path / "town.json", (40.0, 30.0), shapes)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
