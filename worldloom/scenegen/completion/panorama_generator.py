"""Panoramas from words, from a photo, or from whatever part of them is known."""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry.push_pull import filled_from_around
from worldloom.ops import flow, load_config, load_weights, weights_path
from worldloom.scenegen.completion.detail_network import FACTOR, DetailConfig, DetailNetwork
from worldloom.scenegen.completion.network import (
    ROWS,
    CompletionConfig,
    CompletionNetwork,
    Known,
    from_signal,
    word_numbers,
)
from worldloom.scenegen.words import Words

MADE_ROWS = ROWS * FACTOR  # of the panoramas that are made
STEPS = 12
GUIDANCE = 2.0  # towards the words


class PanoramaGenerator:
    """Two networks: one completes small panoramas, one draws their detail."""

    def __init__(self, network: CompletionNetwork, detail: DetailNetwork) -> None:
        self.network, self.detail = network.eval(), detail.eval()

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path) -> "PanoramaGenerator":
        """The weights in a folder that holds panorama/ and detail/, or embedded ones of that name.

        Raises:
            InputError: there are none, or they are damaged.
        """
        folder = weights_path("worldloom.scenegen", name_or_path, "panorama")
        network = CompletionNetwork(load_config(folder, CompletionConfig))
        load_weights(folder, network)
        folder = weights_path("worldloom.scenegen", name_or_path, "detail")
        detail = DetailNetwork(load_config(folder, DetailConfig))
        load_weights(folder, detail)
        return cls(
            network.to(memory_format=torch.channels_last),  # pyright: ignore[reportCallIssue]
            detail.to(memory_format=torch.channels_last),  # pyright: ignore[reportCallIssue]
        )

    def complete(
        self,
        rgb: Float[Tensor, "3 h w"],
        known: Bool[Tensor, "h w"],
        words: Words = Words(),  # noqa: B008 - frozen
        seed: int = 0,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        progress: Callable[[float], None] = lambda share: None,
    ) -> Float[Tensor, "3 h w"]:
        """The panorama with what is not known made up; what is known stays to the bit.

        The same seed gives the same picture.

        Args:
            rgb: display values in [0, 1] at `MADE_ROWS` rows; any where not known.
            guidance: 1 follows the words as they are, more exaggerates them.
        Raises:
            InputError: another size, or steps below 1.
        """
        size = (MADE_ROWS, 2 * MADE_ROWS)
        if tuple(rgb.shape) != (3, *size) or tuple(known.shape) != size:
            raise InputError(
                f"expected a panorama of {size[1]}x{size[0]}, got {tuple(rgb.shape)}, {tuple(known.shape)}"
            )
        if steps < 1:
            raise InputError(f"expected at least 1 step, got {steps}")
        small = self.complete_small(known_small(rgb[None], known[None]), words, seed, steps, guidance, progress)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            made = self.detail(small[None])[0]
        return joined(rgb, known, made.float().clamp(0, 1))

    @torch.no_grad()
    def complete_small(
        self,
        given: Known,
        words: Words,
        seed: int,
        steps: int,
        guidance: float,
        progress: Callable[[float], None] = lambda share: None,
    ) -> Float[Tensor, "3 h w"]:
        """What the first network makes, at `ROWS` rows; see `complete`."""
        numbers, nothing = word_numbers([words]), word_numbers([Words()])
        start = torch.randn(given.rgb.shape, generator=torch.Generator().manual_seed(seed))
        said = bool(numbers.any()) and guidance != 1
        if said:
            given = Known(given.rgb.expand(2, -1, -1, -1), given.share.expand(2, -1, -1, -1))
            numbers = torch.cat([numbers, nothing])

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            progress(1 - float(t))
            both = x.expand(len(numbers), -1, -1, -1)
            with torch.autocast("cpu", torch.bfloat16):
                picture = self.network(both, t.float().expand(len(both)), given, numbers)
            found = flow.velocity_from_data(both, picture, t)
            return flow.guide(found[:1], found[1:], guidance) if said else found

        return from_signal(flow.sample(velocity, start, flow.sampling_times(steps, shift=1.5)))[0].float()


def known_small(rgb: Float[Tensor, "b 3 h w"], known: Bool[Tensor, "b h w"]) -> Known:
    """What is known as the network is told: at `ROWS` rows, with holes filled from around."""
    share = F.avg_pool2d(known[:, None].float(), known.shape[-2] // ROWS)
    mean = F.avg_pool2d(rgb * known[:, None], known.shape[-2] // ROWS) / share.clamp(min=1e-6)
    filled = [filled_from_around(one, some[0] > 0) for one, some in zip(mean, share, strict=True)]
    return Known(torch.stack(filled), share)


def joined(
    rgb: Float[Tensor, "3 h w"], known: Bool[Tensor, "h w"], made: Float[Tensor, "3 h w"]
) -> Float[Tensor, "3 h w"]:
    """What is known, and beside it what was made, in the light of what is known where they meet.

    The difference at the border fades out smoothly away from it.
    """
    if not bool(known.any()) or bool(known.all()):
        return rgb if bool(known.all()) else made
    difference = filled_from_around((rgb - made) * known, known)
    near = known[None].float()
    for _ in range(3):
        near = _blurred(near, known.shape[0] // 32)
    fade = (3 * near[0]).clamp(0, 1)  # 1 at the border and a little beyond
    return torch.where(known, rgb, (made + fade * difference).clamp(0, 1))


def _blurred(x: Float[Tensor, "1 h w"], reach: int) -> Float[Tensor, "1 h w"]:
    """Mean over a square; columns wrap around."""
    x = torch.cat([x[..., -reach:], x, x[..., :reach]], -1)
    return F.avg_pool2d(x[None], 2 * reach + 1, 1, (reach, 0), count_include_pad=False)[0]
