"""The network that completes small panoramas: from noise, what is known, and words to the picture behind the noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.ops import Block, BlockConfig, ScalarEmbedding
from worldloom.ops.sphere_layers import (
    NUM_LATITUDE,
    SphereResidual,
    group_norm,
    latitude_planes,
    sphere_angles,
    twice_as_dense,
)
from worldloom.scenegen.words import COLOURS, KINDS, LIGHTS, MAX_THINGS, SIZES, THINGS, Words

ROWS = 64  # of the panoramas that are completed
MAX_WORDS = 3 + MAX_THINGS  # kind, size and light beside things
_PATCH = 4  # pixels to a side, for each place
_NAMES = ("", *KINDS, *SIZES, *LIGHTS, *THINGS)  # the first says nothing
_COLOURS = ("", *COLOURS)
_HEAD = 64  # channels of a head of attention


@dataclass(frozen=True)
class CompletionConfig:
    """Sizes of the network."""

    fine: int = 128  # channels of a place: four pixels to a side
    fine_blocks: int = 2  # residual ones there, on the way in and again on the way out
    width: int = 256  # of a token: two places to a side
    condition: int = 64  # channels of the time, as it modulates the layers
    layers: int = 8  # of attention among tokens

    def __post_init__(self) -> None:
        if self.fine < 8 or self.fine % 8 or self.width % _HEAD or not 64 <= self.width <= 8192:
            raise ValueError(f"fine must be a multiple of 8, width one of {_HEAD}, got {self.fine} and {self.width}")
        if not (1 <= self.fine_blocks <= 64 and 1 <= self.layers <= 64 and 1 <= self.condition <= 8192):
            raise ValueError(f"expected 1 to 64 blocks and layers, 1 to 8192 channels of the condition, got {self}")


@dataclass(frozen=True)
class Known:
    """What is given of small panoramas."""

    rgb: Float[Tensor, "b 3 h w"]  # [0, 1], with holes filled from around
    share: Float[Tensor, "b 1 h w"]  # of each pixel that is known


class CompletionNetwork(nn.Module):
    """A U-Net of one step whose middle is a transformer over the sphere and the words (Peebles & Xie 2023).

    It says what the picture is, as a change to what is filled in: easier to say than noise where a patch holds many
    numbers (Li & He 2025). Turning panoramas by a token (8 pixels) turns the answer.
    """

    def __init__(self, config: CompletionConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Conv2d(7 * _PATCH**2 + NUM_LATITUDE, config.fine, 1)
        self.ways_in = nn.Sequential(*[SphereResidual(config.fine) for _ in range(config.fine_blocks)])
        self.down = nn.Conv2d(config.fine, config.width, 2, 2)
        self.latitude = nn.Linear(NUM_LATITUDE, config.width)
        self.name = nn.Embedding(len(_NAMES), config.width)
        self.colour = nn.Embedding(len(_COLOURS), config.width)
        self.time = ScalarEmbedding(1, config.condition, 0.02, 2.0)
        block = BlockConfig(config.width, _HEAD, cond_width=config.condition)
        self.layers = nn.ModuleList([Block(block) for _ in range(config.layers)])
        self.up = nn.Conv2d(config.width, config.fine, 1)
        self.at_time = nn.Linear(config.condition, config.fine)
        self.ways_out = nn.Sequential(*[SphereResidual(config.fine) for _ in range(config.fine_blocks)])
        self.norm = group_norm(config.fine)
        self.last = nn.Conv2d(config.fine, 3 * _PATCH**2, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType]

    def forward(
        self, noisy: Float[Tensor, "b 3 h w"], t: Float[Tensor, " b"], known: Known, words: Int[Tensor, "b n 2"]
    ) -> Float[Tensor, "b 3 h w"]:
        """The picture, in units of `to_signal`.

        Args:
            noisy: signals at flow time t of `ops.flow`; h a multiple of 8, w = 2 h.
            words: of `word_numbers`.
        """
        given = to_signal(known.rgb)
        x = F.pixel_unshuffle(torch.cat([noisy, given, known.share], 1), _PATCH)
        x = torch.cat([x, latitude_planes(x)], 1).contiguous(memory_format=torch.channels_last)
        kept = self.ways_in(self.stem(x))
        x = self.down(kept)
        rows = x.shape[-2]
        places = rearrange(x, "b d h w -> b (h w) d")
        places = places + self.latitude(rearrange(latitude_planes(x[:1]), "b f h w -> b (h w) f"))
        said = self.name(words[..., 0]) + self.colour(words[..., 1])
        tokens = torch.cat([places, said.to(places.dtype)], 1)
        angles = sphere_angles(rows).to(noisy.device)
        angles = torch.cat([angles, angles.new_zeros(words.shape[1], angles.shape[1])])
        at_time = self.time(t[:, None])
        for layer in self.layers:
            tokens = layer(tokens, at_time[:, None], angles)
        x = rearrange(tokens[:, : places.shape[1]], "b (h w) d -> b d h w", h=rows)
        x = kept + twice_as_dense(self.up(x)) + self.at_time(at_time)[:, :, None, None]
        change = self.last(F.silu(self.norm(self.ways_out(x))))
        return given + F.pixel_shuffle(change.float(), _PATCH)


def to_signal(rgb: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Display values with a deviation of about one half, as noise of deviation one is put upon them."""
    return 2 * rgb - 1


def from_signal(signal: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Display values in [0, 1]."""
    return ((signal + 1) / 2).clamp(0, 1)


def word_numbers(words: Sequence[Words]) -> Int[Tensor, "b n 2"]:
    """Numbers of names and colours for the network; zeros where nothing is said."""
    found = torch.zeros(len(words), MAX_WORDS, 2, dtype=torch.long)
    for row, one in zip(found, words, strict=True):
        said = [(word, None) for word in (one.kind, one.size, one.light) if word] + list(one.things)
        for slot, (name, colour) in zip(row, said, strict=False):
            slot[0], slot[1] = _NAMES.index(name), _COLOURS.index(colour or "")
    return found
