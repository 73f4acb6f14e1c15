"""How traffic goes on: one diffusion transformer over the poses of the ego and of everyone around it.

A token is one user (the ego is the first) at one frame. Blocks look along time, among users, and at the map. The path
of the ego and the paths of the others have noise levels of their own, frame by frame, so that one network answers five
questions (Zhu et al. 2025, "Unified World Models"; Chen et al. 2024, "Diffusion Forcing"):

    mode      ego's path    the others
    forward   given         drawn
    policy    drawn         unknown
    inverse   drawn         given
    joint     drawn         drawn
    video     unknown       drawn

Unknown means pure noise at the highest level, which is what training shows the network for it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.geometry.occupancy import MOVERS
from worldloom.occupancy.danger import NUM_DANGERS, dangers
from worldloom.occupancy.scene_state import HISTORY, PICTURE, PIXEL, TALL
from worldloom.ops import Block, BlockConfig, FinalLayer, ScalarEmbedding, rotary_angles

DT = 0.5  # seconds between frames
SPEED_UNIT, TURN_UNIT = 5.0, 0.5  # m/s and radians per unit of a motion
NUM_RISKS = 2  # collision, off the road


@dataclass(frozen=True)
class TrafficConfig:
    """The size of the network."""

    width: int = 192
    blocks: int = 6
    max_users: int = 32  # besides the ego
    future: int = 8  # frames that are drawn at once
    map_width: int = 96


class TrafficBatch(NamedTuple):
    """Scenes with n users besides the ego; row 0 of the n + 1 is the ego. Poses are x, y, yaw in the ego's present."""

    labels: UInt8[Tensor, "b m"]  # of the ego anything
    sizes: Float[Tensor, "b m 3"]
    middles: Float[Tensor, "b m 2"]  # of the sizes' boxes, in the users' own frames
    history: Float[Tensor, "b m h 3"]
    present: Bool[Tensor, "b m h"]  # all False in rows without a user
    ground: UInt8[Tensor, "b p q"]


