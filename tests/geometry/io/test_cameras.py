"""Posed images: files put together by hand, round trips through every format, and files that lie."""

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.errors import InputError
from worldloom.geometry import Camera, Distortion, PosedImages, apply, compose, look_at, rotmat_from_quat
from worldloom.geometry.io import (
    load_cameras,
    load_image,
    save_cameras,
    save_colmap,
    save_image,
    save_nerfstudio,
)


def posed(seed: int = 0, num: int = 3, distorted: bool = False, points: int = 0) -> PosedImages:
    generator = torch.Generator().manual_seed(seed)
    quats = torch.randn(num, 4, generator=generator, dtype=torch.float64)
    poses = compose(rotmat_from_quat(quats), torch.randn(num, 3, generator=generator, dtype=torch.float64)).float()
    K = torch.zeros(num, 3, 3)
    K[:, 0, 0], K[:, 1, 1] = 100 + torch.rand(num, generator=generator), 90 + torch.rand(num, generator=generator)
    K[:, :2, 2], K[:, 2, 2] = torch.tensor([31.5, 24.25]), 1
    coefficients = 0.1 * torch.randn(num, 5, generator=generator)
    coefficients[:, 4] = 0  # k3 has no place in COLMAP's OPENCV model
    return PosedImages(
        Camera(poses, K, (48, 64)),
        tuple(f"images/{i:04d}.png" for i in range(num)),
        Distortion(coefficients) if distorted else None,
        torch.randn(points, 3, generator=generator) if points else None,
        torch.randint(0, 256, (points, 3), generator=generator) / 255 if points else None,
    )


def save_text(path: Path, images: PosedImages) -> None:
    save_colmap(path, images, binary=False)


# ---- round trips


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 5), st.booleans())
@pytest.mark.parametrize(
    ("save", "name", "tolerance"),
    [(save_cameras, "a.json", 0.0), (save_nerfstudio, "a.json", 0.0), (save_colmap, "a", 5e-6), (save_text, "a", 5e-6)],
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    save: Callable[[Path, PosedImages], None],
    name: str,
    tolerance: float,
    seed: int,
    num: int,
    distorted: bool,
) -> None:
    folder = tmp_path_factory.mktemp("cameras")
    images = posed(seed, num, distorted)
    save(folder / name, images)
    back = load_cameras(folder / name)
    assert back.names == images.names
    assert back.cameras.size == images.cameras.size
    assert torch.equal(back.cameras.K, images.cameras.K)
    assert (back.cameras.world_from_cam - images.cameras.world_from_cam).abs().max() <= tolerance
    if images.distortion is None:
        assert back.distortion is None
    else:
        assert back.distortion is not None
        assert torch.equal(back.distortion.coefficients, images.distortion.coefficients)


@pytest.mark.parametrize("binary", [True, False])
def test_colmap_points(tmp_path: Path, binary: bool) -> None:
    images = posed(points=50)
    save_colmap(tmp_path / "model", images, binary)
    back = load_cameras(tmp_path / "model")
    assert images.points is not None
    assert back.points is not None
    assert torch.equal(back.points, images.points)
    assert images.point_rgb is not None
    assert back.point_rgb is not None
    assert torch.allclose(back.point_rgb, images.point_rgb)


def test_same_bytes_twice(tmp_path: Path) -> None:
    for save in (save_cameras, save_nerfstudio):
        save(tmp_path / "a.json", posed())
        first = (tmp_path / "a.json").read_bytes()
        save(tmp_path / "a.json", posed())
        assert (tmp_path / "a.json").read_bytes() == first


def test_third_radial_coefficient(tmp_path: Path) -> None:
    images = posed(distorted=True)
    assert images.distortion is not None
    images.distortion.coefficients[:, 4] = 0.25
    save_nerfstudio(tmp_path / "transforms.json", images)
    back = load_cameras(tmp_path)
    assert back.distortion is not None
    assert torch.equal(back.distortion.coefficients, images.distortion.coefficients)
    with pytest.raises(InputError, match="k3"):
        save_colmap(tmp_path / "model", images)


def test_index_keeps_views_together() -> None:
    images = posed(num=4, distorted=True, points=7)[1:3]
    assert images.names == ("images/0001.png", "images/0002.png")
    assert len(images) == images.cameras.batch[0] == 2
    assert images.distortion is not None
    assert images.distortion.coefficients.shape == (2, 5)


# ---- COLMAP by hand

