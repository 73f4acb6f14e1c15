"""Metrics of forecast occupancy: accuracy, bits, action following, drift, physics, risk and planning.

Every number is said with its protocol, its floor and its interval (`Number`). Planning scores are in
`worldloom.occupancy.metrics.planning`.
"""

from worldloom.geometry.occupancy import STANDING, STATIC
from worldloom.occupancy.metrics.bits import (
    code_bits,
    code_entropy,
    entropy_bits,
    lossless_bits,
    quantise,
    raw_bits,
    stream_bits,
)
from worldloom.occupancy.metrics.bootstrap import Interval, bootstrap
from worldloom.occupancy.metrics.drift import (
    HalfLife,
    area,
    class_volume_ratio,
    half_life,
    revisit_agreement,
    revisits,
    slope,
    token_entropy,
)
from worldloom.occupancy.metrics.following import (
    Following,
    Gain,
    agreement,
    condition_ratio,
    follow,
    gain,
    local,
    step_gains,
    swap_win_rate,
)
from worldloom.occupancy.metrics.frechet import (
    Consistency,
    Projection,
    f3d_wl,
    fit_projection,
    mmd_wl,
    split_halves,
    temporal_consistency,
)
from worldloom.occupancy.metrics.groups import OBSTACLES, RARE, SMALL, VRU
from worldloom.occupancy.metrics.manoeuvre import (
    MANOEUVRES,
    ManoeuvreScore,
    manoeuvre_of,
    nuscenes_command,
    score_manoeuvres,
)
from worldloom.occupancy.metrics.measured_path import MeasuredPath, measured_path
from worldloom.occupancy.metrics.objects import Seen, Track, find_objects, follow_objects
from worldloom.occupancy.metrics.physics import (
    RULES,
    PhysicsScore,
    Tolerances,
    arrow_of_time,
    physics_score,
    score_physics,
)
from worldloom.occupancy.metrics.rare import RareScore, score_rare
from worldloom.occupancy.metrics.record import Number
from worldloom.occupancy.metrics.registration import (
    Abstention,
    EdgeLayers,
    Motion,
    Registration,
    edge_layers,
    register,
)
from worldloom.occupancy.metrics.risk import (
    RiskScore,
    auroc,
    expected_calibration_error,
    score_risk,
    wrong_path_honesty,
)
from worldloom.occupancy.metrics.semantic import SemanticScore, score_forecast
from worldloom.occupancy.metrics.static_world import StaticAgreement, compare_static, flips

__all__ = [
    "MANOEUVRES",
    "OBSTACLES",
    "RARE",
    "RULES",
    "SMALL",
    "STANDING",
    "STATIC",
    "VRU",
    "Abstention",
    "Consistency",
    "EdgeLayers",
    "Following",
    "Gain",
    "HalfLife",
    "Interval",
    "ManoeuvreScore",
    "MeasuredPath",
    "Motion",
    "Number",
    "PhysicsScore",
    "Projection",
    "RareScore",
    "Registration",
    "RiskScore",
    "Seen",
    "SemanticScore",
    "StaticAgreement",
    "Tolerances",
    "Track",
    "agreement",
    "area",
    "arrow_of_time",
    "auroc",
    "bootstrap",
    "class_volume_ratio",
    "code_bits",
    "code_entropy",
    "compare_static",
    "condition_ratio",
    "edge_layers",
    "entropy_bits",
    "expected_calibration_error",
    "f3d_wl",
    "find_objects",
    "fit_projection",
    "flips",
    "follow",
    "follow_objects",
    "gain",
    "half_life",
    "local",
    "lossless_bits",
    "manoeuvre_of",
    "measured_path",
    "mmd_wl",
    "nuscenes_command",
    "physics_score",
    "quantise",
    "raw_bits",
    "register",
    "revisit_agreement",
    "revisits",
    "score_forecast",
    "score_manoeuvres",
    "score_physics",
    "score_rare",
    "score_risk",
    "slope",
    "split_halves",
    "step_gains",
    "stream_bits",
    "swap_win_rate",
    "temporal_consistency",
    "token_entropy",
    "wrong_path_honesty",
]
