"""How traffic goes on: one diffusion transformer over the future poses of the ego and of everyone around it.

What is known of the present becomes one vector for each user, read once (`UserContext`). A token is one user (the ego
is the first) at one frame to come. Blocks look along time, among users, and at the map. The path of the ego and the
paths of the others have noise levels of their own, frame by frame, so that one network answers five questions (Zhu et
al. 2025, "Unified World Models"; Chen et al. 2024, "Diffusion Forcing"):

    mode      ego's path    the others
    forward   given         drawn
    policy    drawn         unknown
    inverse   drawn         given
    joint     drawn         drawn
    video     unknown       drawn

Unknown means pure noise at the highest level, which is what training shows the network for it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.geometry.plane import seen_from
from worldloom.occupancy.danger import NUM_DANGERS, dangers
from worldloom.occupancy.motions import TrafficBatch, expected_motions, poses_from_motions
from worldloom.occupancy.scene_state import PICTURE, PIXEL, TALL
from worldloom.occupancy.user_context import UserContext, one_hot
from worldloom.ops import Block, BlockConfig, FinalLayer, ScalarEmbedding, rotary_angles

NUM_RISKS = 2  # collision, off the road
_CLEAR = 0.7  # level of noise from which a pose tells nothing of the place


@dataclass(frozen=True)
class TrafficConfig:
    """The size of the network."""

    width: int = 192
    blocks: int = 6
    max_users: int = 32  # besides the ego
    future: int = 8  # frames that are drawn at once
    map_width: int = 96
    context_layers: int = 4  # among users, of the present
    # Whether each frame knows the ego's motion in it, or all one vector of the path, as in OccSora: for comparison.
    path_by_frame: bool = True


class SceneFeatures(NamedTuple):
    """What the network makes of the present: for each user, for places on the map, and a few tokens of all of it."""

    users: Float[Tensor, "b m d"]
    fine: Float[Tensor, "b c h w"]  # at two pixels
    coarse: Float[Tensor, "b c h2 w2"]  # at four
    tokens: Float[Tensor, "b l c"]


class TrafficNet(nn.Module):
    """Predicts the motions without noise from motions with noise (x0), and how likely the ego's path ends badly."""

    def __init__(self, config: TrafficConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.context = UserContext(width, config.context_layers)
        self.state = ScalarEmbedding(3, width, 0.1, 16.0, 10)  # motions, as far from what is expected
        self.place = ScalarEmbedding(4, width, 0.8, 120.0, 12)
        self.ego_there = ScalarEmbedding(4, width, 0.8, 120.0, 12)  # as seen from the user at that frame
        self.frame = nn.Embedding(config.future, width)
        self.level = ScalarEmbedding(1, width, 0.02, 2.0, 16)
        self.action = ScalarEmbedding(3, width, 0.02, 8.0, 12)  # of the ego at that frame: conditions every token of it
        self.action_level = ScalarEmbedding(1, width, 0.02, 2.0, 16)
        self.whole_path = None if config.path_by_frame else nn.Linear(config.future * width, width)
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

    def features(self, batch: TrafficBatch) -> SceneFeatures:
        """Of all that is known before a future is drawn; of a scene that fills the batch, made once."""
        if len(batch.ground) > 1 and all(part.stride(0) == 0 for part in batch):
            one = self.features(TrafficBatch(*(part[:1] for part in batch)))
            return SceneFeatures(*(part.expand(len(batch.ground), *part.shape[1:]) for part in one))
        return SceneFeatures(self.context(batch), *self.map(batch.ground))

    def forward(
        self,
        batch: TrafficBatch,
        motions: Float[Tensor, "b m f 3"],
        level: Float[Tensor, "b m f"],
        features: SceneFeatures | None = None,
    ) -> tuple[Float[Tensor, "b m f 3"], Float[Tensor, "b f risks"]]:
        """
        Args:
            features: `features(batch)`, where they are known already.
            motions: of `motions_from_poses`, noisy.
            level: noise of each, 0 (none) … 1 (nothing but noise): x = (1 - level) x0 + level noise, where the noise
                is that of `expected_motions`.
        Returns:
            motions without noise, and logits of the risks of the ego's path up to each frame.
        """
        b, m, f, _ = motions.shape
        there = batch.present[:, :, -1]
        origin = batch.history[:, :, -1:]
        features = self.features(batch) if features is None else features
        mean, spread = expected_motions(batch)
        # A pose that is nothing but noise tells nothing of the place: there it is taken to go on as before.
        likely = poses_from_motions(mean.expand(-1, -1, f, -1), origin)
        places = torch.where(level[..., None] < _CLEAR, poses_from_motions(motions, origin), likely)
        of_ego = places[:, :1] if self.whole_path is None else origin[:, :1]
        ego = seen_from(of_ego.expand(-1, m, f, -1).unsqueeze(-2), places.unsqueeze(-2))[..., 0, :]
        x = (
            self.state((motions - mean) / spread)
            + self.place(_planar(places))
            + self.ego_there(_planar(ego))
            + self.map_here(self.map.at(features, places))
            + features.users[:, :, None]
            + self.frame.weight
        )
        act = self.action(motions[:, 0]) + self.action_level(level[:, 0, :, None])
        if self.whole_path is not None:
            act = self.whole_path(act.flatten(1))[:, None].expand_as(act)
        cond = self.level(level[..., None]) + act[:, None]
        angles = rotary_angles(torch.arange(f, device=x.device)[:, None].float(), 64, 30.0)
        among = there[:, None, None, :].expand(b, f, m, m)
        if self.whole_path is not None:  # nor do others look at the ego's own tokens
            row, column = torch.arange(m, device=x.device)[:, None], torch.arange(m, device=x.device)
            # Itself everybody sees, also who is absent: a row of nothing would become NaN.
            among = (among & ((column > 0) | (row == 0))) | (column == row)
        tokens = features.tokens
        for along, between in zip(self.along_time, self.among_users, strict=True):
            x = along(x, cond, angles)
            swapped, swapped_cond = x.transpose(1, 2), cond.transpose(1, 2)
            if between.cross is None:
                x = between(swapped, swapped_cond, mask=among).transpose(1, 2)
            else:
                x = between(swapped, swapped_cond, mask=among, context=tokens[:, None]).transpose(1, 2)
        guess = mean + spread * self.out(x, cond).float()
        # What is given is believed, what is drawn is taken as it is guessed now.
        believed = torch.where(level[..., None] == 0, motions, guess.detach())
        danger = dangers(poses_from_motions(believed, origin), origin, batch.sizes, batch.middles, there, batch.ground)
        endangered = self.danger(torch.cat([x[:, 0], danger.to(x.dtype)], -1))
        return guess, self.risk(endangered, cond[:, 0]).float()


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

    def forward(self, ground: UInt8[Tensor, "b p q"]) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.fine(one_hot(ground, self.kinds, self.place.dtype))
        coarse = self.coarse(fine)
        return fine, coarse, self.tokens(coarse).flatten(2).transpose(1, 2) + self.place

    def at(self, features: SceneFeatures, poses: Float[Tensor, "b m t 3"]) -> Float[Tensor, "b m t c"]:
        """Features where somebody is, and six metres ahead of it."""
        half = PICTURE * PIXEL / 2
        ahead = poses[..., :2] + 6.0 * torch.stack([poses[..., 2].cos(), poses[..., 2].sin()], -1)
        read = [
            # grid_sample's last axis is (column, row): y is our column
            F.grid_sample(plane.float(), (xy / half).flip(-1).float(), align_corners=False)
            for plane, xy in ((features.fine, poses[..., :2]), (features.coarse, ahead))
        ]
        return torch.cat(read, 1).permute(0, 2, 3, 1)


def _planar(poses: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 4"]:
    """Places and headings of about the same size, for an embedding."""
    return torch.cat([poses[..., :2], 10 * poses[..., 2:].cos(), 10 * poses[..., 2:].sin()], -1)
