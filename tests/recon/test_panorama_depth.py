"""From the network's answer to distance: the floor is flat and sets the scale, a roof forbids the sky."""

import math

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.equirect import directions, solid_angles
from worldloom.ops import save_weights
from worldloom.recon.depth_metrics import DepthScore, score_depth
from worldloom.recon.panorama_depth import FARTHEST, NEAREST, PanoramaDepth, floor_plane
from worldloom.recon.panorama_network import PLACES, PanoramaAnswer, PanoramaDepthConfig, PanoramaNetwork
from worldloom.recon.scene_distance import FLOOR as RULE
from worldloom.recon.scene_distance import distance_of_panorama
from worldloom.synth.panoramas.panorama_files import ENVELOPE, FLOOR, OBJECT, SKY, LearnedPanorama

TINY = PanoramaDepthConfig(64, (8, 16, 32), 8, (1, 1, 1), 64, 1)


class Known(PanoramaNetwork):
    """Answers as told, at 32 rows."""

    def __init__(self, log_distance, floor, sky, place):
        super().__init__(TINY)
        likely = torch.full((1, 3), -9.0)
        likely[0, PLACES.index(place)] = 9.0
        self.told = PanoramaAnswer(log_distance[None], floor[None], sky[None], likely)

    def forward(self, rgb):
        return self.told


def cylinder(height=32, radius=4.0):
    """Distance in a round tower with a floor 1 below."""
    direction = directions(height)
    wall = radius / direction[..., :2].norm(dim=-1)
    down = -direction[..., 2]
    return torch.where(down > 0, torch.minimum(wall, 1 / down.clamp(min=1e-6)), wall)


def known(scale=1.0, place="open", floor_sure=8.0):
    distance = cylinder()
    plane = 1 / (-directions(32)[..., 2]).clamp(min=1e-6)
    is_floor = distance > 0.999 * plane
    sky = torch.where(directions(32)[..., 2] > 0.7, 8.0, -8.0)
    return PanoramaDepth(Known((scale * distance).log(), torch.where(is_floor, floor_sure, -8.0), sky, place))


PICTURE = torch.full((3, 64, 128), 0.5)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("camera_height", [1.0, 1.6])
def test_the_floor_sets_the_scale_and_is_flat(scale, camera_height):
    depth = known(scale)
    estimate = depth.estimate(PICTURE)
    assert estimate.anchored
    assert estimate.scale == pytest.approx(1 / scale, rel=0.05)
    panorama = depth.predict(PICTURE, camera_height)
    z = panorama.distance * directions(64)[..., 2]
    steep = directions(64)[..., 2] < -0.4
    torch.testing.assert_close(z[steep], torch.full_like(z[steep], -camera_height), rtol=0.01, atol=0)
    wall = (directions(64)[..., 2].abs() < 0.15) & ~panorama.sky
    torch.testing.assert_close(panorama.distance[wall] / camera_height, cylinder(64)[wall], rtol=0.08, atol=0)


def test_without_floor_nothing_is_anchored():
    estimate = known(1.5, floor_sure=-8.0).estimate(PICTURE)
    assert not estimate.anchored
    assert estimate.scale == 1.0
    steep = directions(64)[..., 2] < -0.5
    torch.testing.assert_close(estimate.distance()[steep], 1.5 * cylinder(64)[steep], rtol=0.1, atol=0)


def test_only_a_place_with_a_sky_has_one():
    assert known(place="open").estimate(PICTURE).sky.any()
    assert known(place="covered").estimate(PICTURE).sky.any()
    indoors = known(place="indoors").estimate(PICTURE)
    assert indoors.place == "indoors"
    assert not indoors.sky.any()
    open_air = known().estimate(PICTURE)
    assert not open_air.sky[directions(64)[..., 2] < 0.6].any()
    of_all = open_air.log_distance.exp().clamp(NEAREST, FARTHEST)
    assert torch.equal(open_air.distance()[open_air.sky], of_all[open_air.sky])  # as if it were none


def test_a_mirrored_picture_has_the_mirrored_answer():
    model = PanoramaDepth(PanoramaNetwork(TINY)).estimate
    picture = torch.rand(3, 64, 128, generator=torch.Generator().manual_seed(0))
    one, other = model(picture), model(picture.flip(-1))
    torch.testing.assert_close(other.log_distance.flip(-1), one.log_distance, atol=1e-4, rtol=0)
    assert torch.equal(other.sky.flip(-1), one.sky)


def test_a_scene_has_its_sky_behind_everything(monkeypatch):
    monkeypatch.setattr(PanoramaDepth, "from_pretrained", lambda name: known())
    made = distance_of_panorama(PICTURE, 1.6).panorama
    assert made.sky.any()
    assert (made.distance[made.sky] == 1.6 * FARTHEST).all()
    assert made.distance[~made.sky].max() < 100


def test_the_plane_is_that_of_level_ground():
    plane, below = floor_plane(64)
    down = -directions(64)[..., 2]
    torch.testing.assert_close(plane[below].exp() * down[below], torch.ones_like(plane[below]))
    assert not below[:32].any()
    assert below[34:].all()


@pytest.mark.parametrize("colour", [0.0, 1.0])
@pytest.mark.parametrize("height", [2, 33, 64, 200])
def test_any_picture_has_finite_distances(colour, height):
    model = PanoramaDepth(PanoramaNetwork(TINY))
    panorama = model.predict(torch.full((3, height, 2 * height), colour))
    assert panorama.distance.shape == (height, 2 * height)
    assert bool(panorama.distance.isfinite().all())
    assert bool((panorama.distance > 0).all())


