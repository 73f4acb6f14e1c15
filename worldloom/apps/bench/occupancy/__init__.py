"""The driving half on towns that no network has seen, every figure beside its floor."""

import os
import sys
import tempfile
from pathlib import Path

from worldloom.apps.bench.occupancy.closed_loop import planner_rows
from worldloom.apps.bench.occupancy.codes import code_rows, genuine_rows
from worldloom.apps.bench.occupancy.cost import cost_rows
from worldloom.apps.bench.occupancy.forecasts import forecast_rows
from worldloom.apps.bench.occupancy.long_rollouts import rollout_rows
from worldloom.apps.bench.occupancy.paths import path_rows
from worldloom.apps.bench.result import Row
from worldloom.errors import InputError
from worldloom.occupancy.baselines import OccSoraTokenizer
from worldloom.occupancy.baselines.occsora import load_occsora_tokenizer
from worldloom.occupancy.data.splits import TOWN_SPLITS
from worldloom.occupancy.tokenizer import Tokenizer
from worldloom.occupancy.world_model import WorldModel
from worldloom.synth.dataset.clips import load_driving_clip
from worldloom.synth.dataset.training_clips import write_clips

_BASELINES = Path("benchmarks/baselines")  # in a checkout; weights of peers are no part of the package
_LOOKED_AT = 2  # test towns that were looked at while the planner was built


def run(quick: bool) -> list[Row]:
    """Forecasts, codes, following, risk, long roll-outs, planner, cost. Without weights only floors are printed."""
    towns = TOWN_SPLITS["test"][_LOOKED_AT:][: 1 if quick else 3]
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_clips(towns, Path(folder), 1 if quick else 2, num_alternatives=1 if quick else 2):
            pass
        clips = [load_driving_clip(path) for path in sorted(Path(folder).rglob("scene-*.npz"))]
    logged = [clip for clip in clips if not clip.manoeuvre]
    try:
        model, tokenizer = WorldModel.from_pretrained("small"), Tokenizer.from_pretrained("small")
    except InputError:
        model, tokenizer = None, None
    rows = [*forecast_rows(logged, model, quick), *code_rows(logged, tokenizer, _occsora(), quick)]
    if model is None or tokenizer is None:
        return [*rows, *path_rows(clips, None, quick)]
    recorded = os.environ.get("WORLDLOOM_TEST_DATA")
    return [
        *rows,
        *genuine_rows(tokenizer, Path(recorded, "occ3d") if recorded else None),
        *path_rows(clips, model, quick),
        *rollout_rows(logged, model, quick),
        *planner_rows(towns, model, quick),
        *cost_rows([clip.occupancy for clip in logged], model, quick),
    ]


def _occsora() -> OccSoraTokenizer | None:
    """With weights of WORLDLOOM_BASELINES, or of the checkout that this runs in; None where there are none."""
    folder = Path(os.environ.get("WORLDLOOM_BASELINES", _BASELINES)) / "occsora-tokenizer"
    if not folder.is_dir():
        print(
            f"no rows of OccSora: expected weights of `worldloom train occsora-tokenizer` in {folder}", file=sys.stderr
        )
        return None
    return load_occsora_tokenizer(folder)
