"""Driving scores: on exact boxes as published, and on grids under a name of their own."""

from worldloom.occupancy.metrics.planning.boxes import (
    Traffic,
    driveable_compliance,
    driving_direction,
    lane_keeping,
    no_collision,
    progress_along,
    time_to_collision,
)
from worldloom.occupancy.metrics.planning.calibration import Agreement, agreement_by, agreement_of, choose_tau
from worldloom.occupancy.metrics.planning.comfort import at_ten_hertz, comfortable, consistent, kinematics_of
from worldloom.occupancy.metrics.planning.formulas import ego_progress, epdms, hugsim_frame, neuro_ncap, pdms
from worldloom.occupancy.metrics.planning.grids import EgoBox, GridSafety, contact_shares, judge_on_grids, pdms_occ
from worldloom.occupancy.metrics.planning.samples import collision_probability, histogram_log_likelihood, min_ade

__all__ = [
    "Agreement",
    "EgoBox",
    "GridSafety",
    "Traffic",
    "agreement_by",
    "agreement_of",
    "at_ten_hertz",
    "choose_tau",
    "collision_probability",
    "comfortable",
    "consistent",
    "contact_shares",
    "driveable_compliance",
    "driving_direction",
    "ego_progress",
    "epdms",
    "histogram_log_likelihood",
    "hugsim_frame",
    "judge_on_grids",
    "kinematics_of",
    "lane_keeping",
    "min_ade",
    "neuro_ncap",
    "no_collision",
    "pdms",
    "pdms_occ",
    "progress_along",
    "time_to_collision",
]
