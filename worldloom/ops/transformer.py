"""Transformer blocks: attention with rotary positions, adaLN-Zero conditioning per sample, frame or token."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.ops.rotary import rotate

_SHORT = 32 * 32  # pairs of tokens up to which torch's fused CPU kernel takes three to six times a plain product's time


@dataclass(frozen=True)
class BlockConfig:
    """One transformer block."""

    width: int  # channels of a token
    head_width: int = 64  # 64 runs faster on CPUs than 32 at equal width
    cond_width: int = 0  # channels of the condition; 0: none, the modulation is then a learned constant
    context_width: int = 0  # channels of tokens for cross-attention; 0: none
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    mlp_ratio: float = 4.0  # of GELU; SwiGLU takes 2/3 of it for its three matrices, so both have equal size
    qk_norm: bool = True  # RMS-normalised queries and keys keep bf16 attention from blowing up (Dehghani et al. 2023)

    def __post_init__(self) -> None:
        if self.width < 1 or self.head_width < 2 or self.width % self.head_width or self.head_width % 2:
            raise ValueError(f"width must be a multiple of an even head width, got {self.width} and {self.head_width}")


class Attention(nn.Module):
    """Multi-head attention within a sequence, or from a sequence to a context."""

    def __init__(self, width: int, head_width: int = 64, context_width: int = 0, qk_norm: bool = True) -> None:
        super().__init__()
        self.head_width = head_width
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(context_width or width, 2 * width, bias=False)
        self.query_norm = _HeadNorm(head_width, eps=1e-6) if qk_norm else nn.Identity()
        self.key_norm = _HeadNorm(head_width, eps=1e-6) if qk_norm else nn.Identity()
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "*batch l d"],
        angles: Float[Tensor, "*#batch l pairs"] | None = None,
        mask: Bool[Tensor, "*#batch l m"] | None = None,
        context: Float[Tensor, "*#batch m e"] | None = None,
        context_angles: Float[Tensor, "*#batch m pairs"] | None = None,
    ) -> Float[Tensor, "*batch l d"]:
        """
        Args:
            angles: `rotary_angles` of the tokens; None leaves attention blind to order.
            mask: True where token l may look at token m; every row needs at least one True.
            context: what to look at; the sequence itself where None. One of shape (*batch, 1, m, e) beside tokens
                (*batch, t, l, d) is shared by all t sequences; angles and masks are then not known.
            context_angles: of the context; not used without one.
        """
        if context is not None and angles is None and mask is None and context.shape[-3:-2] == (1,) != x.shape[-3:-2]:
            # One long sequence is looked at once: the context is not projected t times.
            t = x.shape[-3]
            flat = self(rearrange(x, "... t l d -> ... 1 (t l) d"), None, None, context, context_angles)
            return rearrange(flat, "... 1 (t l) d -> ... t l d", t=t)
        if context is None:
            context, context_angles = x, angles
        q = rearrange(self.query(x), "... l (head c) -> ... head l c", c=self.head_width)
        k, v = rearrange(self.key_value(context), "... m (two head c) -> two ... head m c", two=2, c=self.head_width)
        q, k = self.query_norm(q), self.key_norm(k)
        if angles is not None:
            q = rotate(q, angles.unsqueeze(-3))
        if context_angles is not None:
            k = rotate(k, context_angles.unsqueeze(-3))
        return self.out(rearrange(_attend(q, k, v, mask), "... head l c -> ... l (head c)"))


class _HeadNorm(nn.RMSNorm):
    """RMSNorm in the type of its input: under autocast mixed types would leave torch's fused kernel."""

    def forward(self, x: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def _attend(
    q: Float[Tensor, "*batch head l c"],
    k: Float[Tensor, "*batch head m c"],
    v: Float[Tensor, "*batch head m c"],
    mask: Bool[Tensor, "*#batch l m"] | None,
) -> Float[Tensor, "*batch head l c"]:
    """softmax(q k / sqrt(c)) v with all batch axes made one: beyond four axes torch leaves its fused kernels."""
    if q.device.type == "cpu" and q.shape[-2] * k.shape[-2] <= _SHORT:
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask.unsqueeze(-3), -math.inf)
        return scores.softmax(-1, torch.promote_types(q.dtype, torch.float32)).to(v.dtype) @ v
    batch = q.shape[:-3]
    if mask is not None and mask.ndim > 2:
        mask = mask.expand(*batch, *mask.shape[-2:]).reshape(-1, 1, *mask.shape[-2:])
    q, k, v = (part.reshape(-1, *part.shape[-3:]) for part in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, mask).reshape(*batch, *q.shape[1:])


