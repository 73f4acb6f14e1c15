"""The occupancy world model: a memory of what stands, a network that goes on where it ends, and traffic that moves.

    past ── find_tracks ──► tracks ──► TrafficNet ──► poses ─────────────┐
      └──── StaticMap ────► memory ──► StaticTokenizer ──► filled map ──► seen from each pose of the ego

What was seen once stays as it was seen; only what comes into view for the first time, and what moves, is made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath, Trajectory
from worldloom.geometry.occupancy import FREE, OCC3D_CLASSES, Occupancy, VoxelGrid
from worldloom.geometry.rigid import compose, invert, rotz
from worldloom.geometry.warp_occupancy import warp_observed
from worldloom.occupancy.bodies import draw_tracks, with_bodies
from worldloom.occupancy.motions import DT, TrafficBatch, motions_from_poses, poses_from_motions
from worldloom.occupancy.scene_state import HISTORY, ground_picture, plane_poses, scene_state
from worldloom.occupancy.static_map import StaticMap
from worldloom.occupancy.static_tokenizer import (
    NUM_LAYERS,
    ORIGIN_Z,
    StaticCodes,
    StaticTokenizer,
    StaticTokenizerConfig,
    symbols_of,
)
from worldloom.occupancy.static_world import box_around
from worldloom.occupancy.tracks import Track, find_tracks
from worldloom.occupancy.traffic import TrafficConfig, TrafficNet
from worldloom.occupancy.traffic_sampler import draw_motions, sample_motions
from worldloom.occupancy.training.static_examples import path_picture
from worldloom.occupancy.user_boxes import box_of
from worldloom.ops import load_config, load_weights, weights_path
from worldloom.ops.backend import bfloat16_is_fast
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT

OCCUPIED = 0.5  # a voxel that is likelier occupied than this is drawn
SEEN = 0.05  # if it is likelier than this that anybody looks there; lower scores better, and draws lids over streets
_SETTLED = 28.0  # metres around the ego's way
_LOST = 3  # frames for which a user that is out of sight is believed to go on
_STOOD = 0.25  # metres in a frame, the median of the last ones
_STARTS = 4.0  # metres in a chunk that a user has to go to have started
_STRIDE = 8  # columns of a coarse code: sides of what the network sees are multiples


@dataclass(frozen=True)
class WorldState:
    """All that the model knows at one moment. It is never changed, so it can be kept, copied and branched."""

    static: StaticMap
    tracks: tuple[Track, ...]
    world_from_ego: Float[Tensor, "t 4 4"]  # the last poses of the ego, HISTORY of them or fewer
    grid: VoxelGrid


class Chunk(NamedTuple):
    """A few frames of a future."""

    occupancy: Occupancy
    risk: Float[Tensor, "t 2"]  # probability that the ego has collided, or left the road, by each frame


class Drawn(NamedTuple):
    """How everybody moves in the next frames."""

    tracks: tuple[Track, ...]  # all of the state's, longer by t frames
    world_from_ego: Float[Tensor, "t 4 4"]
    risk: Float[Tensor, "t 2"] | None  # as that of a `Chunk`


class Imagined(NamedTuple):
    """Futures without voxels, in the plane of the ego's present frame."""

    users: Float[Tensor, "k n f 3"]
    sizes: Float[Tensor, "n 3"]
    middles: Float[Tensor, "n 2"]
    labels: UInt8[Tensor, " n"]
    risk: Float[Tensor, "k f 2"]


@dataclass(frozen=True)
class Futures:
    """What may come, K times."""

    occupancy: tuple[Occupancy, ...]
    ego_paths: tuple[EgoPath, ...]
    risk: Float[Tensor, "k t 2"]
    # Everybody's box in each future, over its frames and the present one before them.
    users: tuple[tuple[Trajectory, ...], ...] = ()

    def uncertainty(self) -> Float[Tensor, "t x y"]:
        """Share of the futures that differ from the most frequent answer in a column: uncertainty, not reward."""
        stacks = torch.stack([future.labels for future in self.occupancy])
        common = stacks.mode(0).values
        return (stacks != common).any(-1).float().mean(0)


