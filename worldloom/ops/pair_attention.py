"""Attention among a few tokens whose relations to each other are known: every pair has features of its own.

What two tokens are to each other biases how much one looks at the other, and is read with what it finds there, as in
query-centric motion forecasting (Zhou et al. 2023, "Query-Centric Trajectory Prediction", sec. 3.2).
"""

import math

from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from worldloom.ops.transformer import MLP


class PairAttention(nn.Module):
    """Multi-head attention whose scores and values depend on features of the pair, too."""

    def __init__(self, width: int, pair_width: int, head_width: int = 32) -> None:
        super().__init__()
        if width % head_width:
            raise ValueError(f"width must be a multiple of the head width, got {width} and {head_width}")
        heads = width // head_width
        self.head_width = head_width
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.bias = nn.Linear(pair_width, heads, bias=False)
        self.value_of_pair = nn.Linear(heads * pair_width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "*batch m d"],
        pairs: Float[Tensor, "*batch m m e"],
        mask: Bool[Tensor, "*batch m m"],
    ) -> Float[Tensor, "*batch m d"]:
        """
        Args:
            pairs: features of (who looks, who is looked at).
            mask: True where one may look at the other; every row needs at least one True.
        """
        q, k, v = rearrange(
            self.query_key_value(x), "... m (three head c) -> three ... head m c", three=3, c=self.head_width
        )
        scores = q @ k.transpose(-1, -2) * self.head_width**-0.5 + rearrange(self.bias(pairs), "... i j h -> ... h i j")
        weights = scores.float().masked_fill(~mask.unsqueeze(-3), -math.inf).softmax(-1).to(v.dtype)
        found = rearrange(weights @ v, "... head m c -> ... m (head c)")
        related = einsum(weights, pairs.to(v.dtype), "... head i j, ... i j e -> ... i head e").flatten(-2)
        return self.out(found + self.value_of_pair(related))


class PairBlock(nn.Module):
    """x += attention(norm(x)), x += MLP(norm(x)): a transformer block over tokens with features of pairs."""

    def __init__(self, width: int, pair_width: int, head_width: int = 32) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = PairAttention(width, pair_width, head_width)
        self.mlp = MLP(width, ratio=3.0)

    def forward(
        self,
        x: Float[Tensor, "*batch m d"],
        pairs: Float[Tensor, "*batch m m e"],
        mask: Bool[Tensor, "*batch m m"],
    ) -> Float[Tensor, "*batch m d"]:
        """See `PairAttention.forward`."""
        x = x + self.attention(self.attention_norm(x), pairs, mask)
        return x + self.mlp(self.mlp_norm(x))