class MLP(nn.Module):
    """The block's pointwise network: SwiGLU (Shazeer 2020) or GELU."""

    def __init__(self, width: int, kind: Literal["swiglu", "gelu"] = "swiglu", ratio: float = 4.0) -> None:
        super().__init__()
        self.gated = kind == "swiglu"
        inner = 8 * max(1, round(width * ratio * (2 / 3 if self.gated else 1) / 8))
        self.expand = nn.Linear(width, inner * (2 if self.gated else 1))
        self.contract = nn.Linear(inner, width)

    def forward(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        inner = self.expand(x)
        if self.gated:
            value, gate = inner.chunk(2, dim=-1)
            return self.contract(F.silu(gate) * value)
        return self.contract(F.gelu(inner))


class Modulation(nn.Module):
    """The `parts` vectors that a condition sets: shifts, scales and gates, all zero before training (adaLN-Zero).

    A condition of shape (b, t, 1, d) beside tokens (b, t, l, d) conditions per frame: it is computed once a frame.
    """

    def __init__(self, width: int, cond_width: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.constant = nn.Parameter(torch.zeros(parts * width))
        self.linear = nn.Linear(cond_width, parts * width, bias=False) if cond_width else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)

    def forward(self, cond: Float[Tensor, "*batch e"] | None) -> tuple[Tensor, ...]:
        if (cond is None) != (self.linear is None):
            raise ValueError("a condition is needed" if cond is None else "a condition came, but cond_width is 0")
        vectors = self.constant if cond is None or self.linear is None else self.linear(F.silu(cond)) + self.constant
        return vectors.chunk(self.parts, dim=-1)


class Block(nn.Module):
    """x += gate Attention(norm(x) (1 + scale) + shift), the same for the MLP: a DiT block (Peebles & Xie 2023, Fig. 3).

    Before training all gates are zero and the block hands x through. Cross-attention to a context, if any, stands
    between the two.
    """

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attention = Attention(width, config.head_width, qk_norm=config.qk_norm)
        self.cross = None
        if config.context_width:
            self.cross = Attention(width, config.head_width, config.context_width, config.qk_norm)
        self.mlp = MLP(width, config.mlp, config.mlp_ratio)
        self.modulation = Modulation(width, config.cond_width, parts=9 if self.cross else 6)

    def forward(
        self,
        x: Float[Tensor, "*batch l d"],
        cond: Float[Tensor, "*#batch #l e"] | None = None,
        angles: Float[Tensor, "*#batch l pairs"] | None = None,
        mask: Bool[Tensor, "*#batch l l"] | None = None,
        context: Float[Tensor, "*#batch m f"] | None = None,
        context_mask: Bool[Tensor, "*#batch l m"] | None = None,
    ) -> Float[Tensor, "*batch l d"]:
        """
        Args:
            cond: one vector per token, or per frame or sample where the axes in between have length 1.
            angles, mask: see Attention.
            context, context_mask: tokens to look at besides x's own; needed if and only if context_width was set.
        """
        if (context is None) != (self.cross is None):
            raise ValueError("a context is needed" if context is None else "a context came, but context_width is 0")
        parts = self.modulation(cond)
        x = x + parts[2] * self.attention(self._modulate(x, *parts[:2]), angles, mask)
        if self.cross is not None:
            x = x + parts[8] * self.cross(self._modulate(x, *parts[6:8]), mask=context_mask, context=context)
        return x + parts[5] * self.mlp(self._modulate(x, *parts[3:5]))

    def _modulate(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return self.norm(x) * (1 + scale) + shift


class SpaceTimeBlock(nn.Module):
    """Attention among the tokens of each frame, then along time at each place: factorised space-time attention."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.space, self.time = Block(config), Block(config)

    def forward(
        self,
        x: Float[Tensor, "b t l d"],
        cond: Float[Tensor, "#b #t #l e"] | None = None,
        space_angles: Float[Tensor, "*#frames l pairs"] | None = None,
        time_angles: Float[Tensor, "t pairs"] | None = None,
        time_mask: Bool[Tensor, "t t"] | None = None,
    ) -> Float[Tensor, "b t l d"]:
        """
        Args:
            cond: (b, t, 1, e) conditions per frame, (b, 1, 1, e) per clip, (b, t, l, e) per token.
            space_angles, time_angles: `rotary_angles` of the places and of the frames.
            time_mask: `causal_mask` of the frames, for roll-outs in which no frame sees a later one.
        """
        x = self.space(x, cond, space_angles)
        swapped_cond = None if cond is None else cond.transpose(1, 2)
        return self.time(x.transpose(1, 2), swapped_cond, time_angles, time_mask).transpose(1, 2)


class FinalLayer(nn.Module):
    """Modulated norm and a linear map to the output channels, zero before training. The condition enters here too."""

    def __init__(self, width: int, out_width: int, cond_width: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.modulation = Modulation(width, cond_width, parts=2)
        self.linear = nn.Linear(width, out_width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self, x: Float[Tensor, "*batch l d"], cond: Float[Tensor, "*#batch #l e"] | None = None
    ) -> Float[Tensor, "*batch l c"]:
        shift, scale = self.modulation(cond)
        return self.linear(self.norm(x) * (1 + scale) + shift)


def causal_mask(frames: Int[Tensor, " l"]) -> Bool[Tensor, "l l"]:
    """True where a token may look at another: those of its own frame and of earlier ones (block-causal)."""
    return frames[:, None] >= frames[None, :]
