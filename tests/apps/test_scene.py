"""`worldloom scene` end to end on a tiny panorama: what is in the folder, what the report says, stop and go on."""

import json
from functools import partial

import pytest
import torch

from worldloom.apps import scene
from worldloom.apps.scene_input import SceneInput
from worldloom.errors import InputError
from worldloom.geometry import Camera, CameraPath, intrinsics
from worldloom.geometry.equirect import directions
from worldloom.geometry.io.camera_paths import load_camera_paths, save_camera_paths
from worldloom.geometry.io.cameras import load_cameras
from worldloom.geometry.io.gaussians import load_gaussians
from worldloom.geometry.io.images import load_image, save_hdr, save_image
from worldloom.geometry.io.navmesh import load_navmesh
from worldloom.geometry.io.video import load_video
from worldloom.ops import save_weights
from worldloom.recon.scene_distance import EMBEDDED, FLOOR
from worldloom.scenegen import plan_paths
from worldloom.scenegen.completion.detail_network import DetailConfig, DetailNetwork
from worldloom.scenegen.completion.network import CompletionConfig, CompletionNetwork

FILES = {
    *("cameras.json", "distance.png", "panorama.png", "preview.mp4", "preview.png"),
    *("coverage.json", "coverage.png", "navmesh.json", "paths.json"),
    *("report.json", "scene.ply", "scene.spz", "scene.splat"),
}


def outdoor(height=64):
    """Blue above, green below, with a red post ahead."""
    rays = directions(height)
    up = rays[..., 2]
    sky, grass = torch.tensor([0.35, 0.55, 0.9]), torch.tensor([0.25, 0.45, 0.15])
    image = torch.where(up[..., None] > 0, sky, grass * (0.8 + 0.2 * (8 * rays[..., :1]).sin()))
    post = (rays[..., 1].abs() < 0.1) & (rays[..., 0] > 0) & (up < 0.3) & (up > -0.3)
    image[post] = torch.tensor([0.8, 0.1, 0.1])
    return image.permute(2, 0, 1).contiguous()


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("panorama") / "outdoor.png"
    save_image(path, outdoor())
    return path