class WorldModel:
    """See the module. All calls are pure: the same arguments give the same answer."""

    def __init__(self, static: StaticTokenizer, traffic: TrafficNet) -> None:
        self.static, self.traffic = static.eval(), traffic.eval()
        for weight in static.parameters():  # oneDNN would bring them into this order at every call
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def from_pretrained(name_or_path: str | Path = "small") -> "WorldModel":
        """The model of embedded weights, or of a folder with `static` and `traffic` in it.

        Raises:
            InputError: there are none, or they are damaged or of another model.
        """
        static_folder = weights_path("worldloom.occupancy", name_or_path, "static")
        traffic_folder = weights_path("worldloom.occupancy", name_or_path, "traffic")
        static = StaticTokenizer(load_config(static_folder, StaticTokenizerConfig))
        traffic = TrafficNet(load_config(traffic_folder, TrafficConfig))
        load_weights(static_folder, static)
        load_weights(traffic_folder, traffic)
        return WorldModel(static, traffic)

    @property
    def chunk(self) -> int:
        """Frames that are drawn at once."""
        return self.traffic.config.future

    def observe(self, past: Occupancy) -> WorldState:
        """Take in what was seen.

        Args:
            past: labels t x y z at 2 Hz, t >= 1, with Occ3D's classes.
        Raises:
            InputError: other classes, another time step, or labels that are not a clip.
        """
        if past.labels.ndim != 4 or past.classes != OCC3D_CLASSES or abs(past.dt - DT) > 0.05 * DT:
            raise InputError(
                f"expected a clip of Occ3D's {len(OCC3D_CLASSES)} classes with {DT:g} s between frames, got labels "
                f"{tuple(past.labels.shape)}, {len(past.classes)} classes, {past.dt:g} s"
            )
        tracks = tuple(
            _continued(track)
            for track in with_bodies(find_tracks(past), past)
            if bool(track.present[-1 - _LOST :].any())
        )
        return WorldState(StaticMap.of(past), tracks, past.world_from_ego.double()[-HISTORY:], past.grid)

    def generate(
        self,
        past: Occupancy,
        ego_path: EgoPath | None = None,
        num_futures: int = 1,
        seed: int = 0,
        mode: str = "forward",
        steps: int = 2,
        guidance: float | int = 1.0,
        horizon: int | None = None,
        expected: bool = True,
    ) -> Futures:
        """K futures of a past: the expected one, the same for every seed, and K - 1 that are drawn.

        Args:
            ego_path: the poses of the future frames, in the world of `past`; needed in mode forward.
            mode: forward, policy, joint or video; see the module `traffic`.
            steps: calls of the network for each chunk of a future that is drawn.
            horizon: frames; as long as the path if not given.
            expected: False draws the first, too. What is expected errs least in the mean; who turns left or right
                with equal chances goes between.
        Raises:
            InputError: numbers that cannot be, or a path that is too short.
        """
        frames = horizon or (len(ego_path) if ego_path is not None else 0)
        if num_futures < 1 or frames < 1 or (ego_path is not None and len(ego_path) < frames):
            raise InputError(
                f"expected at least one future of at least one frame and a path as long, got {num_futures} futures, "
                f"{frames} frames and a path of {0 if ego_path is None else len(ego_path)}"
            )
        start = self.observe(past)
        return self.generate_from(start, ego_path, num_futures, seed, mode, steps, guidance, frames, expected)

    def generate_from(
        self,
        start: WorldState,
        ego_path: EgoPath | None,
        num_futures: int = 1,
        seed: int = 0,
        mode: str = "forward",
        steps: int = 2,
        guidance: float | int = 1.0,
        frames: int = 6,
        expected: bool = True,
    ) -> Futures:
        """As `generate`, from a state, which may have been changed: K futures of so many frames."""
        clips, paths, risks, users = [], [], [], []
        maps: dict[int, StaticMap] = {}  # along a given path the world that stands is one for all futures
        for number in range(num_futures):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            state, chunks = start, []
            ways = [[track.world_from_object[-1:].double()] for track in start.tracks]
            for first in range(0, frames, self.chunk):
                part = None if ego_path is None else ego_path[first : min(frames, first + self.chunk)]
                count = min(self.chunk, frames - first)
                dice = None if expected and number == 0 else generator
                state, chunk = self.step(state, part, dice, mode, steps, guidance, count, maps.get(first))
                chunks.append(chunk)
                if part is not None:
                    maps[first] = state.static
                for way, track in zip(ways, state.tracks, strict=True):
                    way.append(track.world_from_object[-len(chunk.occupancy) :].double())
            clips.append(joined([chunk.occupancy for chunk in chunks]))
            paths.append(EgoPath(clips[-1].world_from_ego, DT))
            risks.append(torch.cat([chunk.risk for chunk in chunks]).cummax(0).values)
            boxes = (box_of(track, torch.cat(way), DT) for track, way in zip(start.tracks, ways, strict=True))
            users.append(tuple(boxes))
        return Futures(tuple(clips), tuple(paths), torch.stack(risks), tuple(users))

    @torch.no_grad()
    def step(
        self,
        state: WorldState,
        path: EgoPath | None,
        generator: torch.Generator | None,
        mode: str = "forward",
        steps: int = 2,
        guidance: float | int = 1.0,
        frames: int | None = None,
        completed: StaticMap | None = None,
    ) -> tuple[WorldState, Chunk]:
        """The next frames, `chunk` of them at most, and the state after them.

        Args:
            path: the ego's poses in those frames, in mode forward.
            generator: of the draw; None for the expected future.
            completed: the map after them, where another future along the same path has filled it in already.
        """
        drawn = self.draw(state, path, generator, mode, steps, guidance, frames)
        assert drawn.risk is not None
        static = completed or self.completed(state.static, state.world_from_ego[-1], drawn.world_from_ego, state.grid)
        occupancy = seen_from(static, drawn.tracks, drawn.world_from_ego, state.grid)
        poses = torch.cat([state.world_from_ego, drawn.world_from_ego])[-HISTORY:]
        return WorldState(static, drawn.tracks, poses, state.grid), Chunk(occupancy, drawn.risk)

    @torch.no_grad()
    def draw(
        self,
        state: WorldState,
        path: EgoPath | None,
        generator: torch.Generator | None,
        mode: str = "forward",
        steps: int = 2,
        guidance: float | int = 1.0,
        frames: int | None = None,
        with_risk: bool = True,
    ) -> Drawn:
        """What moves in the next frames, as `step` has it; no voxels are drawn and nothing of the map is filled in.

        Args:
            with_risk: False saves one of the network's calls.
        """
        count = frames or (len(path) if path is not None else self.chunk)
        batch, kept = self._batch(state)
        ego = None
        if path is not None:
            planar = plane_poses(invert(state.world_from_ego[-1]) @ path.world_from_ego.double()).float()
            planar = torch.cat([planar, planar[-1:].expand(self.chunk - len(planar), 3)])
            ego = motions_from_poses(planar[None], batch.history[:, 0, -1:], 1)
        drawn = sample_motions(self.traffic, batch, ego, None, mode, steps, generator, float(guidance))
        risk = None
        if with_risk:
            _, logits = self.traffic(batch, drawn.shown, drawn.level, drawn.features)
            risk = logits[0, :count].sigmoid()
        poses = poses_from_motions(drawn.motions, batch.history[:, :, -1:])[0, :, :count].double()
        here = state.world_from_ego[-1]
        world_from_ego = path.world_from_ego.double()[:count] if path is not None else here @ _lifted(poses[0])
        return Drawn(self._moved(state, kept, poses[1:], count), world_from_ego, risk)

    @torch.no_grad()
    def imagine(
        self, state: WorldState, paths: Float[Tensor, "k f 3"], generator: torch.Generator, steps: int = 2
    ) -> Imagined:
        """How everybody would move beside K paths of the ego, and the risk of each; no voxels are drawn.

        Args:
            paths: x, y, yaw in the ego's present frame at each of the next `chunk` frames.
        """
        batch, kept = self._batch(state)
        k = len(paths)
        wide = TrafficBatch(*(value.expand(k, *value.shape[1:]) for value in batch))
        ego = motions_from_poses(paths.float(), wide.history[:, 0, -1:], 1)
        motions, logits = draw_motions(self.traffic, wide, ego, None, "forward", steps, generator)
        users = poses_from_motions(motions, wide.history[:, :, -1:])[:, 1:]
        chosen = [state.tracks[i] for i in kept]
        middles = [(t.points.amin(0) + t.points.amax(0))[:2] / 2 for t in chosen]
        return Imagined(
            users, batch.sizes[0, 1:], torch.stack(middles) if middles else torch.zeros(0, 2), batch.labels[0, 1:],
            logits.sigmoid(),
        )  # fmt: skip

    def completed(
        self,
        static: StaticMap,
        here: Float[Tensor, "4 4"],
        world_from_ego: Float[Tensor, "t 4 4"],
        grid: VoxelGrid,
    ) -> StaticMap:
        """The map, filled in where the future frames look and nothing is known."""
        grid_from_ego = invert(static.world_from_grid) @ world_from_ego
        low, high = box_around(grid, grid_from_ego)
        height = float((invert(static.world_from_grid) @ here)[2, 3])
        low[2], high[2] = height + ORIGIN_Z, height + ORIGIN_Z + NUM_LAYERS * grid.voxel_size
        low[:2] -= 1.6  # what the network reads around what it has to tell
        first = ((low - torch.tensor(static.grid.origin, dtype=torch.float64)) / grid.voxel_size).round()
        low = first * grid.voxel_size + torch.tensor(static.grid.origin, dtype=torch.float64)
        columns = (((high - low)[:2] + 1.6) / grid.voxel_size / _STRIDE).ceil().long() * _STRIDE
        high[:2], high[2] = low[:2] + columns * grid.voxel_size, low[2] + NUM_LAYERS * grid.voxel_size
        x, y = columns.tolist()
        corner_x, corner_y, corner_z = low.tolist()
        window = VoxelGrid((corner_x, corner_y, corner_z), grid.voxel_size, (x, y, NUM_LAYERS))
        way = torch.cat([(invert(static.world_from_grid) @ here)[None], grid_from_ego])[:, :2, 3]
        return self.filled_in(static, window, way).settled_along(grid_from_ego, _SETTLED)

    @torch.no_grad()
    def filled_in(
        self,
        static: StaticMap,
        window: VoxelGrid,
        way: Float[Tensor, "t 2"],
        believed: VoxelGrid | None = None,
    ) -> StaticMap:
        """The map, filled in within a window of its lattice where nothing is known.

        Args:
            window: what the network reads: sides of multiples of 8 columns, and the NUM_LAYERS layers of its training.
            way: where the ego goes, metres in the map's frame.
            believed: the part of the window in which the network's answer is taken; all of it if not given.
        """
        low = torch.tensor(window.origin, dtype=torch.float64)
        high = low + window.voxel_size * torch.tensor(window.shape, dtype=torch.float64)
        static = static.over(low, high)
        place = static.place_of(window, static.grid)
        symbols = symbols_of(static.labels[place], static.known[place])
        picture = path_picture(way - low[:2], window.shape[:2], window.voxel_size)
        device = self.static.head.weight.device
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device)):
            memory = self.static.remember(symbols[None], picture[None])
            logits = self.static.decode(StaticCodes(), memory)
        labels, looked = logits.labels(OCCUPIED)[0], logits.looked(SEEN)[0]
        if believed is None:
            return static.filled(window, labels, looked)
        part = static.place_of(believed, window)
        return static.filled(believed, labels[part], looked[part])

    def _batch(self, state: WorldState) -> tuple[TrafficBatch, list[int]]:
        here = state.world_from_ego[-1]
        ground = ground_picture(
            state.static.labels, state.static.known, state.static.grid, invert(here) @ state.static.world_from_grid
        )
        scene, kept = scene_state(state.tracks, state.world_from_ego, ground, self.traffic.config.max_users)
        ones = torch.ones(1, HISTORY, dtype=torch.bool)
        batch = TrafficBatch(
            torch.cat([torch.zeros(1, dtype=torch.uint8), scene.labels])[None],
            torch.cat([torch.tensor([EGO_EXTENT]), scene.sizes])[None],
            torch.cat([torch.tensor([[EGO_CENTRE, 0.0]]), scene.middles])[None],
            torch.cat([scene.ego[None], scene.history])[None],
            torch.cat([ones, scene.present])[None],
            scene.ground[None],
        )
        return batch, kept

    def _moved(
        self, state: WorldState, kept: Sequence[int], poses: Float[Tensor, "n f 3"], count: int
    ) -> tuple[Track, ...]:
        """All tracks with `count` frames more; those that the network was not shown stay where they are."""
        here = state.world_from_ego[-1]
        rows = {i: row for row, i in enumerate(kept)}
        moved = []
        for i, track in enumerate(state.tracks):
            last = track.world_from_object[-1:].double()
            future = last.expand(count, 4, 4)
            if i in rows:
                flat = here @ _lifted(poses[rows[i]])
                # The step from the present, so that the height and tilt of the user stay its own.
                now = here @ _lifted(plane_poses(invert(here) @ last))
                if not _stands(track, flat):
                    future = (flat @ invert(now)) @ last
            moved.append(
                replace(
                    track,
                    world_from_object=torch.cat([track.world_from_object.double(), future])[-HISTORY - count :],
                    present=torch.cat([track.present, torch.ones(count, dtype=torch.bool)])[-HISTORY - count :],
                )
            )
        return tuple(moved)


