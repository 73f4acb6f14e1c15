"""Whether the world follows the ego's path, and whether the model knows which paths end badly."""

import statistics
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.bench.result import Row
from worldloom.geometry import EgoPath, Occupancy
from worldloom.geometry.manoeuvres import manoeuvre_path
from worldloom.geometry.rigid import invert
from worldloom.occupancy.danger import SIGHT, ego_boxes, separations, user_boxes, with_middles
from worldloom.occupancy.metrics import auroc, follow, measured_path, score_risk, swap_win_rate, wrong_path_honesty
from worldloom.occupancy.scene_state import plane_poses
from worldloom.occupancy.world_model import Imagined, WorldModel
from worldloom.synth.dataset.clips import DrivingClip

_PAST = 5
_FUTURE = 16  # frames: 8 s
_MOMENTS = 3  # frames between moments at which risk is asked
_APART = 2.0  # metres between the ends of two commands that are different


def path_rows(clips: Sequence[DrivingClip], model: WorldModel | None, quick: bool) -> list[Row]:
    """Following over 8 s and swapped commands; and of the model, its risk beside what truly happened."""
    logged = [clip for clip in clips if not clip.manoeuvre]
    rows = _following_rows([clip.occupancy for clip in logged][: 1 if quick else None], model)
    if model is None:
        return rows
    changed = [clip for clip in clips if clip.manoeuvre and clip.branch_frame >= 1]
    return [*rows, *_swap_rows(changed[: 2 if quick else None], model), *_risk_rows(clips, model)]


def _following_rows(clips: Sequence[Occupancy], model: WorldModel | None) -> list[Row]:
    """ADE over 8 s between the commanded path and the one that registration finds in the voxels."""
    floor, ours = [], []
    for clip in clips:
        past, truth = clip[:_PAST], clip[_PAST : _PAST + _FUTURE]
        path = EgoPath(truth.world_from_ego, truth.dt)
        found = measured_path(truth)
        if not found.headline:
            continue
        floor.append(follow(found.path, _from_start(path)).ade)
        if model is not None:
            ours.append(_ade(model.generate(past, path).occupancy[0], path))
    if not floor:
        return []
    base, note = statistics.mean(floor), f"{len(floor)} drives of 8 s; registration of all labels"
    rows = [Row("follow_floor_8s", base, "m", "", {}, f"the truth, by the same registration; {note}")]
    if ours:
        rows.insert(0, Row("follow_ade_8s", statistics.mean(ours), "m", f"<= {2 * base:.4g}", {"truth": base}, note))
    return rows


def _swap_rows(changed: Sequence[DrivingClip], model: WorldModel) -> list[Row]:
    """Same past, two commands: the world made for one must be nearer to it than to the other.

    Pasts are left out if not even in the truth the path can be measured: nothing could be said of the model there.
    """
    own, other, truly = [], [], []
    left_out = 0
    for clip in changed:
        frames = clip.occupancy
        past, truth = frames[: clip.branch_frame + 1], frames[clip.branch_frame + 1 :][:_FUTURE]
        done = EgoPath(truth.world_from_ego, truth.dt)
        speed = float(clip.speed[clip.branch_frame])
        kept = manoeuvre_path("straight", speed, len(truth), truth.dt, past.world_from_ego[-1])[1:]
        if float((done.world_from_ego[-1] - kept.world_from_ego[-1])[:2, 3].norm()) < _APART:
            continue
        seen = measured_path(truth)
        if not seen.headline:
            left_out += 1
            continue
        truly.append(follow(seen.path, _from_start(done)).ade < follow(seen.path, _from_start(kept)).ade)
        for command, rival in ((done, kept), (kept, done)):
            made = measured_path(model.generate(past, command).occupancy[0]).path
            own.append(follow(made, _from_start(command)).ade)
            other.append(follow(made, _from_start(rival)).ade)
    if not own:
        return []
    won = swap_win_rate(torch.tensor(own), torch.tensor(other))
    note = (
        f"{len(own)} swaps of a command by another from the same past, 8 s, {_APART:g} m or more apart at the end; "
        f"{left_out} pasts left out: registration gives up on the truth, too"
    )
    floors = {"chance": 50.0, "truth": 100 * statistics.mean(truly)}
    return [Row("swap_win", 100 * won, "%", ">= 99", floors, note)]