@pytest.fixture(autouse=True, scope="module")
def few_small_views():
    """The preview at its full size is for people, and of so few rows networks see little."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene, "MAX_FRAMES", 12)
        patch.setattr(scene, "VIEW_SIZE", (54, 96))
        patch.setattr(scene, "EMBEDDED", FLOOR)
        patch.setattr(scene, "plan_paths", partial(plan_paths, max_voxels=150_000))
        yield


@pytest.fixture(scope="module")
def made(picture, tmp_path_factory):
    return scene.make_scene(picture, tmp_path_factory.mktemp("out") / "scene")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "report.json"}


def test_every_file_is_there_and_readable(made):
    assert {path.name for path in made.folder.iterdir()} == FILES
    gaussians = load_gaussians(made.folder / "scene.ply")
    for name in ("scene.spz", "scene.splat"):
        assert len(load_gaussians(made.folder / name)) == len(gaussians)
    assert len(load_cameras(made.folder / "cameras.json").cameras) == 12
    assert load_image(made.folder / "panorama.png").shape == (3, 64, 128)
    assert load_image(made.folder / "distance.png").shape == (3, 64, 128)
    assert load_image(made.folder / "preview.png").shape == (3, 108, 288)


def test_the_report_says_what_came_out(made):
    report = json.loads((made.folder / "report.json").read_text())
    assert report == made.report
    assert report["num_splats"] == len(load_gaussians(made.folder / "scene.ply"))
    assert report["centre_psnr_db"] >= 30
    assert report["scale"].startswith("assumed")
    assert 0.35 < report["sky_share"] < 0.5
    assert report["farthest_m"] == pytest.approx(20)
    assert report["film"] == {"path": "wander-2", "num_frames": 12, "seconds": 0.5}
    assert report["num_paths"] == 10
    assert report["least_clearance_m"] >= 0.25
    assert report["seen_twice"]["surface"] > 0.7
    assert report["walkable_m2"] > 100
    assert report["warnings"] == []
    assert set(report["files"]) == FILES - {"report.json"}
    assert set(report["seconds"]) == {"distance", "splats", "files", "path", "preview", "check"}


def test_paths_and_ground_are_there_to_be_used_again(made):
    paths = load_camera_paths(made.folder / "paths.json")
    assert len(paths) == made.report["num_paths"]
    walked = {path.name: path for path in paths}[made.report["film"]["path"]]
    film = load_cameras(made.folder / "cameras.json").cameras
    start = walked.cameras.world_from_cam[0]
    for frame in (0, 5, 6):  # once round in one place, then along the path
        torch.testing.assert_close(film.world_from_cam[frame], start, atol=1e-4, rtol=0)
    ahead = film.world_from_cam[:6, :3, 2]
    assert (ahead[:, :2] @ start[:2, 2]).min() < -0.5 * start[:2, 2].square().sum()
    assert (film.world_from_cam[:6, :3, 3] - start[:3, 3]).abs().max() < 1e-4
    assert film.world_from_cam[7:, :3, 3].sub(start[:3, 3]).norm(dim=-1).min() > 0
    navmesh = load_navmesh(made.folder / "navmesh.json")
    assert navmesh.area == pytest.approx(made.report["walkable_m2"], rel=0.05)
    feet = film.world_from_cam[:, :3, 3] - torch.tensor([0.0, 0.0, 1.6])
    assert (navmesh.locate(feet) >= 0).all()
    coverage = json.loads((made.folder / "coverage.json").read_text())
    assert [path["name"] for path in coverage["paths"]] == [path.name for path in paths]


def test_own_paths_come_first_and_the_film_is_along_them(picture, made, tmp_path):
    pose = torch.eye(4).expand(3, 4, 4).clone()
    pose[:, :3, :3] = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # ahead, upright
    pose[:, 0, 3] = torch.tensor([0.0, 0.5, 1.0])
    cameras = Camera(pose, intrinsics(1.2, (120, 160)).expand(3, 3, 3), (120, 160))
    save_camera_paths(tmp_path / "mine.json", [CameraPath("mine", cameras, torch.tensor([0.0, 0.2, 0.4]))])
    result = scene.make_scene(picture, tmp_path / "out", paths=tmp_path / "mine.json", families=[])
    assert result.report["film"] == {"path": "mine", "num_frames": 10, "seconds": 0.42}
    film = load_cameras(tmp_path / "out" / "cameras.json").cameras
    assert film.size == (54, 72)
    torch.testing.assert_close(film.world_from_cam[[0, -1], 0, 3], torch.tensor([0.0, 0.9375]), atol=1e-4, rtol=0)
    (path,) = load_camera_paths(tmp_path / "out" / "paths.json")
    assert torch.equal(path.cameras.world_from_cam, pose)
    with pytest.raises(InputError, match="another request"):
        scene.make_scene(picture, tmp_path / "out", resume=True)


def test_the_preview_starts_at_the_centre_and_has_no_holes(made):
    frames = load_video(made.folder / "preview.mp4", max_frames=100)
    assert frames.shape == (12, 3, 54, 96)
    top, bottom = frames[:, :, :10].mean((0, 2, 3)), frames[:, :, -10:].mean((0, 2, 3))
    assert top[2] > top[0] + 0.3  # sky above
    assert bottom[1] > bottom[2] + 0.1  # grass below
    assert frames.amax(1).min() > 0.1  # black is nowhere in this world


def test_camera_height_is_the_scale(picture, made, tmp_path):
    double = scene.make_scene(picture, tmp_path / "double", camera_height=3.2)
    one, two = (load_gaussians(x.folder / "scene.ply") for x in (made, double))
    torch.testing.assert_close(two.means, 2 * one.means, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(two.scales, 2 * one.scales, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stage", ["splats", "files", "path", "preview"])
def test_interrupted_anywhere_and_resumed_it_is_the_same(picture, made, stage, tmp_path, monkeypatch):
    call = {
        "splats": "scene_splats",
        "files": "save_gaussians",
        "path": "plan_picture",
        "preview": "contact_sheet",
    }[stage]
    original = getattr(scene, call)

    def interrupted(*arguments, **options):
        if stage == "files" and str(arguments[0]).endswith(".ply"):
            return original(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scene, call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            scene.make_scene(picture, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    resumed = scene.make_scene(picture, tmp_path / "out", resume=True)
    assert contents(resumed.folder) == contents(made.folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_resume_of_a_finished_scene_changes_nothing(picture, made):
    before = (made.folder / "report.json").stat().st_mtime_ns
    again = scene.make_scene(picture, made.folder, resume=True)
    assert again == made
    assert (made.folder / "report.json").stat().st_mtime_ns == before


def test_resume_with_another_panorama_is_refused(picture, made, tmp_path):
    save_image(tmp_path / "other.png", 1 - outdoor())
    with pytest.raises(InputError, match="another request"):
        scene.make_scene(tmp_path / "other.png", made.folder, resume=True)


def test_force_replaces(picture, made, tmp_path):
    first = scene.make_scene(picture, tmp_path / "out", seed=1)
    with pytest.raises(InputError, match="exists"):
        scene.make_scene(picture, tmp_path / "out")
    second = scene.make_scene(picture, tmp_path / "out", force=True)
    assert first.report["request"]["seed"] == 1
    assert contents(second.folder) == contents(made.folder)


def test_distance_is_learned_if_nothing_is_said(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(scene, "EMBEDDED", EMBEDDED)
    report = scene.make_scene(picture, tmp_path / "out", families=("wander",)).report
    assert report["depth_model"] == "small"
    assert report["method"].startswith("learned")
    assert report["place"] == "open"


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".exr", ".hdr"])
def test_every_image_format(suffix, tmp_path):
    path = tmp_path / f"panorama{suffix}"
    (save_hdr if suffix in (".exr", ".hdr") else save_image)(path, outdoor(32))
    result = scene.make_scene(path, tmp_path / "out")
    assert result.report["panorama_size"] == "64x32"
    assert result.report["centre_psnr_db"] > 28


def test_a_large_panorama_is_reduced_by_area_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(scene, "MAX_ROWS", 32)
    image = outdoor(64)
    image[:, ::2] = 0  # rows that an area filter turns grey and point sampling would pick or miss
    save_image(tmp_path / "large.png", image)
    result = scene.make_scene(tmp_path / "large.png", tmp_path / "out")
    assert result.report["panorama_size"] == "128x64"
    assert result.report["used_size"] == "64x32"
    assert result.report["warnings"][0] == (
        "the panorama is 128x64; it is used at 64x32, the most that this method works at"
    )
    used = load_image(tmp_path / "out" / "panorama.png")
    torch.testing.assert_close(used.mean((1, 2)), image.mean((1, 2)), atol=0.01, rtol=0)
    assert used.amax(0).min() > 0.02


def test_a_camera_near_the_ground_starts_where_there_is_room(picture, tmp_path):
    result = scene.make_scene(picture, tmp_path / "out", camera_height=0.02)
    assert result.report["least_clearance_m"] >= 0.25
    assert load_cameras(tmp_path / "out" / "cameras.json").cameras.world_from_cam[0, 2, 3] > 0.25


@pytest.mark.parametrize("name", ["blender/courtyard.png", "blender/interior.exr", "pmndrs/park.png"])
@pytest.mark.slow
def test_real_panoramas(name, test_data, tmp_path):
    result = scene.make_scene(test_data / "panoramas" / name, tmp_path / "out")
    assert result.report["num_splats"] >= 200_000
    assert result.report["centre_psnr_db"] >= 30
    assert (result.report["sky_share"] > 0.3) == ("park" in name)
    assert result.report["film"]["path"].startswith("wander")
    assert result.report["least_clearance_m"] >= 0.25
    assert result.report["warnings"] == []


@pytest.mark.slow
def test_a_text_becomes_a_procedural_world_with_its_own_scale(tmp_path, monkeypatch):
    source = SceneInput(None, text="a courtyard with red bushes and a unicorn")
    with monkeypatch.context() as patch:
        patch.setattr(scene, "plan_paths", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            scene.make_scene(source, tmp_path / "out", families=("wander",), rows=64, seed=2)
    (work,) = tmp_path.glob(".*out*")
    made = (work / "panorama.png").read_bytes()
    result = scene.make_scene(source, tmp_path / "out", families=("wander",), rows=64, seed=2, resume=True)
    assert (tmp_path / "out" / "panorama.png").read_bytes() == made
    assert {path.name for path in result.folder.iterdir()} == FILES | {"exact_distance.npz", "input.json"}
    report = result.report
    assert report["understood"] == "courtyard with red bush"
    assert "red bush" in report["shows"]
    assert report["scale"] == "metric: of a procedural world"
    assert report["depth_model"] == "exact"
    assert report["request"]["camera_height"] is None
    assert 1 < report["eye_height_m"] < 2.5
    assert any("unicorn" in warning for warning in report["warnings"])
    assert set(report["seconds"]) == {"panorama", "distance", "splats", "files", "path", "preview", "check"}


def _interrupted(*arguments, **options):
    raise KeyboardInterrupt


@pytest.fixture
def tiny_generator(tmp_path):
    folder = tmp_path / "generator"
    config, detail = CompletionConfig(16, 1, 64, 16, 1), DetailConfig(16, 1, 8, 1)
    save_weights(folder / "panorama", CompletionNetwork(config), config)
    save_weights(folder / "detail", DetailNetwork(detail), detail)
    return str(folder)


def test_a_photo_stays_in_the_middle_and_the_rest_is_made_up(tmp_path, tiny_generator):
    photo = torch.zeros(3, 60, 80)
    photo[0], photo[2, :30] = 0.8, 0.9
    save_image(tmp_path / "photo.png", photo)
    source = SceneInput(tmp_path / "photo.png", fov=80.0, text="a meadow", generator=tiny_generator)
    result = scene.make_scene(source, tmp_path / "out", families=("wander",), rows=64)
    panorama = load_image(result.folder / "panorama.png")
    torch.testing.assert_close(panorama[:, 30, 64], torch.tensor([0.8, 0.0, 0.9]), atol=0.03, rtol=0)
    torch.testing.assert_close(panorama[:, 34, 64], torch.tensor([0.8, 0.0, 0.0]), atol=0.03, rtol=0)
    assert float(panorama[:, :, 0].max()) > 0.3  # filled in from around, as the network is not trained
    assert result.report["fov_deg"] == 80
    assert result.report["generator"] == "generator"
    assert any("made up" in warning for warning in result.report["warnings"])


def test_a_photo_that_looks_up_lies_high(tmp_path):
    photo = torch.zeros(3, 60, 80)
    photo[0] = torch.linspace(1, 0, 60)[:, None]  # red where it is high
    save_image(tmp_path / "photo.png", photo)
    red = SceneInput(tmp_path / "photo.png", fov=40.0, pitch=60.0).check()(64, 0, lambda share: None).rgb[0, :, 64]
    # Row 11 is 57.66 degrees up: 2.34 below the photo's middle, of 15.3 to its lower edge.
    assert float(red[11]) == pytest.approx(0.425, abs=0.03)
    assert float(red[7]) > 0.7


def test_another_text_is_another_request():
    assert SceneInput(None, text="a street").request() != SceneInput(None, text="a room").request()


@pytest.mark.parametrize("rows", [64, 101])
def test_around_a_photo_its_colours_fade(rows, tmp_path):
    photo = torch.zeros(3, 60, 80)
    photo[2, :30], photo[1, 30:] = 0.9, 0.6  # sky over grass
    save_image(tmp_path / "photo.png", photo)
    result = scene.make_scene(SceneInput(tmp_path / "photo.png", fov=80.0), tmp_path / "out", rows=rows)
    panorama = load_image(result.folder / "panorama.png")
    torch.testing.assert_close(panorama[:, 2].mean(1), torch.tensor([0.0, 0.0, 0.9]), atol=0.1, rtol=0)
    torch.testing.assert_close(panorama[:, -3].mean(1), torch.tensor([0.0, 0.6, 0.0]), atol=0.1, rtol=0)
    assert result.report["generator"] == "fill"
    assert "what the photo does not show is blurred from its colours" in result.report["warnings"]
