"""OccSora (Wang et al. 2024) as a baseline: 32 frames drawn at once by a diffusion transformer on codes.

Kept: all places of all frames as one flat sequence with a learned position, attention of everything to everything, and
the whole path as ONE vector beside the noise level. What the released code gets wrong is put right here, and each
repair is a flag of `OccSoraDiTConfig`; `as_released` turns all of them back. What is not as published, so that it
forecasts at all: the first eight frames may be given as clean tokens, with a flag that says so.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor, nn

from worldloom.errors import InputError
from worldloom.geometry.ego_path import EgoPath
from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.baselines.clip_windows import commands, motions
from worldloom.occupancy.baselines.occsora_tokenizer import STRIDE, OccSoraTokenizer, OccSoraTokenizerConfig
from worldloom.occupancy.class_planes import shown_labels
from worldloom.ops import Block, BlockConfig, FinalLayer, ScalarEmbedding, flow, load_config, load_weights, save_weights

GUIDED_BY_MISTAKE = 3  # channels that the released guidance reaches: what an image has


@dataclass(frozen=True)
class OccSoraDiTConfig:
    """The size of the network, and what is repaired. Published: width 256, 28 blocks, heads of 16, codes of 128."""

    width: int = 192
    blocks: int = 6
    head_width: int = 64
    code_width: int = 64
    slots: int = 4  # of eight frames
    plane: tuple[int, int] = (25, 25)
    diffusion: Literal["ddpm", "flow"] = "ddpm"
    # Repairs; the released code has the other value of each.
    path_values: Literal["offsets", "command"] = "offsets"  # motions, not flags of a right or left turn
    yaw: bool = True  # motions turn
    path_dropout: float = 0.1  # share of the training without a path; released: 0
    null_half: bool = True  # guidance starts from an answer without the path, not with the same one
    guide_all: bool = True  # guidance reaches all channels
    requantize: bool = True  # samples are codes again before they are decoded
    past: bool = True  # the first slot may be given; else it is only overwritten while sampling
    # Beyond repair: the first ablation.
    conditioning: Literal["global", "frame"] = "global"  # one vector for the whole path, or one for each slot

    def __post_init__(self) -> None:
        if not 0 <= self.path_dropout < 1 or self.slots < 2:
            raise ValueError(f"need path_dropout in [0, 1) and slots >= 2, got {self.path_dropout} and {self.slots}")

    @property
    def frames(self) -> int:
        return self.slots * STRIDE


def as_released(config: OccSoraDiTConfig) -> OccSoraDiTConfig:
    """All repairs turned back."""
    return replace(
        config, path_values="command", yaw=False, path_dropout=0.0, null_half=False, guide_all=False, requantize=False,
        past=False, conditioning="global",
    )  # fmt: skip


class OccSoraDiT(nn.Module):
    """Predicts the noise (ddpm) or the velocity (flow) of latents of unit deviation."""

    mean: Float[Tensor, " c"]
    deviation: Float[Tensor, ""]

    def __init__(self, config: OccSoraDiTConfig) -> None:
        super().__init__()
        self.config = config
        width, tokens = config.width, config.slots * config.plane[0] * config.plane[1]
        self.register_buffer("mean", torch.zeros(config.code_width))
        self.register_buffer("deviation", torch.ones(()))
        self.into = nn.Linear(config.code_width + 1, width)  # one more channel: whether the token is given
        self.position = nn.Parameter(_waves(tokens, width))
        self.level = ScalarEmbedding(1, width, 0.02, 2.0)
        values = 2 if config.path_values == "command" or not config.yaw else 3
        frames = config.frames if config.conditioning == "global" else STRIDE
        self.path = nn.Sequential(
            nn.Linear(frames * values, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.no_path = nn.Parameter(torch.zeros(width))
        # Without normalised queries, as published; they are also what autocast has no fused kernel for.
        block = BlockConfig(width, config.head_width, cond_width=width, mlp="gelu", qk_norm=False)
        self.blocks = nn.ModuleList(Block(block) for _ in range(config.blocks))
        self.out = FinalLayer(width, config.code_width, width)

    def set_scale(self, codes: Float[Tensor, "n c"]) -> None:
        """Take mean and deviation from codes as they occur in training."""
        self.mean.copy_(codes.mean(0))
        self.deviation.copy_((codes - codes.mean(0)).square().mean().sqrt())

    def normalise(self, codes: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        return (codes - self.mean) / self.deviation

    def restore(self, latents: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        return latents * self.deviation + self.mean

    def forward(
        self,
        noisy: Float[Tensor, "b s h w c"],
        level: Float[Tensor, " b"],
        steps: Float[Tensor, "b t 3"],
        given: Bool[Tensor, " b"],
        dropped: Bool[Tensor, " b"],
    ) -> Float[Tensor, "b s h w c"]:
        """
        Args:
            noisy: latents; the first slot is clean where `given`.
            level: of the noise, 0 to 1.
            steps: the motion that leads to each frame, see `motions`.
            dropped: the path is not shown.
        """
        c = self.config
        flag = torch.zeros_like(noisy[..., :1])
        flag[:, 0] = given.to(flag)[:, None, None, None]
        x = self.into(torch.cat([noisy, flag], -1).flatten(1, 3)) + self.position
        values = commands(steps) if c.path_values == "command" else steps[..., : 3 if c.yaw else 2]
        path = self.path(values.flatten(1)[:, None] if c.conditioning == "global" else _by_slot(values, c.slots))
        path = torch.where(dropped[:, None, None], self.no_path.to(path.dtype), path)
        if c.conditioning == "frame":
            path = path.repeat_interleave(c.plane[0] * c.plane[1], 1)
        cond = self.level(level[:, None])[:, None] + path
        for block in self.blocks:
            x = block(x, cond)
        return self.out(x, cond).float().reshape(noisy.shape)


def add_noise(config: OccSoraDiTConfig, x: Tensor, noise: Tensor, level: Float[Tensor, " b"]) -> tuple[Tensor, Tensor]:
    """Latents at a level of noise, and what the network should answer."""
    if config.diffusion == "flow":
        return flow.interpolate(x, noise, level), flow.velocity_target(x, noise)
    keep = _alpha_bar(level).to(x).reshape(-1, *[1] * (x.ndim - 1))
    return keep.sqrt() * x + (1 - keep).sqrt() * noise, noise


@torch.no_grad()
def draw_latents(
    model: OccSoraDiT,
    steps: Float[Tensor, "b t 3"],
    past: Float[Tensor, "b h w c"] | None,
    generator: torch.Generator,
    num_steps: int = 50,
    guidance: float = 2.0,
) -> Float[Tensor, "b s h w c"]:
    """Latents of windows along paths, by DDIM (Song et al. 2021, without fresh noise) or by Euler steps of the flow.

    Args:
        past: normalised latents of the first slot; drawn too if not given.
        guidance: 1 is the answer to the path itself.
    """
    c, b = model.config, len(steps)
    noise = torch.randn(b, c.slots, *c.plane, c.code_width, generator=generator)
    given = torch.full((b,), past is not None and c.past)
    x = noise
    levels = torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)
    for now, then in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        level = torch.full((b,), now)
        if past is not None:
            x = x.clone()
            x[:, 0] = past if c.past else add_noise(c, past, noise[:, 0], level)[0]
        with torch.autocast("cpu", torch.bfloat16):
            answer = _guided(model, x, level, steps, given, guidance)
        if c.diffusion == "flow":
            x = x + (then - now) * answer
        else:
            keep, next_keep = (_alpha_bar(torch.tensor([t])).float() if t > 0 else torch.ones(1) for t in (now, then))
            clean = (x - (1 - keep).sqrt() * answer) / keep.sqrt()
            x = next_keep.sqrt() * clean + (1 - next_keep).sqrt() * answer
    if past is not None:
        x[:, 0] = past
    return x


def _guided(
    model: OccSoraDiT, x: Tensor, level: Tensor, steps: Tensor, given: Tensor, guidance: float
) -> Float[Tensor, "b s h w c"]:
    shown = torch.zeros(len(x), dtype=torch.bool)
    with_path = model(x, level, steps, given, shown)
    if guidance == 1.0:
        return with_path
    without = model(x, level, steps, given, ~shown) if model.config.null_half else with_path
    answer = flow.guide(with_path, without, guidance)
    if model.config.guide_all:
        return answer
    return torch.cat([answer[..., :GUIDED_BY_MISTAKE], with_path[..., GUIDED_BY_MISTAKE:]], -1)


@dataclass(frozen=True)
class OccSora:
    """Tokenizer and transformer together."""

    tokenizer: OccSoraTokenizer
    dit: OccSoraDiT

    def forecast(
        self, past: Occupancy, ego_path: EgoPath, seed: int = 0, num_steps: int = 50, guidance: float = 2.0
    ) -> Occupancy:
        """One drawn future. Beyond a window's 24 frames its last eight are the past of the next window.

        Args:
            past: its last eight frames count; a shorter one is continued backwards as if the ego had stood.
            ego_path: poses of the future, in the world of `past`.
        """
        _check(past, ego_path)
        dice = torch.Generator().manual_seed(seed)
        ahead = self.dit.config.frames - STRIDE
        labels, poses = shown_labels(past)[-STRIDE:], past.world_from_ego[-STRIDE:].double()
        lead = STRIDE - len(labels)
        labels = torch.cat([labels[:1].expand(lead, -1, -1, -1), labels])
        poses = torch.cat([poses[:1].expand(lead, -1, -1), poses, ego_path.world_from_ego.double()])
        drawn: list[Tensor] = []
        for start in range(0, len(ego_path), ahead):
            steps = held(motions(poses[start : start + self.dit.config.frames], past.dt), self.dit.config.frames)
            drawn.append(self._window(labels, steps, dice, num_steps, guidance)[STRIDE:])
            labels = drawn[-1][-STRIDE:]
        future = torch.cat(drawn)[: len(ego_path)]
        return replace(
            past, labels=future, observed=torch.ones_like(future, dtype=torch.bool),
            world_from_ego=ego_path.world_from_ego,
        )  # fmt: skip

    def _window(
        self,
        past: UInt8[Tensor, "t x y z"] | None,
        steps: Float[Tensor, "f 3"],
        dice: torch.Generator,
        num_steps: int,
        guidance: float,
    ) -> UInt8[Tensor, "f x y z"]:
        quantizer = self.tokenizer.quantizer
        given = None
        if past is not None:
            given = self.dit.normalise(quantizer.codes_from_indices(self.tokenizer.indices(past[None])[:, 0]))
        codes = self.dit.restore(draw_latents(self.dit, steps[None], given, dice, num_steps, guidance))
        if self.dit.config.requantize:
            codes = quantizer.codes_from_indices(quantizer.eval()(codes).indices)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return self.tokenizer.planes.unfold(self.tokenizer.reconstruct(codes))[0]

    def imagine(
        self, steps: Float[Tensor, "f 3"], seed: int = 0, num_steps: int = 50, guidance: float = 2.0
    ) -> UInt8[Tensor, "f x y z"]:
        """A window from the path alone, as published; `steps` as `motions` gives them, one for each frame."""
        return self._window(None, steps, torch.Generator().manual_seed(seed), num_steps, guidance)

    def save(self, folder: Path, card: str = "") -> None:
        save_weights(folder / "tokenizer", self.tokenizer, self.tokenizer.config, card)
        save_weights(folder / "dit", self.dit, self.dit.config, card)

    @classmethod
    def load(cls, folder: Path) -> "OccSora":
        tokenizer = load_occsora_tokenizer(folder / "tokenizer")
        dit = OccSoraDiT(load_config(folder / "dit", OccSoraDiTConfig))
        load_weights(folder / "dit", dit)
        return cls(tokenizer, dit.eval())


def load_occsora_tokenizer(folder: Path) -> OccSoraTokenizer:
    """From a folder of `save_weights`."""
    tokenizer = OccSoraTokenizer(load_config(folder, OccSoraTokenizerConfig))
    load_weights(folder, tokenizer)
    return tokenizer.to(memory_format=torch.channels_last_3d).eval()  # pyright: ignore[reportCallIssue]


def held(steps: Float[Tensor, "t 3"], frames: int) -> Float[Tensor, "f 3"]:
    """Motions for so many frames; where they end the last one goes on."""
    return torch.cat([steps, steps[-1:].expand(max(0, frames - len(steps)), -1)])[:frames]


def _check(past: Occupancy, ego_path: EgoPath) -> None:
    if past.labels.ndim != 4 or len(past) < 1 or len(ego_path) < 1:
        raise InputError(f"expected a past and a path of one frame or more, got {len(past)} and {len(ego_path)}")


def _by_slot(values: Float[Tensor, "b t v"], slots: int) -> Float[Tensor, "b s u"]:
    return values.unflatten(1, (slots, STRIDE)).flatten(2)


def _alpha_bar(level: Float[Tensor, " b"]) -> Float64[Tensor, " b"]:
    """Share of the data's variance that is left, of 1000 steps with variances from 0.0001 to 0.02 (Ho et al. 2020)."""
    keep = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    return keep[(level.double() * 999).round().long()]


def _waves(count: int, width: int) -> Float[Tensor, "n d"]:
    """Sines and cosines of the flat index, where the learned positions begin."""
    rates = 10_000 ** (-torch.arange(width // 2) / (width // 2))
    angles = torch.arange(count)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
