"""Who each road user is, how it came here, what is around it, and who else is: one vector each, of the present alone.

Everything is told in the user's own frame, so that a street looks the same to who drives along it, however it lies
under the ego: what is learned of one user serves for all (Zhou et al. 2023, "Query-Centric Trajectory Prediction").
"""

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.geometry.occupancy import MOVERS
from worldloom.geometry.plane import seen_from
from worldloom.occupancy.motions import TrafficBatch, expected_motions, motions_from_poses
from worldloom.occupancy.scene_state import HISTORY, PICTURE, PIXEL, TALL
from worldloom.ops import PairBlock, ScalarEmbedding

_PAIR = 64  # features of a pair
_METRES = 20.0  # about how far one is from who matters
# The piece of the map that a user looks at: metres ahead and to the left of it.
_AHEAD, _ASIDE, _SPACING = (-8.0, 40.0), (-14.0, 14.0), 2.0


class UserContext(nn.Module):
    """See the module."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.label = nn.Embedding(len(MOVERS) + 1, width)
        told = 3 + 2 + 1 + 4 * (HISTORY - 1)  # size, velocity, speed, and of each pose before: motion, presence
        self.past = nn.Sequential(nn.Linear(told, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.around = _Around(width)
        self.places = ScalarEmbedding(2, _PAIR, 1.6, 160.0, 8)
        self.relation = nn.Linear(8, _PAIR)
        self.pair = nn.Sequential(nn.SiLU(), nn.Linear(_PAIR, _PAIR), nn.SiLU(), nn.Linear(_PAIR, _PAIR))
        self.blocks = nn.ModuleList(PairBlock(width, _PAIR) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: TrafficBatch) -> Float[Tensor, "b m d"]:
        there = batch.present[:, :, -1]
        now = batch.history[:, :, -1]
        velocity = expected_motions(batch)[0][:, :, 0, :2]
        speed = velocity.norm(dim=-1, keepdim=True)
        before = motions_from_poses(batch.history, batch.history[:, :, -1:])[:, :, :-1]
        known = batch.present[:, :, :-1, None]
        past = torch.cat([torch.where(known, before, 0), known], -1).flatten(2)
        x = self.past(torch.cat([batch.sizes / 5.0, velocity, speed, past], -1)) + self.label(kinds_of(batch.labels))
        x = x + self.around(batch.ground, now, there)
        relations = self._relations(now, velocity, speed)
        mask = there[:, None, :].expand(-1, there.shape[1], -1)
        for block in self.blocks:
            x = block(x, relations, mask)
        return self.norm(x)

    def _relations(
        self, now: Float[Tensor, "b m 3"], velocity: Float[Tensor, "b m 2"], speed: Float[Tensor, "b m 1"]
    ) -> Float[Tensor, "b m m e"]:
        """Of who looks, and who is looked at in its frame."""
        other = seen_from(now[:, None].expand(-1, now.shape[1], -1, -1), now[:, :, None])
        c, s = other[..., 2].cos(), other[..., 2].sin()
        vx, vy = velocity[:, None].unbind(-1)
        theirs = torch.stack([c * vx - s * vy, s * vx + c * vy], -1)
        relative = theirs - velocity[:, :, None]
        away = other[..., :2].norm(dim=-1, keepdim=True)
        m = now.shape[1]
        how_fast = speed[:, None].expand(-1, m, -1, -1)
        turn = torch.stack([c, s], -1)
        numbers = torch.cat([turn, relative, theirs, (-away / _METRES).exp(), how_fast], -1)
        return self.pair(self.places(other[..., :2]) + self.relation(numbers))


class _Around(nn.Module):
    """The map around a user, turned as it stands."""

    places: Float[Tensor, "i j 2"]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kinds = TALL + 1
        self.paint = nn.Conv2d(self.kinds, 24, 4, 2, 1)
        self.read = nn.Sequential(
            nn.Conv2d(24, 48, 3, 2, 1), nn.SiLU(), nn.Conv2d(48, 64, 3, 2, 1), nn.SiLU(), nn.Flatten(1)
        )
        ahead, aside = (torch.arange(low, high + 0.1, _SPACING) for low, high in (_AHEAD, _ASIDE))
        places = torch.stack(torch.meshgrid(ahead, aside, indexing="ij"), -1)
        self.register_buffer("places", places, persistent=False)
        h, w = ((len(axis) + 3) // 4 for axis in (ahead, aside))
        self.out = nn.Linear(64 * h * w, width)

    def forward(
        self, ground: UInt8[Tensor, "b p q"], now: Float[Tensor, "b m 3"], there: Bool[Tensor, "b m"]
    ) -> Float[Tensor, "b m d"]:
        plane = F.silu(self.paint(one_hot(ground, self.kinds, self.paint.weight.dtype)))
        scene, user = there.nonzero(as_tuple=True)  # of rows without a user nothing is read
        pose = now[scene, user]
        c, s = (f(pose[:, 2])[:, None, None] for f in (torch.cos, torch.sin))
        ahead, aside = self.places.unbind(-1)
        x, y = pose[:, 0, None, None] + c * ahead - s * aside, pose[:, 1, None, None] + s * ahead + c * aside
        half = PICTURE * PIXEL / 2
        places = torch.stack([y, x], -1) / half  # grid_sample's last axis is (column, row): y is our column
        # All users of a scene are read from its picture at once.
        count = int(there.sum(1).max())
        row = torch.arange(len(scene), device=scene.device) - (there.sum(1).cumsum(0) - there.sum(1))[scene]
        grid = places.new_full((len(ground), count, *places.shape[1:3], 2), 2.0)
        grid[scene, row] = places
        seen = F.grid_sample(plane.float(), grid.flatten(1, 2).float(), align_corners=False)
        crops = seen.unflatten(2, (count, -1)).transpose(1, 2)[scene, row]
        out = self.out(self.read(crops.to(plane.dtype)))
        return out.new_zeros(*there.shape, out.shape[-1]).index_put((scene, user), out)


def one_hot(ground: UInt8[Tensor, "b p q"], kinds: int, dtype: torch.dtype) -> Float[Tensor, "b k p q"]:
    """A picture of the map as one channel for each kind of pixel."""
    numbers = torch.arange(kinds, dtype=torch.uint8, device=ground.device)
    return (ground[:, None] == numbers[:, None, None]).to(dtype)


def kinds_of(labels: UInt8[Tensor, "b m"]) -> Int[Tensor, "b m"]:
    """Numbers of labels within MOVERS, and the one after them for the ego (row 0)."""
    table = torch.zeros(256, dtype=torch.int64, device=labels.device)
    table[list(MOVERS)] = torch.arange(len(MOVERS), device=labels.device)
    is_ego = torch.arange(labels.shape[1], device=labels.device) == 0
    return torch.where(is_ego, len(MOVERS), table[labels.int()])
