"""Other people's networks: ONNX files, transformers' folders, what they need is found out, hostile ones are refused."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.equirect import directions, rays
from worldloom.geometry.io.images import load_image
from worldloom.recon.depth_networks import RANGES, open_depth_network
from worldloom.recon.merge_views import ring_views
from worldloom.recon.network_distance import distance_by_network
from worldloom.recon.panorama_depth import PanoramaEstimate, floor_plane
from worldloom.recon.scene_distance import distance_of_panorama

ROWS = 64
REAL = "tcmonodepth/tcmonodepth_tcsmallnet_192x320.onnx"


def box_room(towards):
    high, low = torch.tensor([3.5, 3.3, 1.3]), torch.tensor([-2.5, -4.7, -1.0])
    return torch.where(towards > 0, high / towards, torch.where(towards < 0, low / towards, torch.inf)).min(-1).values


def painted_room():
    """A picture whose red is the disparity that a network should see: 1 / distance, over the sphere."""
    distance = box_room(directions(ROWS))
    return torch.stack([1 / distance, 0 * distance + 0.5, 0 * distance + 0.5]).clamp(0, 1)


def base():
    """Knows the floor, and thinks that all else is far."""
    plane, below = floor_plane(ROWS)
    floor = (below & (box_room(directions(ROWS)) > 0.99 * plane.exp())).float()
    nowhere = torch.zeros(ROWS, 2 * ROWS, dtype=torch.bool)
    log = torch.where(floor > 0, plane, math.log(6.0))
    return PanoramaEstimate(log, floor, nowhere, "indoors", 0.2, 1.0)


class ReadsRed:
    """Exact up to a scale of each view, in a range of input that it does not tell.

    In any other range it answers what networks do that see nothing: what is lower is nearer.
    """

    size = (48, 64)
    ranges = RANGES

    def __init__(self, wanted, kind):
        self.wanted, self.kind = RANGES[wanted], kind

    def __call__(self, views):
        mean, deviation = (torch.tensor(x)[:, None, None] for x in (self.wanted.mean, self.wanted.deviation))
        red, green, _ = (views * deviation + mean).unbind(1)
        sees = torch.exp(-(((green - 0.5) / 0.1) ** 2))  # the green of every picture here
        length = rays(ring_views(self.size)[0]).norm(dim=-1)
        disparity = sees * red * length + (1 - sees) * torch.linspace(0.1, 1, self.size[0])[:, None]
        scale = 0.5 + torch.rand(len(views), 1, 1, generator=torch.Generator().manual_seed(len(views)))
        return scale / disparity.clamp(min=0.01) if self.kind == "depth" else scale * disparity + 0.3


@pytest.mark.parametrize("kind", ["depth", "disparity"])
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_what_a_network_wants_and_means_is_found_out(wanted, kind):
    estimate, reading = distance_by_network(painted_room(), ReadsRed(wanted, kind), base(), base_weight=0.0)
    assert reading.kind == kind
    assert reading.input_range == RANGES[wanted].name
    assert reading.num_used == reading.num_views
    truth = box_room(directions(ROWS))
    seen = (directions(ROWS)[..., 2].asin().abs() < 1.0) & (truth < 6)
    assert ((estimate.distance() / truth - 1).abs()[seen]).median() < 0.02


def test_what_stands_is_no_floor():
    picture, thing = painted_room(), torch.zeros(ROWS, 2 * ROWS, dtype=torch.bool)
    thing[44:50, 20:40] = True
    picture[0, thing] *= 1.25
    estimate, _ = distance_by_network(picture, ReadsRed(2, "disparity"), base(), base_weight=0.0)
    inner = thing & thing.roll(1, 0) & thing.roll(-1, 0) & thing.roll(2, 1) & thing.roll(-2, 1)
    assert base().floor[inner].min() == 1
    assert estimate.floor[inner].max() < 0.1
    assert ((estimate.distance() * 1.25 / box_room(directions(ROWS)))[inner] - 1).abs().median() < 0.1


class Noise:
    size, ranges = (48, 64), RANGES[:1]

    def __call__(self, views):
        return torch.rand(len(views), *self.size, generator=torch.Generator().manual_seed(0))


def test_a_network_that_sees_nothing_is_refused():
    with pytest.raises(InputError, match="answers follow the floor, got a rank correlation of"):
        distance_by_network(painted_room(), Noise(), base())


# --- files ---


def onnx_file(path: Path, shape=(1, 3, 32, 48), weight=1.0, external=False, channels=1):
    """A 1 x 1 convolution that reads red."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    kernel = np.zeros((channels, shape[1] if isinstance(shape[1], int) else 3, 1, 1), np.float32)
    kernel[:, 0] = weight
    tensor = onnx.numpy_helper.from_array(kernel, "kernel")
    if external:
        onnx.external_data_helper.set_external_data(tensor, "../../../../etc/passwd")
        tensor.ClearField("raw_data")
    node = helper.make_node("Conv", ["image", "kernel"], ["depth"])
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("depth", kind, None)], [tensor],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_an_onnx_file_answers(tmp_path):
    pytest.importorskip("onnxruntime")
    network = open_depth_network(onnx_file(tmp_path / "red.onnx", (1, 3, "h", "w")))
    views = torch.rand(3, 3, *network.size)
    torch.testing.assert_close(network(views), views[:, 0])