def _risk_rows(clips: Sequence[DrivingClip], model: WorldModel) -> list[Row]:
    """The risk of true paths, some of which end in a collision or beside the road; and whether boxes touch in what the
    model draws for them, which is another answer."""
    told, drawn, near, contact, left = [], [], [], [], []
    for clip in clips:
        last = len(clip.occupancy) - model.chunk
        for now in range(max(1, clip.branch_frame - 2), last, _MOMENTS):
            path = _ahead(clip.occupancy, now, model.chunk)
            state = model.observe(clip.occupancy[max(0, now + 1 - _PAST) : now + 1])
            generator = torch.Generator().manual_seed(now)
            imagined = model.imagine(state, path[None], generator)
            told.append(imagined.risk[0, -1])
            drawn.append(_apart(imagined, path))
            near.append(_nearest(clip, now, model.chunk))
            future = slice(now + 1, now + 1 + model.chunk)
            contact.append(bool(clip.risk.collision[future].any()))
            left.append(bool(clip.risk.off_road[future].any()))
    risk, hit, off = torch.stack(told), torch.tensor(contact), torch.tensor(left)
    if not hit.any() or hit.all():
        return []
    score = score_risk(risk[:, 0], hit)
    wrong = hit | off
    reported = (risk >= 0.5).any(1)
    apart = torch.tensor(drawn)
    floors = {
        "boxes of the drawn future": auroc(-apart, hit),
        "distance at constant velocity": auroc(-torch.tensor(near), hit),
        "constant": 0.5,
    }
    missed = {"boxes of the drawn future": 100 * float((apart[hit] > 0).double().mean()), "never reports": 100.0}
    note = f"{len(risk)} paths of {model.chunk / 2:g} s, {100 * score.base_rate:.0f} % with a collision"
    honest = f"{int(wrong.sum())} paths that end in a collision or off the road"
    honesty, false = 100 * wrong_path_honesty(reported, wrong), 100 * float(reported[~wrong].double().mean())
    return [
        Row("risk_auroc", score.auroc, "", ">= 0.95", floors, note),
        Row("hallucinated_success", 100 * score.hallucinated, "%", "<= 5", missed, note),
        Row("wrong_path_honesty", honesty, "%", ">= 95", {"false alarms": false}, honest),
    ]


def _ahead(clip: Occupancy, now: int, frames: int) -> Float[Tensor, "f 3"]:
    poses = clip.world_from_ego.double()
    return plane_poses(invert(poses[now]) @ poses[now + 1 : now + 1 + frames]).float()


def _nearest(clip: DrivingClip, now: int, frames: int) -> float:
    """Metres from the ego to the nearest user on its way, if all keep their velocities: from exact boxes."""
    users = clip.tracks
    there = users.present[:, now]
    if not there.any():
        return 100.0
    seconds = clip.occupancy.dt * torch.arange(1, frames + 1)[:, None]
    way = users.centres[there, now, None, :2] + seconds * users.velocities[there, now, None, :2]
    ego = clip.occupancy.world_from_ego[now + 1 : now + 1 + frames, :2, 3].float()
    return float(((way - ego).norm(dim=-1) - users.extents[there, :1] / 2).min())


def _apart(imagined: Imagined, path: Float[Tensor, "f 3"]) -> float:
    """Metres that the ego stays away from the others in a drawn future, between its frames too."""
    users = with_middles(imagined.users, imagined.users[..., :1, :])
    boxes = user_boxes(users, imagined.sizes[:, None], imagined.middles[:, None])
    ego = ego_boxes(with_middles(path, path[:1]))[None]
    return float(separations(ego, boxes).amin()) if boxes.shape[1] else SIGHT


def _ade(future: Occupancy, path: EgoPath) -> float:
    return follow(measured_path(future).path, _from_start(path)).ade


def _from_start(path: EgoPath) -> EgoPath:
    poses = path.world_from_ego.double()
    return EgoPath(invert(poses[:1]) @ poses, path.dt)
