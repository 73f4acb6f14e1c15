"""One network that packs the static world into a few codes, and that goes on where the memory of it ends.

The static world is a picture of columns: x and y are its pixels, and a column's layers its channels, so that all work
is done by convolutions of a plane. Three questions are one:

- packing: codes of the volume in, volume out. Coarse codes stand 3.2 m apart, fine ones 1.6 m; those may be left out;
- completion: no codes; what the memory knows in, the whole volume out;
- generation: codes that somebody else has drawn, and what the memory knows, in.

Training leaves out codes and memory at random, so that the decoder knows all of these.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.geometry.occupancy import FREE, STATIC, VoxelGrid
from worldloom.ops import FSQ

NUM_LAYERS = 24
ORIGIN_Z = -2.6  # metres; four layers below Occ3D's grid and four above it, for hills
UNKNOWN = len(STATIC) + 1  # symbol of a voxel that nobody looked at; free is the one before
STRIDES = (4, 8)  # columns for each fine and each coarse code

_SYMBOL = torch.full((256,), len(STATIC), dtype=torch.uint8)
_SYMBOL[list(STATIC)] = torch.arange(len(STATIC), dtype=torch.uint8)
_LABEL = torch.tensor([*STATIC, FREE, FREE], dtype=torch.uint8)


@dataclass(frozen=True)
class StaticTokenizerConfig:
    """The size of the network."""

    widths: tuple[int, int, int, int] = (48, 96, 160, 224)  # channels at 0.4, 0.8, 1.6 and 3.2 m
    encoder_blocks: int = 1  # residual blocks at each scale but the finest
    decoder_blocks: int = 2
    coarse: tuple[int, ...] = (8, 8, 8, 5, 5)  # quantizer levels, most important channel first
    fine: tuple[int, ...] = (5, 5, 5, 5)


class StaticCodes(NamedTuple):
    """Codes on the plane, in [-1, 1]; zeros where there is nothing to say."""

    coarse: Float[Tensor, "b c h w"] | None = None
    fine: Float[Tensor, "b d h2 w2"] | None = None


class StaticLogits(NamedTuple):
    """What the decoder thinks of each voxel."""

    occupied: Float[Tensor, "b z x y"]
    semantic: Float[Tensor, "b k z x y"]  # over STATIC, if occupied
    seen: Float[Tensor, "b z x y"]  # whether anybody would look at it

    def labels(self, threshold: float = 0.5) -> UInt8[Tensor, "b x y z"]:
        """The most likely class where a voxel is likelier occupied than `threshold`."""
        likely = self.occupied.float().sigmoid() > threshold
        labels = torch.full(likely.shape, FREE, dtype=torch.uint8)
        # Most voxels are free, and an argmax over them all would take longer than the network.
        b, z, x, y = likely.nonzero(as_tuple=True)
        labels[likely.cpu()] = _LABEL[self.semantic[b, :, z, x, y].argmax(1).cpu()]
        return labels.permute(0, 2, 3, 1)

    def looked(self, threshold: float = 0.5) -> Bool[Tensor, "b x y z"]:
        """Where somebody would look: elsewhere the network was never told what is there."""
        return (self.seen.float().sigmoid() > threshold).permute(0, 2, 3, 1).cpu()


def symbols_of(labels: UInt8[Tensor, "*b x y z"], observed: Bool[Tensor, "*b x y z"]) -> UInt8[Tensor, "*b x y z"]:
    """Class numbers within STATIC, free, or UNKNOWN."""
    return torch.where(observed, _SYMBOL.to(labels.device)[labels.int()], UNKNOWN)


class StaticTokenizer(nn.Module):
    """See the module."""

    def __init__(self, config: StaticTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        full, half, quarter, eighth = config.widths
        self.coarse_quantizer, self.fine_quantizer = FSQ(config.coarse), FSQ(config.fine)
        self.encoder = _Encoder(config)
        self.coarse_head = nn.Conv2d(eighth, len(config.coarse), 1)
        self.fine_head = nn.Conv2d(quarter + eighth, len(config.fine), 1)
        self.coarse_in = nn.Conv2d(len(config.coarse) + 1, eighth, 1)  # one more channel: whether there are codes
        self.fine_in = nn.Conv2d(len(config.fine) + 1, quarter, 1)
        self.at_eighth = _stage(2 * eighth, eighth, config.decoder_blocks + 1)
        self.up_quarter = _Up(eighth, quarter)
        self.at_quarter = _stage(3 * quarter, quarter, config.decoder_blocks)
        self.up_half = _Up(quarter, half)
        self.at_half = _stage(2 * half, half, config.decoder_blocks)
        self.up_full = _Up(half, full)
        self.at_full = nn.Sequential(nn.Conv2d(2 * full, full, 3, padding=1), nn.SiLU())
        self.head = nn.Conv2d(full, NUM_LAYERS * (len(STATIC) + 2), 1)

    def encode(
        self,
        symbols: UInt8[Tensor, "b x y z"],
        keep: Int[Tensor, " b"] | None = None,
    ) -> StaticCodes:
        """Codes of a volume whose sides are multiples of 8 columns.

        Args:
            keep: how many channels of the coarse codes to keep for each sample; all if not given. The fine ones are
                made for what the kept ones do not say.
        """
        pyramid = self.encoder(symbols)
        latent = self.coarse_head(pyramid[3]).permute(0, 2, 3, 1).float()
        coarse = self.coarse_quantizer.quantize(latent).codes.permute(0, 3, 1, 2)
        if keep is not None:
            coarse = coarse * (torch.arange(coarse.shape[1], device=coarse.device) < keep[:, None])[:, :, None, None]
        known = (symbols != UNKNOWN).any(3)
        coarse = coarse * _any(known, STRIDES[1])
        said = F.interpolate(self.coarse_in(_flagged(coarse, None).to(pyramid[2].dtype)), scale_factor=2.0)
        latent = self.fine_head(torch.cat([pyramid[2], said], 1)).permute(0, 2, 3, 1).float()
        fine = self.fine_quantizer.quantize(latent).codes.permute(0, 3, 1, 2)
        return StaticCodes(coarse, fine * _any(known, STRIDES[0]))

    def remember(
        self, symbols: UInt8[Tensor, "b x y z"], path: Float[Tensor, "b x y"] | None = None
    ) -> list[Float[Tensor, "b _ _ _"]]:
        """What the decoder reads of a memory: features of the plane at four scales.

        Args:
            path: 1 where the ego is going to drive.
        """
        return self.encoder(symbols, path)

    def decode(self, codes: StaticCodes, memory: list[Float[Tensor, "b _ _ _"]] | None = None) -> StaticLogits:
        """Logits of the volume.

        Args:
            codes: of `encode`, or drawn by a generator; each kind may be left out. Coarse ones or a memory must be.
            memory: of `remember`; none if not given.
        """
        b, h, w = self._cells(codes, memory)
        dtype, device = self.head.weight.dtype, self.head.weight.device
        full, half, quarter, eighth = [()] * 4 if memory is None else [(features,) for features in memory]
        coarse = _flagged(codes.coarse, (b, len(self.config.coarse), h, w)).to(device, dtype)
        fine = _flagged(codes.fine, (b, len(self.config.fine), 2 * h, 2 * w)).to(device, dtype)
        x = _read(self.at_eighth, self.coarse_in(coarse), *eighth)
        x = _read(self.at_quarter, self.up_quarter(x), self.fine_in(fine), *quarter)
        x = _read(self.at_half, self.up_half(x), *half)
        x = self.head(_read(self.at_full, self.up_full(x), *full))
        x = x.unflatten(1, (len(STATIC) + 2, NUM_LAYERS))
        return StaticLogits(x[:, 0], x[:, 2:], x[:, 1])

    def _cells(self, codes: StaticCodes, memory: list[Tensor] | None) -> tuple[int, int, int]:
        """Batch and size of the plane of coarse codes."""
        if codes.coarse is not None:
            return codes.coarse.shape[0], codes.coarse.shape[2], codes.coarse.shape[3]
        if memory is None:
            raise ValueError("decode needs coarse codes or a memory, got neither")
        return memory[3].shape[0], memory[3].shape[2], memory[3].shape[3]


class _Encoder(nn.Module):
    def __init__(self, config: StaticTokenizerConfig) -> None:
        super().__init__()
        widths = config.widths
        self.stem = nn.Conv2d(NUM_LAYERS * (UNKNOWN + 1) + 1, widths[0], 1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(widths))
        self.stages = nn.ModuleList(_stage(width, width, config.encoder_blocks) for width in widths[1:])

    def forward(self, symbols: UInt8[Tensor, "b x y z"], path: Float[Tensor, "b x y"] | None = None) -> list[Tensor]:
        kinds = UNKNOWN + 1
        columns = torch.zeros(
            *symbols.shape[:3], NUM_LAYERS * kinds + 1, dtype=self.stem.weight.dtype, device=symbols.device
        )
        layers = kinds * torch.arange(NUM_LAYERS, device=symbols.device)
        columns.scatter_(3, symbols.long() + layers, 1.0)
        if path is not None:
            columns[..., -1] = path
        x = F.silu(self.stem(columns.permute(0, 3, 1, 2)))
        pyramid = [x]
        for down, stage in zip(self.down, self.stages, strict=True):
            x = stage(down(x))
            pyramid.append(x)
        return pyramid


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip
        last = self.body[5]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.body(x)


class _Up(nn.Module):
    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 4 * out_width, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return F.pixel_shuffle(self.conv(x), 2)


def _stage(width: int, out_width: int, blocks: int) -> nn.Sequential:
    first = [] if width == out_width else [nn.Conv2d(width, out_width, 1)]
    return nn.Sequential(*first, *(_Residual(out_width) for _ in range(blocks)))


def _read(stage: nn.Sequential, *parts: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b d h w"]:
    """A stage on parts beside each other, of which the last may be missing: as if they were zeros, but in less time."""
    first, x = stage[0], torch.cat(parts, 1)
    assert isinstance(first, nn.Conv2d)
    return stage[1:](F.conv2d(x, first.weight[:, : x.shape[1]], first.bias, padding=first.padding[0]))


def _flagged(codes: Tensor | None, shape: tuple[int, int, int, int] | None) -> Tensor:
    """Codes with one more channel that is 1; zeros of a shape, and 0, where there are none."""
    if codes is None:
        assert shape is not None
        return torch.zeros(shape[0], shape[1] + 1, *shape[2:])
    return torch.cat([codes, torch.ones_like(codes[:, :1])], 1)


def _any(known: Bool[Tensor, "b x y"], stride: int) -> Bool[Tensor, "b 1 h w"]:
    """Whether anything is known in each cell of the codes' plane."""
    return F.max_pool2d(known[:, None].float(), stride) > 0