def nowhere(folder):
    return folder / "nowhere.onnx"


def no_onnx(folder):
    (folder / "text.onnx").write_bytes(b"This is no network." * 99)
    return folder / "text.onnx"


def empty(folder):
    (folder / "empty.onnx").touch()
    return folder / "empty.onnx"


def another_suffix(folder):
    (folder / "network.pth").write_bytes(b"\x80\x04")
    return folder / "network.pth"


def a_folder_of_nothing(folder):
    (folder / "folder.onnx").mkdir()
    return folder / "folder.onnx"


def reads_other_files(folder):
    return onnx_file(folder / "external.onnx", external=True)


def grey_input(folder):
    return onnx_file(folder / "grey.onnx", (1, 1, 32, 48))


def huge_input(folder):
    return onnx_file(folder / "huge.onnx", (1, 3, 1 << 20, 1 << 20))


def not_finite(folder):
    return onnx_file(folder / "inf.onnx", weight=np.inf)


def three_channels(folder):
    return onnx_file(folder / "three.onnx", channels=3)


@pytest.mark.parametrize(
    "fault",
    [nowhere, no_onnx, empty, another_suffix, a_folder_of_nothing, reads_other_files, grey_input, huge_input,
     not_finite, three_channels],
)  # fmt: skip
def test_files_that_are_no_depth_networks(tmp_path, fault):
    pytest.importorskip("onnxruntime")
    path = fault(tmp_path)

    def use():
        network = open_depth_network(path)
        return network(torch.rand(1, 3, *network.size))

    with pytest.raises(InputError) as caught:
        use()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_real_network_sees_a_post(test_data):
    pytest.importorskip("onnxruntime")
    rgb = load_image(test_data / "panoramas" / "blender" / "courtyard.png")
    rgb = torch.nn.functional.avg_pool2d(rgb[None], 4)[0]
    found = distance_of_panorama(rgb, 1.6, test_data / REAL)
    assert found.facts["depth_kind"] == "disparity"
    assert found.facts["depth_input"] == "0 to 255"
    assert bool(found.panorama.distance.isfinite().all())


def tiny_transformers(folder):
    """A random model, saved by the library itself."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=14, image_size=56,
        out_indices=[1, 2], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8], reassemble_factors=[2, 1],
        fusion_hidden_size=8, head_hidden_size=8, patch_size=14,
    )  # fmt: skip
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_transformers_answers(tmp_path):
    network = open_depth_network(tiny_transformers(tmp_path))
    assert all(side % 14 == 0 for side in network.size)
    values = network(torch.rand(2, 3, *network.size))
    assert values.shape == (2, *network.size)
    assert bool(values.isfinite().all())
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(InputError, match="no depth model of transformers"):
        open_depth_network(tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "told", ["[1, 2", '{"image_std": [0, 0, 0]}', '{"size": {"height": 1000000, "width": 4}}', "[]"]
)
def test_a_preprocessor_that_cannot_be(tmp_path, told):
    tiny_transformers(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(told)
    with pytest.raises(InputError, match=r"preprocessor_config\.json"):
        open_depth_network(tmp_path)