@pytest.mark.parametrize(
    ("rgb", "camera_height", "message"),
    [
        (torch.zeros(3, 64, 100), 1.6, "must be 1:2 .* got 64x100"),
        (torch.full((3, 64, 128), math.nan), 1.6, "expected finite colours"),
        (torch.zeros(3, 64, 128), 0.0, "positive metres, got 0.0"),
        (torch.zeros(3, 64, 128), math.inf, "positive metres, got inf"),
    ],
)
def test_bad_pictures(rgb, camera_height, message):
    with pytest.raises(InputError, match=message):
        PanoramaDepth(PanoramaNetwork(TINY)).predict(rgb, camera_height)


def saved(folder):
    save_weights(folder, PanoramaNetwork(TINY), TINY)
    return folder


def test_weights_open_by_their_folder_or_the_one_around_it(tmp_path):
    saved(tmp_path / "model" / "depth")
    rgb = torch.rand(3, 64, 128)
    one = PanoramaDepth.from_pretrained(tmp_path / "model").predict(rgb)
    two = PanoramaDepth.from_pretrained(tmp_path / "model" / "depth").predict(rgb)
    assert torch.equal(one.distance, two.distance)
    found = distance_of_panorama(rgb, 1.6, tmp_path / "model")
    assert torch.equal(found.panorama.distance, one.distance)
    assert "learned" in found.method
    assert not distance_of_panorama(rgb, 1.6, RULE).floor_found


def truncated(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def other_config(folder):
    (folder / "config.json").write_text((folder / "config.json").read_text().replace('"height": 64', '"height": 65'))


def wider_config(folder):
    (folder / "config.json").write_text((folder / "config.json").read_text().replace('"width": 64', '"width": 128'))


def huge_config(folder):
    (folder / "config.json").write_text(
        (folder / "config.json").read_text().replace('"width": 64', '"width": 64000000')
    )


def other_class(folder):
    (folder / "config.json").write_text('{"config": "TrafficConfig", "fields": {}}')


@pytest.mark.parametrize("fault", [truncated, other_config, wider_config, huge_config, other_class])
def test_weights_that_are_not_right(tmp_path, fault):
    folder = saved(tmp_path / "weights")
    fault(folder)
    with pytest.raises(InputError) as caught:
        PanoramaDepth.from_pretrained(folder)
    assert "\n" not in str(caught.value)


def learned(distance, part, kind="field"):
    rgb, semantic = torch.zeros(3, *part.shape, dtype=torch.uint8), torch.zeros_like(part).byte()
    return LearnedPanorama(rgb, distance, part.byte(), semantic, 1.6, kind)


def test_scores_in_closed_form():
    truth = learned(cylinder(64), torch.full((64, 128), ENVELOPE))
    depth = known()
    exact = depth.predict(PICTURE, 1.0)
    exact = type(exact)(exact.rgb, truth.distance * 1.1, torch.zeros(64, 128, dtype=torch.bool), exact.world_from_pano)
    figures = score_depth(exact, truth).figures()
    assert figures["absrel"] == pytest.approx(0.1, abs=1e-6)
    assert figures["delta1"] == 1.0
    twice = type(exact)(exact.rgb, truth.distance / 2, exact.sky, exact.world_from_pano)
    both = (score_depth(exact, truth) + score_depth(twice, truth)).figures()
    assert both["absrel"] == pytest.approx(0.3, abs=1e-6)
    assert both["delta1"] == pytest.approx(0.5)
    assert math.isnan(DepthScore().figures()["absrel"])


def test_objects_are_what_stands_on_the_floor():
    plane, _ = floor_plane(64)
    part = torch.full((64, 128), FLOOR)
    part[:34] = SKY
    part[40:50, :64] = OBJECT
    distance = torch.where(part == OBJECT, 0.6, 1.0) * plane.exp()
    truth = learned(distance, part)
    flat = known().predict(PICTURE, 1.0)

    def predicted(distance, sky=None):
        return type(flat)(flat.rgb, distance, part == SKY if sky is None else sky, flat.world_from_pano)

    assert score_depth(predicted(distance), truth).figures()["object_recall"] == pytest.approx(1)
    assert score_depth(predicted(distance), truth).figures()["object_precision"] == pytest.approx(1)
    assert score_depth(predicted(plane.exp()), truth).figures()["object_recall"] == 0
    every = score_depth(predicted(0.5 * plane.exp()), truth).figures()
    area = solid_angles(64)
    asked = directions(64)[..., 2] < -math.sin(math.radians(8))
    share = (area * (part == OBJECT) * asked).sum() / (area * (part != SKY) * asked).sum()
    assert every["object_precision"] == pytest.approx(float(share), rel=1e-4)
    assert score_depth(predicted(distance), truth).figures()["sky_iou"] == 1
    half = (part == SKY) & (torch.arange(128) < 64)
    assert score_depth(predicted(distance, half), truth).figures()["sky_iou"] == pytest.approx(0.5)
    indoors = score_depth(predicted(distance), learned(distance, part, "room")).figures()
    assert math.isnan(indoors["sky_iou"])
    assert indoors["false_sky_indoors"] == 0


@pytest.mark.parametrize("model", ["nowhere", ""])
def test_a_model_that_is_not_there(model):
    with pytest.raises(InputError, match=f"'{model}': .* one of: small; or floor, an .onnx file"):
        distance_of_panorama(PICTURE, 1.6, model)