def seen_from(
    static: StaticMap, tracks: Sequence[Track], world_from_ego: Float[Tensor, "t 4 4"], grid: VoxelGrid
) -> Occupancy:
    """The frames of a clip in a world that is known: its map, and tracks over the same frames (their last t poses).

    `observed` is what the map knows.
    """
    count = len(world_from_ego)
    labels = torch.empty(count, *grid.shape, dtype=torch.uint8)
    known = torch.empty(count, *grid.shape, dtype=torch.bool)
    for i, ego_from_world in enumerate(invert(world_from_ego.double())):
        ego_from_grid = ego_from_world @ static.world_from_grid
        frame, known[i] = warp_observed(static.labels, static.known, ego_from_grid, static.grid, grid)
        still = torch.where(known[i], frame, FREE)
        poses = [ego_from_world @ track.world_from_object[len(track) - count + i].double() for track in tracks]
        labels[i] = draw_tracks(still, grid, torch.stack(poses), tracks) if poses else still
    return Occupancy(labels, known | (labels != FREE), world_from_ego, grid, OCC3D_CLASSES, DT)


def _continued(track: Track) -> Track:
    """A track that was lost in the last frames, as if it had gone on at its last speed."""
    seen = track.present.nonzero()[:, 0].tolist()
    missing = len(track) - 1 - seen[-1]
    if not missing:
        return track
    poses, present = track.world_from_object.clone().double(), track.present.clone()
    way = torch.zeros(3, dtype=torch.float64)
    if len(seen) > 1:
        way = (poses[seen[-1]] - poses[seen[-2]])[:3, 3] / (seen[-1] - seen[-2])
    for i in range(missing):
        poses[seen[-1] + 1 + i] = poses[seen[-1]]
        poses[seen[-1] + 1 + i, :3, 3] += (i + 1) * way
    present[seen[-1] :] = True
    return replace(track, world_from_object=poses, present=present)


