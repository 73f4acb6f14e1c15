"""What the package's own weights can do, on worlds that no network has seen."""

import pytest

from worldloom.recon import PanoramaDepth, assume_distance
from worldloom.recon.depth_metrics import score_depth
from worldloom.synth.panoramas.panorama_files import load_panoramas, panorama_file, write_world_panoramas
from worldloom.synth.panoramas.world_splits import WORLD_SPLITS, kind_of_world


@pytest.mark.parametrize("kind", ["room", "street"])
def test_looking_is_better_than_assuming(kind, tmp_path):
    seed = next(seed for seed in WORLD_SPLITS["test"] if kind_of_world(seed) == kind)
    write_world_panoramas(tmp_path, lambda share, doing: None, seed, 1, 128)
    truth = load_panoramas(tmp_path / panorama_file(seed))[0]
    rgb = truth.rgb.float() / 255
    learned = score_depth(PanoramaDepth.from_pretrained("small").predict(rgb, 1.0), truth).figures()
    floor = score_depth(assume_distance(rgb, 1.0), truth).figures()
    assert learned["absrel_nonfloor"] < 0.8 * floor["absrel_nonfloor"]
    assert learned["delta1"] > floor["delta1"] + 0.1
    if kind == "street":
        assert learned["sky_iou"] > 0.9
    else:
        assert learned["false_sky_indoors"] < 0.01