class TrafficNet(nn.Module):
    """Predicts the motions without noise from motions with noise (x0), and how likely the ego's path ends badly."""

    def __init__(self, config: TrafficConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.label = nn.Embedding(len(MOVERS) + 1, width)
        self.size = ScalarEmbedding(3, width, 0.4, 24.0, 8)
        self.state = ScalarEmbedding(3, width, 0.02, 8.0, 12)  # motions, in their units
        self.place = ScalarEmbedding(4, width, 0.8, 120.0, 12)
        self.frame = nn.Embedding(HISTORY + config.future, width)
        self.level = ScalarEmbedding(1, width, 0.02, 2.0, 16)
        self.action = ScalarEmbedding(3, width, 0.02, 8.0, 12)  # of the ego at that frame: conditions every token of it
        self.action_level = ScalarEmbedding(1, width, 0.02, 2.0, 16)
        self.missing = nn.Parameter(torch.zeros(width))
        self.map = _MapNet(config.map_width)
        self.map_here = nn.Linear(2 * config.map_width, width)
        block = BlockConfig(width, cond_width=width)
        looking = BlockConfig(width, cond_width=width, context_width=config.map_width)
        self.along_time = nn.ModuleList(Block(block) for _ in range(config.blocks))
        self.among_users = nn.ModuleList(
            Block(looking if i % 2 else block) for i in range(config.blocks)
        )  # every second block looks at the map
        self.out = FinalLayer(width, 3, width)
        self.danger = nn.Sequential(nn.Linear(width + NUM_DANGERS, width), nn.SiLU(), nn.Linear(width, width))
        self.risk = FinalLayer(width, NUM_RISKS, width)

    def map_features(self, ground: UInt8[Tensor, "b p q"]) -> "MapFeatures":
        """Of pictures of the map; of one that is the same for all of the batch, made once."""
        if len(ground) > 1 and ground.stride(0) == 0:
            return MapFeatures(*(part.expand(len(ground), *part.shape[1:]) for part in self.map(ground[:1])))
        return self.map(ground)

    def forward(
        self,
        batch: TrafficBatch,
        motions: Float[Tensor, "b m f 3"],
        level: Float[Tensor, "b m f"],
        features: "MapFeatures | None" = None,
    ) -> tuple[Float[Tensor, "b m f 3"], Float[Tensor, "b f risks"]]:
        """
        Args:
            features: `map_features(batch.ground)`, where they are known already.
            motions: of `motions_from_poses`, noisy.
            level: noise of each, 0 (none) … 1 (nothing but noise): x = (1 - level) x0 + level noise, where the noise
                is that of `expected_motions`.
        Returns:
            motions without noise, and logits of the risks of the ego's path up to each frame.
        """
        b, m, f, _ = motions.shape
        past = motions_from_poses(batch.history, batch.history[:, :, -1:])
        there = batch.present[:, :, -1]
        everything = torch.cat([past, motions], 2)
        levels = torch.cat([level.new_zeros(b, m, HISTORY), level], 2)
        origin = batch.history[:, :, -1:]
        poses = torch.cat([batch.history, poses_from_motions(motions, origin)], 2)
        features = self.map_features(batch.ground) if features is None else features
        # A pose that is nothing but noise tells nothing of the place: there the last known one is looked at.
        trusted = torch.where(levels[..., None] < 0.7, poses, origin)
        kind = torch.where(torch.arange(m, device=level.device) == 0, len(MOVERS), _index(batch.labels))
        x = (
            self.state(everything)
            + self.place(torch.cat([trusted[..., :2], 10 * trusted[..., 2:].cos(), 10 * trusted[..., 2:].sin()], -1))
            + self.map_here(self.map.at(features, trusted))
            + (self.label(kind) + self.size(batch.sizes))[:, :, None]
            + self.frame.weight
        )
        known = torch.cat([batch.present, there[:, :, None].expand(-1, -1, f)], 2)
        x = torch.where(known[..., None], x, self.missing.to(x.dtype))
        act = self.action(everything[:, 0]) + self.action_level(levels[:, 0, :, None])
        cond = self.level(levels[..., None]) + act[:, None]
        angles = rotary_angles(torch.arange(HISTORY + f, device=x.device)[:, None].float(), 64, 30.0)
        among = there[:, None, None, :].expand(b, HISTORY + f, m, m)
        tokens = features.tokens
        for along, between in zip(self.along_time, self.among_users, strict=True):
            x = along(x, cond, angles)
            swapped, swapped_cond = x.transpose(1, 2), cond.transpose(1, 2)
            if between.cross is None:
                x = between(swapped, swapped_cond, mask=among).transpose(1, 2)
            else:
                x = between(swapped, swapped_cond, mask=among, context=tokens[:, None]).transpose(1, 2)
        x, cond = x[:, :, HISTORY:], cond[:, :, HISTORY:]
        mean, spread = expected_motions(batch)
        guess = mean + spread * self.out(x, cond).float()
        # What is given is believed, what is drawn is taken as it is guessed now.
        believed = torch.where(level[..., None] == 0, motions, guess.detach())
        danger = dangers(poses_from_motions(believed, origin), origin, batch.sizes, batch.middles, there, batch.ground)
        of_ego = self.danger(torch.cat([x[:, 0], danger.to(x.dtype)], -1))
        return guess, self.risk(of_ego, cond[:, 0]).float()


class MapFeatures(NamedTuple):
    """What the network makes of the map: for places on it, and a few tokens of all of it."""

    fine: Float[Tensor, "b c h w"]  # at two pixels
    coarse: Float[Tensor, "b c h2 w2"]  # at four
    tokens: Float[Tensor, "b l c"]


class _MapNet(nn.Module):
    """Features of the map around places, and a few tokens of all of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kinds = TALL + 1
        self.fine = nn.Sequential(
            nn.Conv2d(self.kinds, 48, 3, padding=1), nn.SiLU(), nn.Conv2d(48, width, 4, 2, 1), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip
        self.coarse = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 4, 2, 1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip
        self.tokens = nn.Sequential(nn.SiLU(), nn.Conv2d(width, width, 3, 2, 1), nn.SiLU(), nn.Conv2d(width, width, 1))
        side = -(-PICTURE // 8)
        self.place = nn.Parameter(torch.randn(side * side, width) * 0.02)

    def forward(self, ground: UInt8[Tensor, "b p q"]) -> MapFeatures:
        kinds = torch.arange(self.kinds, dtype=torch.uint8, device=ground.device)
        picture = (ground[:, None] == kinds[:, None, None]).to(self.place.dtype)
        fine = self.fine(picture)
        coarse = self.coarse(fine)
        return MapFeatures(fine, coarse, self.tokens(coarse).flatten(2).transpose(1, 2) + self.place)

    def at(self, features: MapFeatures, poses: Float[Tensor, "b m t 3"]) -> Float[Tensor, "b m t c"]:
        """Features where somebody is, and six metres ahead of it."""
        half = PICTURE * PIXEL / 2
        ahead = poses[..., :2] + 6.0 * torch.stack([poses[..., 2].cos(), poses[..., 2].sin()], -1)
        read = [
            # grid_sample's last axis is (column, row): y is our column
            F.grid_sample(plane.float(), (xy / half).flip(-1).float(), align_corners=False)
            for plane, xy in ((features.fine, poses[..., :2]), (features.coarse, ahead))
        ]
        return torch.cat(read, 1).permute(0, 2, 3, 1)


def expected_motions(batch: TrafficBatch) -> tuple[Float[Tensor, "b m 1 3"], Float[Tensor, "b m 1 3"]]:
    """What is expected of each user before the network has looked, and how far from it the truth may be.

    It keeps the velocity of the last half second, and strays the farther the faster it is. Noise is drawn from this
    expectation, and the network corrects it in its measure.
    """
    past = motions_from_poses(batch.history, batch.history[:, :, -1:])
    velocity = -past[:, :, -2:-1, :2] * batch.present[:, :, -2:-1, None]
    speed = velocity.norm(dim=-1, keepdim=True)
    spread = torch.cat([(0.1 + 0.3 * speed).expand_as(velocity), 0.1 + 0.5 * speed.clamp(max=1.0)], -1)
    return F.pad(velocity, (0, 1)), spread


def motions_from_poses(poses: Float[Tensor, "*b t 3"], origin: Float[Tensor, "*b 1 3"], first: int = 0) -> Tensor:
    """Poses after an origin as mean velocities since then, in the origin's frame, and turns; all in their units.

    A mean velocity is as uncertain after five seconds as after one, and zero for who stands.

    Args:
        first: 0 for poses of HISTORY frames that end at the origin, 1 for those that come after it.
    """
    seconds = _seconds(poses.shape[-2], first, poses)
    d = poses[..., :2] - origin[..., :2]
    c, s = origin[..., 2].cos(), origin[..., 2].sin()
    local = torch.stack([c * d[..., 0] + s * d[..., 1], -s * d[..., 0] + c * d[..., 1]], -1)
    turn = torch.remainder(poses[..., 2:] - origin[..., 2:] + math.pi, 2 * math.pi) - math.pi
    return torch.cat([local / seconds / SPEED_UNIT, turn / TURN_UNIT], -1)


def poses_from_motions(motions: Float[Tensor, "*b t 3"], origin: Float[Tensor, "*b 1 3"]) -> Float[Tensor, "*b t 3"]:
    """The inverse of `motions_from_poses`, for frames after the origin."""
    local = motions[..., :2] * _seconds(motions.shape[-2], 1, motions) * SPEED_UNIT
    c, s = origin[..., 2].cos(), origin[..., 2].sin()
    x = origin[..., 0] + c * local[..., 0] - s * local[..., 1]
    y = origin[..., 1] + s * local[..., 0] + c * local[..., 1]
    return torch.stack([x, y, origin[..., 2] + motions[..., 2] * TURN_UNIT], -1)


def _seconds(count: int, first: int, like: Tensor) -> Float[Tensor, "t 1"]:
    """Of frames after the origin (first = 1), or of frames that end at it: their distance from it, which is not 0."""
    steps = torch.arange(1, count + 1) if first else torch.arange(1 - count, 1).abs().clamp(min=1)
    return (DT * steps.to(like))[:, None]


def _index(labels: UInt8[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    table = torch.zeros(256, dtype=torch.int64, device=labels.device)
    table[list(MOVERS)] = torch.arange(len(MOVERS), device=labels.device)
    return table[labels.int()]