HALF = math.sqrt(0.5)
# Turned by 90 degrees about the camera's x axis: world z becomes camera -y. The camera stands at (0, 0, 2).
QUAT, TRANSLATION = (HALF, HALF, 0.0, 0.0), (0.0, 2.0, 0.0)
MODELS = {  # number, parameters, (fx, fy, cx, cy), (k1, k2, p1, p2)
    "SIMPLE_PINHOLE": (0, (50.0, 32.0, 24.0), (50, 50, 32, 24), None),
    "PINHOLE": (1, (50.0, 60.0, 32.0, 24.0), (50, 60, 32, 24), None),
    "SIMPLE_RADIAL": (2, (50.0, 32.0, 24.0, 0.1), (50, 50, 32, 24), (0.1, 0, 0, 0)),
    "RADIAL": (3, (50.0, 32.0, 24.0, 0.1, 0.2), (50, 50, 32, 24), (0.1, 0.2, 0, 0)),
    "OPENCV": (4, (50.0, 60.0, 32.0, 24.0, 0.1, 0.2, 0.3, 0.4), (50, 60, 32, 24), (0.1, 0.2, 0.3, 0.4)),
}


def cameras_bin(number: int, parameters: tuple[float, ...], count: int = 1, width: int = 64) -> bytes:
    return struct.pack("<Q", count) + struct.pack(f"<iiQQ{len(parameters)}d", 7, number, width, 48, *parameters)


def images_bin(
    quat: tuple[float, ...] = QUAT, name: bytes = b"b c.png", count: int = 2, points: int = 2, camera: int = 7
) -> bytes:
    data = struct.pack("<Q", count)
    for i, n in enumerate((name, b"a.png")):
        data += struct.pack("<I", 10 + i) + struct.pack("<4d", *quat) + struct.pack("<3d", *TRANSLATION)
        data += struct.pack("<I", camera) + n + b"\0" + struct.pack("<Q", points)
        data += struct.pack("<ddq", 1.5, 2.5, -1) * 2
    return data


def points_bin(count: int = 1, track: int = 2, x: float = 1.0) -> bytes:
    return struct.pack("<QQ3d3Bd", count, 5, x, 2, 3, 255, 51, 0, 0.7) + struct.pack("<Q", track) + bytes(8 * 2)


def write_model(folder: Path, **files: bytes | str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        stem, suffix = name.rsplit("_", 1)
        (folder / f"{stem}.{suffix}").write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["bin", "txt"])
@pytest.mark.parametrize("where", ["", "sparse/0", "sparse"])
def test_colmap_by_hand(tmp_path: Path, model: str, kind: str, where: str) -> None:
    number, parameters, (fx, fy, cx, cy), distortion = MODELS[model]
    if kind == "bin":
        files: dict[str, bytes | str] = {"cameras_bin": cameras_bin(number, parameters), "images_bin": images_bin()}
        files["points3D_bin"] = points_bin()
    else:
        pose = " ".join(map(str, QUAT + TRANSLATION))
        files = {
            "cameras_txt": f"# comment\n\n7 {model} 64 48 {' '.join(map(str, parameters))}\n",
            "images_txt": f"# comment\n# one\n10 {pose} 7 b c.png\n1.5 2.5 -1 1.5 2.5 -1\n11 {pose} 7 a.png\n\n",
            "points3D_txt": "# comment\n5 1 2 3 255 51 0 0.7 10 0 11 1\n",
        }
    write_model(tmp_path / where, **files)
    images = load_cameras(tmp_path)
    assert images.names == ("a.png", "b c.png")
    assert images.cameras.size == (48, 64)
    assert torch.equal(images.cameras.K[0], torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float32))
    # The camera's centre, and a point 3 m ahead of it: it looks along R^T (0, 0, 1) = (0, 1, 0).
    assert torch.allclose(images.cameras.world_from_cam[0, :3, 3], torch.tensor([0.0, 0.0, 2.0]), atol=1e-6)
    ahead = apply(images.cameras.world_from_cam[0], torch.tensor([[0.0, 0.0, 3.0]]))
    assert torch.allclose(ahead, torch.tensor([[0.0, 3.0, 2.0]]), atol=1e-6)
    if distortion is None:
        assert images.distortion is None
    else:
        assert images.distortion is not None
        assert images.distortion.coefficients[0].tolist() == pytest.approx([*distortion, 0])
    assert images.points is not None
    assert images.point_rgb is not None
    assert images.points.tolist() == [[1, 2, 3]]
    assert images.point_rgb[0].tolist() == pytest.approx([1, 0.2, 0])