def _stands(track: Track, future: Float[Tensor, "f 4 4"]) -> bool:
    """Whether a user that stood is drawn no farther than the sampler errs: then it still stands.

    In towns kept for choosing, 8 to 17 of 100 that stood so go more than two metres in three seconds, and to leave all
    of them where they are errs less (0.7 to 1.0 m) than to believe what is drawn (1.2 to 1.6 m).
    """
    there = track.present[-HISTORY:]
    places = track.world_from_object[-HISTORY:, :2, 3].double()
    steps = places.diff(dim=0).norm(dim=-1)[there[1:] & there[:-1]]
    stood = len(steps) > 1 and float(steps.median()) < _STOOD
    return stood and float((future[-1] - track.world_from_object[-1].double())[:2, 3].norm()) < _STARTS


def _lifted(poses: Float[Tensor, "*t 3"]) -> Float[Tensor, "*t 4 4"]:
    """Poses of the plane as rigid motions."""
    return compose(rotz(poses[..., 2]), torch.nn.functional.pad(poses[..., :2], (0, 1)))


def joined(clips: Sequence[Occupancy]) -> Occupancy:
    """Clips of one grid, one after the other."""
    return replace(
        clips[0],
        labels=torch.cat([clip.labels for clip in clips]),
        observed=torch.cat([clip.observed for clip in clips]),
        world_from_ego=torch.cat([clip.world_from_ego for clip in clips]),
    )