def window_grid(like: VoxelGrid, columns: tuple[int, int], origin: tuple[float, float]) -> VoxelGrid:
    """The grid of a volume of this network at a place of the lattice."""
    return VoxelGrid((*origin, ORIGIN_Z), like.voxel_size, (*columns, NUM_LAYERS))


def static_loss(
    logits: StaticLogits,
    labels: UInt8[Tensor, "b x y z"],
    observed: Bool[Tensor, "b x y z"],
    weight: Float[Tensor, "b x y z"],
    class_weights: Float[Tensor, " k"],
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Cross entropy of occupancy where it was observed, of the class where occupied, and of observation anywhere.

    Args:
        weight: of each voxel, at least 0.
        class_weights: over STATIC.
    """
    target = _SYMBOL.to(labels.device)[labels.int()].permute(0, 3, 1, 2)
    looked, weight = observed.permute(0, 3, 1, 2), weight.permute(0, 3, 1, 2)
    solid = looked & (target < len(STATIC))
    at = weight[looked]
    occupied = F.binary_cross_entropy_with_logits(
        logits.occupied[looked].float(), solid[looked].float(), reduction="none"
    )
    chosen, true = logits.semantic.permute(0, 2, 3, 4, 1)[solid].float(), target[solid].long()
    per_class = class_weights.to(chosen.device)[true] * weight[solid]
    semantic = F.cross_entropy(chosen, true, reduction="none")
    seen = F.binary_cross_entropy_with_logits(logits.seen.float(), looked.float())
    parts = {
        "occupied": (occupied * at).sum() / at.sum().clamp(min=1.0),
        "semantic": (semantic * per_class).sum() / weight[solid].sum().clamp(min=1.0),
        "seen": 0.2 * seen,
    }
    total = parts["occupied"] + parts["semantic"] + parts["seen"]
    return total, {name: float(value.detach()) for name, value in parts.items()}
