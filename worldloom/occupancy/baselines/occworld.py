"""OccWorld (Zheng et al. 2024) as a baseline: codes of the next frame from those of all frames before.

Kept: one code plane for each frame, a token for the ego's motion, attention within frames and causally along time, all
codes of the next frame answered at once, cross entropy + 0.1 x squared error of the motion, 5 frames in and 6 out.
Changed: attention works on 2 x 2 codes at a time, with a way around it at full size, where the published one has a
pyramid of three scales; positions are rotary. New is that the ego's motion may be given, for comparison with models
that get the true path.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath, path_from_steps
from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.baselines.clip_windows import MOTION_UNITS, motions
from worldloom.occupancy.baselines.occworld_tokenizer import OccWorldTokenizer, OccWorldTokenizerConfig
from worldloom.ops import (
    Block,
    BlockConfig,
    ScalarEmbedding,
    SpaceTimeBlock,
    causal_mask,
    grid_positions,
    load_config,
    load_weights,
    rotary_angles,
    save_weights,
)

HISTORY = 5  # frames in
PLAN_WEIGHT = 0.1


@dataclass(frozen=True)
class OccWorldARConfig:
    """The size of the network."""

    width: int = 192
    blocks: int = 4  # of attention within frames and along time
    head_width: int = 64
    code_width: int = 64  # channels of a code before 2 x 2 of them are joined
    num_codes: int = 512
    plane: tuple[int, int] = (50, 50)
    frames: int = 10  # that are looked at, at most
    ego: Literal["given", "predicted"] = "given"  # the motion to the next frame; published: predicted

    def __post_init__(self) -> None:
        if self.plane[0] % 2 or self.plane[1] % 2:
            raise ValueError(f"the plane of codes must have even sides, got {self.plane}")


class OccWorldAR(nn.Module):
    """Logits of each frame's successor."""

    def __init__(self, config: OccWorldARConfig) -> None:
        super().__init__()
        self.config = config
        width, inner = config.width, config.code_width
        self.code = nn.Embedding(config.num_codes, inner)
        self.merge = nn.Conv2d(inner, width, 2, 2)
        self.place = nn.Parameter(torch.randn(config.plane[0] * config.plane[1] // 4, width) * 0.02)
        self.motion = ScalarEmbedding(3, width, 0.02, 8.0, 12)
        self.kind = nn.Parameter(torch.randn(width) * 0.02)  # of the ego's token
        block = BlockConfig(width, config.head_width, qk_norm=False)
        self.blocks = nn.ModuleList(SpaceTimeBlock(block) for _ in range(config.blocks))
        for half in (half for block in self.blocks for half in block.children()):
            assert isinstance(half, Block)
            with torch.no_grad():  # without a condition there is no reason for gates to begin at zero
                half.modulation.constant.view(6, width)[[2, 5]] = 1.0
        self.split = nn.Conv2d(width, 4 * inner, 1)
        self.head = nn.Sequential(
            nn.GroupNorm(8, 2 * inner), nn.Conv2d(2 * inner, 2 * inner, 3, padding=1), nn.SiLU(),
            nn.Conv2d(2 * inner, config.num_codes, 1),
        )  # fmt: skip
        self.plan = nn.Linear(width, 3)

    def forward(
        self, indices: Int64[Tensor, "b t h w"], steps: Float[Tensor, "b t 3"]
    ) -> tuple[Float[Tensor, "b t k h w"], Float[Tensor, "b t 3"]]:
        """Logits of the codes of frame t + 1, and the motion to it, from frames up to t.

        Args:
            steps: for each frame the motion to the next one where `ego` is "given", else the one that led to it.
        """
        b, t, h, w = indices.shape
        codes = self.code(indices).flatten(0, 1).permute(0, 3, 1, 2)
        x = rearrange(self.merge(codes), "(b t) c h w -> b t (h w) c", b=b) + self.place
        ego = (self.motion(steps) + self.kind)[:, :, None]
        x = torch.cat([x, ego.to(x.dtype)], 2)
        head = self.config.head_width
        places = torch.cat([grid_positions(h // 2, w // 2), torch.tensor([[h / 4, w / 4]])])
        frames = torch.arange(t)
        space, time = rotary_angles(places, head), rotary_angles(frames[:, None].float(), head, 30.0)
        mask = causal_mask(frames)
        for block in self.blocks:
            x = block(x, None, space, time, mask)
        plane = rearrange(x[:, :, :-1], "b t (h w) c -> (b t) c h w", h=h // 2)
        fine = torch.cat([F.pixel_shuffle(self.split(plane), 2), codes.to(plane.dtype)], 1)
        return self.head(fine).unflatten(0, (b, t)), self.plan(x[:, :, -1]).float()


def occworld_loss(
    model: OccWorldAR, indices: Int64[Tensor, "b t h w"], steps: Float[Tensor, "b t 3"]
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Cross entropy of the codes of every frame but the first, each from true frames before it.

    Args:
        steps: the motion that led to each frame, see `motions`.
    """
    shown = steps[:, 1:] if model.config.ego == "given" else steps[:, :-1]
    with torch.autocast("cpu", torch.bfloat16):
        logits, plan = model(indices[:, :-1], shown)
    target = indices[:, 1:].flatten(0, 1)
    logits = logits.flatten(0, 1).float()
    cross = F.cross_entropy(logits, target)
    figures = {"cross": float(cross.detach()), "right": (logits.argmax(1) == target).float().mean().item()}
    if model.config.ego == "given":
        return cross, figures
    error = (plan - steps[:, 1:]).square().mean()
    return cross + PLAN_WEIGHT * error, figures | {"plan": float(error.detach())}


@dataclass(frozen=True)
class OccWorld:
    """Tokenizer and transformer together."""

    tokenizer: OccWorldTokenizer
    transformer: OccWorldAR

    @torch.no_grad()
    def forecast(self, past: Occupancy, ego_path: EgoPath, seed: int = 0, temperature: float = 0.0) -> Occupancy:
        """The future frame by frame, each from what was said before.

        Where the ego is "predicted", the path is not looked at but for its length; frames then lie at the predicted
        poses.

        Args:
            past: its last five frames count, or fewer.
            temperature: 0 takes the likeliest code, as published; above, codes are drawn.
        """
        if past.labels.ndim != 4 or len(past) < 1 or len(ego_path) < 1:
            raise InputError(f"expected a past and a path of one frame or more, got {len(past)} and {len(ego_path)}")
        dice = torch.Generator().manual_seed(seed)
        config, past = self.transformer.config, past[-HISTORY:]
        codes = self.tokenizer.encode(past).indices[None]
        steps = motions(past.world_from_ego, past.dt)[None]
        given = motions(torch.cat([past.world_from_ego[-1:].double(), ego_path.world_from_ego.double()]), past.dt)[1:]
        for i in range(len(ego_path)):
            ahead = torch.cat([steps[:, 1:], given[None, i : i + 1]], 1)
            shown = ahead if config.ego == "given" else steps
            with torch.autocast("cpu", torch.bfloat16):
                logits, plan = self.transformer(codes[:, -config.frames :], shown[:, -config.frames :])
            codes = torch.cat([codes, _choose(logits[:, -1].float(), temperature, dice)[:, None]], 1)
            moved = given[None, i : i + 1] if config.ego == "given" else plan[:, -1:]
            steps = torch.cat([steps, moved], 1)
        labels = torch.cat([self.tokenizer.labels(frame[None, None])[0] for frame in codes[0, len(past) :]])
        poses = ego_path.world_from_ego
        if config.ego == "predicted":
            planned = steps[0, len(past) :].double() * torch.tensor(MOTION_UNITS, dtype=torch.float64)
            poses = path_from_steps(past.world_from_ego[-1].double(), planned, past.dt).world_from_ego[1:]
        return replace(past, labels=labels, observed=torch.ones_like(labels, dtype=torch.bool), world_from_ego=poses)

    def save(self, folder: Path, card: str = "") -> None:
        save_weights(folder / "tokenizer", self.tokenizer, self.tokenizer.config, card)
        save_weights(folder / "transformer", self.transformer, self.transformer.config, card)

    @classmethod
    def load(cls, folder: Path) -> "OccWorld":
        tokenizer = load_occworld_tokenizer(folder / "tokenizer")
        transformer = OccWorldAR(load_config(folder / "transformer", OccWorldARConfig))
        load_weights(folder / "transformer", transformer)
        return cls(tokenizer, transformer.eval())


def load_occworld_tokenizer(folder: Path) -> OccWorldTokenizer:
    """From a folder of `save_weights`."""
    tokenizer = OccWorldTokenizer(load_config(folder, OccWorldTokenizerConfig))
    load_weights(folder, tokenizer)
    return tokenizer.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]


def _choose(logits: Float[Tensor, "b k h w"], temperature: float, dice: torch.Generator) -> Int64[Tensor, "b h w"]:
    if temperature == 0:
        return logits.argmax(1)
    shares = (logits / temperature).softmax(1).movedim(1, -1)
    return torch.multinomial(shares.flatten(0, -2), 1, generator=dice).reshape(shares.shape[:-1])