GOOD = cameras_bin(1, MODELS["PINHOLE"][1])
TEXT_CAMERA = "7 PINHOLE 64 48 50 60 32 24\n"
TEXT_POSE = "0.7071067811865476 0.7071067811865476 0 0 0 2 0"
BAD_MODELS: dict[str, dict[str, bytes | str]] = {
    "no images": {"cameras_bin": GOOD},
    "empty cameras": {"cameras_bin": b"", "images_bin": images_bin()},
    "cameras cut": {"cameras_bin": GOOD[:-1], "images_bin": images_bin()},
    "images cut": {"cameras_bin": GOOD, "images_bin": images_bin()[:-60]},
    "name without end": {"cameras_bin": GOOD, "images_bin": images_bin()[:80]},
    "endless cameras": {"cameras_bin": cameras_bin(1, MODELS["PINHOLE"][1], 2**60), "images_bin": images_bin()},
    "endless images": {"cameras_bin": GOOD, "images_bin": images_bin(count=2**63)},
    "endless 2D points": {"cameras_bin": GOOD, "images_bin": images_bin(points=2**40)},
    "endless points": {"cameras_bin": GOOD, "images_bin": images_bin(), "points3D_bin": points_bin(2**50)},
    "endless track": {"cameras_bin": GOOD, "images_bin": images_bin(), "points3D_bin": points_bin(track=2**50)},
    "NaN point": {"cameras_bin": GOOD, "images_bin": images_bin(), "points3D_bin": points_bin(x=math.nan)},
    "no image": {"cameras_bin": GOOD, "images_bin": struct.pack("<Q", 0)},
    "unknown model": {"cameras_bin": cameras_bin(99, (1.0,) * 4), "images_bin": images_bin()},
    "fisheye": {"cameras_bin": cameras_bin(5, (1.0,) * 8), "images_bin": images_bin()},
    "unknown camera": {"cameras_bin": GOOD, "images_bin": images_bin(camera=8)},
    "NaN pose": {"cameras_bin": GOOD, "images_bin": images_bin((math.nan, 0, 0, 0))},
    "zero quaternion": {"cameras_bin": GOOD, "images_bin": images_bin((0.0, 0.0, 0.0, 0.0))},
    "NaN focal": {"cameras_bin": cameras_bin(1, (math.nan, 1.0, 1.0, 1.0)), "images_bin": images_bin()},
    "NaN centre": {"cameras_bin": cameras_bin(1, (1.0, 1.0, math.nan, 1.0)), "images_bin": images_bin()},
    "negative focal": {"cameras_bin": cameras_bin(1, (-5.0, 1.0, 1.0, 1.0)), "images_bin": images_bin()},
    "huge size": {"cameras_bin": cameras_bin(1, (1.0,) * 4, width=2**62), "images_bin": images_bin()},
    "path escape": {"cameras_bin": GOOD, "images_bin": images_bin(name=b"../../etc/passwd")},
    "absolute path": {"cameras_bin": GOOD, "images_bin": images_bin(name=b"/etc/passwd")},
    "not UTF-8": {"cameras_bin": GOOD, "images_bin": images_bin(name=b"\xff\xfe.png")},
    "same name": {"cameras_bin": GOOD, "images_bin": images_bin(name=b"a.png")},
    "text parameters": {"cameras_txt": "7 PINHOLE 64 48 50 60\n", "images_txt": f"1 {TEXT_POSE} 7 a.png\n\n"},
    "text words": {"cameras_txt": "7 PINHOLE 64 48 a b c d\n", "images_txt": f"1 {TEXT_POSE} 7 a.png\n\n"},
    "text model": {"cameras_txt": "7 FOV 64 48 1 2 3 4 5\n", "images_txt": f"1 {TEXT_POSE} 7 a.png\n\n"},
    "text pose": {"cameras_txt": TEXT_CAMERA, "images_txt": "1 1 0 0 0 7 a.png\n\n"},
    "text NaN": {"cameras_txt": TEXT_CAMERA, "images_txt": "1 nan 0 0 0 1 1 1 7 a.png\n\n"},
    "text is binary": {"cameras_txt": bytes(range(256)), "images_txt": b"\xff\xfe"},
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_colmap(tmp_path: Path, case: str) -> None:
    write_model(tmp_path / "model", **BAD_MODELS[case])
    with pytest.raises(InputError, match="expected") as error:
        load_cameras(tmp_path / "model")
    assert "\n" not in str(error.value)
    assert str(tmp_path / "model") in str(error.value)


# ---- transforms.json


def transforms(**changes: Any) -> dict[str, Any]:
    """One frame at (0, 0, 2), OpenGL axes equal to the world's: it looks along world -z with +y up."""
    matrix = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]]
    frame = {"file_path": "./images/0001.jpg", "transform_matrix": matrix}
    content = {"fl_x": 50.0, "fl_y": 60.0, "cx": 30.0, "cy": 20.0, "w": 64, "h": 48, "frames": [frame]}
    for key, value in changes.items():
        target = frame if key in ("file_path", "transform_matrix") else content
        target[key] = value
        if value is None:
            del target[key]
    return content


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_nerfstudio_by_hand(tmp_path: Path) -> None:
    images = load_cameras(write_json(tmp_path / "transforms.json", transforms(k1=0.1, p2=0.2)))
    assert images.names == ("./images/0001.jpg",)
    assert images.cameras.size == (48, 64)
    assert torch.equal(images.cameras.K[0], torch.tensor([[50.0, 0.0, 30.0], [0.0, 60.0, 20.0], [0.0, 0.0, 1.0]]))
    points = torch.tensor([[0.0, 0.0, 3.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # ahead, right, down
    expected = torch.tensor([[0.0, 0.0, -1.0], [1.0, 0.0, 2.0], [0.0, -1.0, 2.0]])
    assert torch.equal(apply(images.cameras.world_from_cam[0], points), expected)
    assert images.distortion is not None
    assert images.distortion.coefficients[0].tolist() == pytest.approx([0.1, 0, 0, 0.2, 0])


def test_nerfstudio_frames_override(tmp_path: Path) -> None:
    content = transforms()
    content["frames"].append({**content["frames"][0], "file_path": "b.jpg", "fl_x": 70, "cx": 31})
    K = load_cameras(write_json(tmp_path / "transforms.json", content)).cameras.K
    assert K[:, 0, 0].tolist() == [50, 70]
    assert K[:, 0, 2].tolist() == [30, 31]


def test_nerfstudio_of_synthetic_scenes(tmp_path: Path) -> None:
    """Only a field of view; names without suffix; the size comes from the image."""
    save_image(tmp_path / "r_0.png", torch.rand(3, 30, 40))
    content = {
        "camera_angle_x": 2 * math.atan(0.5),
        "frames": [{"file_path": "./r_0", "transform_matrix": torch.eye(4).tolist()}],
    }
    images = load_cameras(write_json(tmp_path / "transforms_train.json", content))
    assert images.cameras.size == (30, 40)
    expected = torch.tensor([[40.0, 0.0, 20.0], [0.0, 40.0, 15.0], [0.0, 0.0, 1.0]])
    assert torch.allclose(images.cameras.K[0], expected)


def test_few_digits_are_made_rotations(tmp_path: Path) -> None:
    pose = look_at(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3))
    rounded = [[round(v, 4) for v in row] for row in (pose * torch.tensor([1, -1, -1, 1])).tolist()]
    got = load_cameras(write_json(tmp_path / "t.json", transforms(transform_matrix=rounded))).cameras.world_from_cam[0]
    assert torch.allclose(got[:3, :3] @ got[:3, :3].mT, torch.eye(3), atol=1e-6)
    assert (got - pose).abs().max() < 1e-4


def matrix(**cells: float) -> list[list[float]]:
    m = torch.eye(4, dtype=torch.float64)
    for cell, value in cells.items():
        m[int(cell[1]), int(cell[2])] = value
    return m.tolist()


BAD_TRANSFORMS: dict[str, Any] = {
    "no frames": transforms(frames=[]),
    "frames are words": transforms(frames=["a"]),
    "frames is an object": transforms(frames={"a": 1}),
    "no matrix": transforms(transform_matrix=None),
    "matrix of words": transforms(transform_matrix=[["a"] * 4] * 4),
    "matrix of bools": transforms(transform_matrix=[[True] * 4] * 4),
    "3 x 4": transforms(transform_matrix=matrix()[:3]),
    "NaN": transforms(transform_matrix=matrix(m03=math.nan)),
    "infinite": transforms(transform_matrix=matrix(m03=math.inf)),
    "too long a number": transforms(transform_matrix=[[10**400, 0, 0, 0], *matrix()[1:]]),
    "scaled": transforms(transform_matrix=matrix(m00=2, m11=2, m22=2)),
    "sheared": transforms(transform_matrix=matrix(m01=0.1)),
    "mirrored": transforms(transform_matrix=matrix(m00=-1)),
    "projective": transforms(transform_matrix=matrix(m30=0.5)),
    "no name": transforms(file_path=None),
    "name is a number": transforms(file_path=3),
    "path escape": transforms(file_path="../../etc/passwd"),
    "path escape, Windows": transforms(file_path="images\\..\\..\\a.png"),
    "absolute path": transforms(file_path="/etc/passwd"),
    "no focal length": transforms(fl_x=None),
    "negative focal length": transforms(fl_x=-3),
    "zero focal length": transforms(fl_y=0),
    "focal length is text": transforms(fl_x="50"),
    "angle of pi": transforms(fl_x=None, camera_angle_x=math.pi),
    "no width": transforms(w=None),
    "no size, no image": transforms(w=None, h=None),
    "half a pixel": transforms(w=64.5),
    "huge": transforms(w=10**9),
    "negative": transforms(h=-48),
    "fisheye": transforms(camera_model="OPENCV_FISHEYE"),
    "is_fisheye": transforms(is_fisheye=True),
    "k4": transforms(k4=0.1),
    "distortion is text": transforms(k1="a lot"),
    "same image twice": transforms(frames=transforms()["frames"] * 2),
    "two sizes": transforms(frames=[*transforms()["frames"], {**transforms()["frames"][0], "file_path": "b", "w": 32}]),
    "another format": {"hello": 1},
    "an array": [1, 2],
    "a number": 3,
}


@pytest.mark.parametrize("case", BAD_TRANSFORMS)
def test_bad_transforms(tmp_path: Path, case: str) -> None:
    path = write_json(tmp_path / "transforms.json", BAD_TRANSFORMS[case])
    with pytest.raises(InputError, match="expected") as error:
        load_cameras(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value) or "path inside" in str(error.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe\0", b"[" * 100_000, b'{"frames": ['])
def test_not_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match="JSON"):
        load_cameras(tmp_path / "a.json")


# ---- our own JSON


def ours(tmp_path: Path, **changes: Any) -> Path:
    save_cameras(tmp_path / "cameras.json", posed(num=1))
    content = json.loads((tmp_path / "cameras.json").read_text())
    for key, value in changes.items():
        (content if key in content else content["cameras"][0])[key] = value
    return write_json(tmp_path / "cameras.json", content)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"format": "other"},
        {"size": [48]},
        {"size": [48.5, 64]},
        {"cameras": []},
        {"cameras": {"a": 1}},
        {"cameras": [3]},
        {"name": "../a"},
        {"K": [[0, 0, 1], [0, 5, 1], [0, 0, 1]]},
        {"K": [[5, 0, 1], [0, 5, 1], [0, 0, 2]]},
        {"K": None},
        {"distortion": [0, 0]},
        {"world_from_cam": matrix(m22=-1)},
    ],
)
def test_bad_own_json(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected") as error:
        load_cameras(ours(tmp_path, **changes))
    assert "\n" not in str(error.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got none"):
        load_cameras(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        load_cameras(tmp_path / "a.json")
    with pytest.raises(InputError, match="does not exist"):
        save_colmap(tmp_path / "no" / "model", posed())


# ---- distortion


def test_distortion_by_hand() -> None:
    """At (1, 2): r^2 = 5. Tangential terms: p1 gives (2 x y, r^2 + 2 y^2), p2 gives (r^2 + 2 x^2, 2 x y)."""
    ray = torch.tensor([[[1.0, 2.0]]])
    for i, expected in enumerate([(6.0, 12.0), (26.0, 52.0), (5.0, 15.0), (8.0, 6.0), (126.0, 252.0)]):
        coefficients = torch.zeros(1, 5)
        coefficients[0, i] = 1
        assert Distortion(coefficients).distort(ray)[0, 0].tolist() == pytest.approx(expected)


# ---- real photos


def test_the_fox(test_data: Path) -> None:
    """24 hand-held photos around a toy: the cameras stand upright, look at the origin, and the images are there."""
    images = load_cameras(test_data / "fox")
    assert len(images) == 24
    assert images.cameras.size == (480, 270)
    assert images.distortion is not None
    assert images.distortion.coefficients[0, :2].tolist() == pytest.approx([0.0578421, -0.0805099])
    pose = images.cameras.world_from_cam
    eye, down, forward = pose[:, :3, 3], pose[:, :3, 1], pose[:, :3, 2]
    assert eye.norm(dim=-1).min() > 3.7
    assert (forward * -torch.nn.functional.normalize(eye, dim=-1)).sum(-1).min() > 0.9
    assert (down[:, 2] < -0.8).all()
    origin = apply(images.cameras.cam_from_world, torch.zeros(24, 1, 3))[:, 0]
    assert (origin[:, 2] > 3).all()  # in front
    pixel = (images.cameras.K @ origin[..., None])[..., 0]
    uv = pixel[:, :2] / pixel[:, 2:]
    assert ((uv - torch.tensor([135.0, 240.0])).abs() < torch.tensor([135.0, 240.0])).all()  # and in the picture
    assert load_image(test_data / "fox" / images.names[0]).shape == (3, 480, 270)
