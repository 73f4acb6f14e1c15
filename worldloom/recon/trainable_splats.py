"""Gaussians as an optimiser sees them: unbounded parameters with their moments, that can be divided and removed."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.rigid import rotmat_from_quat
from worldloom.render import RenderInfo

# Learning rates of Kerbl et al. 2023 for tens of thousands of steps; here there are a few thousand, and the start is
# near the goal in place but not in size, opacity and colour.
RATES = {"means": 1.6e-4, "log_scales": 7e-3, "quats": 2e-3, "logits": 4e-2, "sh0": 5e-3, "sh_rest": 2.5e-4}
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Growth:
    """What one round of division and removal did."""

    split: int
    cloned: int
    pruned: int


class TrainableSplats:
    """Parameters, their Adam moments, and how strongly pictures pull at each Gaussian's place."""

    def __init__(self, gaussians: Gaussians, sh_degree: int, unit: float) -> None:
        """`unit`: a typical distance of things from cameras; steps in place are in proportion to it."""
        k = (sh_degree + 1) ** 2
        rest = torch.zeros(len(gaussians), k - 1, 3)
        given = gaussians.sh[:, 1:k]
        rest[:, : given.shape[1]] = given
        start = {
            "means": gaussians.means,
            "log_scales": gaussians.scales.clamp(min=1e-8).log(),
            "quats": F.normalize(gaussians.quats, dim=-1),
            "logits": torch.logit(gaussians.opacities, eps=1e-4),
            "sh0": gaussians.sh[:, :1],
            "sh_rest": rest,
        }
        self.unit = unit
        self._take({name: value.detach().clone() for name, value in start.items()}, {})

    def __len__(self) -> int:
        return len(self.values["means"])

    def gaussians(self, sh_degree: int) -> Gaussians:
        """Activated, with the first bands of colour; differentiable."""
        v = self.values
        rest = v["sh_rest"][:, : (sh_degree + 1) ** 2 - 1]
        sh = torch.cat([v["sh0"], rest], 1) if rest.shape[1] else v["sh0"]
        return Gaussians(v["means"], v["quats"], v["log_scales"].exp(), v["logits"].sigmoid(), sh)

    def step(self, pace: float, pace_of_place: float) -> None:
        """One step of Adam at these shares of the learning rates."""
        for group in self.optimizer.param_groups:
            name = group["name"]
            group["lr"] = RATES[name] * (pace_of_place * self.unit if name == "means" else pace)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def observe(self, info: RenderInfo, size: tuple[int, int]) -> None:
        """Count the pull of one picture, per Gaussian it shows: |d loss / d (u, v)|, in half-widths of the picture."""
        assert info.means2d_grad is not None
        self.pull += info.means2d_grad.norm(dim=-1) * (0.5 * max(size))
        self.seen += info.visible

    def grow(
        self,
        pixel: Float[Tensor, " n"],
        fixed: Bool[Tensor, " n"],
        threshold: float,
        least_opacity: float,
        most: int,
    ) -> Growth:
        """Divide what pictures pull at, and remove what is all but transparent. At most `most` are left.

        A Gaussian wider than a pixel is split along its longest axis into two halves; a smaller one is cloned. Both
        keep what they cover: the opacity o of one becomes 1 - sqrt(1 - o) of two (Rota Bulo et al. 2024).

        Args:
            pixel: the width of a pixel at each Gaussian, where it is seen most closely.
            fixed: Gaussians that are neither divided nor removed.
            threshold: mean pull from which on a Gaussian is divided.
        """
        with torch.no_grad():
            opacity = self.values["logits"].sigmoid()
            keep = (opacity > least_opacity) | fixed
            pull = torch.where(keep & ~fixed, self.pull / self.seen.clamp(min=1), 0)
            room = max(0, most - int(keep.sum()))
            wanted = (pull > threshold).nonzero()[:, 0]
            if len(wanted) > room:
                wanted = pull.topk(room).indices.sort().values
            divided = torch.zeros_like(keep)
            divided[wanted] = True
            rows = torch.cat([keep.nonzero()[:, 0], wanted])
            copies = torch.arange(len(rows)) >= int(keep.sum())
            wide = self.values["log_scales"].exp().amax(-1) > pixel
            self._rearrange(rows, divided[rows], copies, wide[rows])
            num_split = int((divided & wide).sum())
        return Growth(num_split, len(wanted) - num_split, int((~keep).sum()))

    def _rearrange(self, rows: Int[Tensor, " m"], changed: Tensor, copies: Tensor, wide: Tensor) -> None:
        values = {name: value.detach()[rows].clone() for name, value in self.values.items()}
        moments = self._moments()
        halves = changed & wide
        scales = values["log_scales"].exp()
        longest = scales.argmax(-1, keepdim=True)
        axis = torch.gather(rotmat_from_quat(values["quats"]), 2, longest[:, None].expand(-1, 3, 1))[..., 0]
        aside = 0.7 * torch.gather(scales, 1, longest) * axis
        sign = torch.where(copies, -1.0, 1.0)[:, None]
        values["means"][halves] += (sign * aside)[halves]
        shrink = torch.full_like(scales, 0.9).scatter(1, longest, 0.6)
        values["log_scales"][halves] += shrink[halves].log()
        clones = changed & ~wide
        opacity = values["logits"][clones].sigmoid()
        values["logits"][clones] = torch.logit(1 - (1 - opacity).sqrt(), eps=1e-4)
        moved = {
            name: {
                key: torch.where(_column(changed, old), 0, old[rows]) if key in _MOMENTS else old
                for key, old in kept.items()
            }
            for name, kept in moments.items()
        }
        self._take(values, moved)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, as plain tensors and numbers."""
        return {
            "values": {name: value.detach().clone() for name, value in self.values.items()},
            "moments": self._moments(),
            "pull": self.pull.clone(),
            "seen": self.seen.clone(),
            "unit": self.unit,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "TrainableSplats":
        splats = object.__new__(cls)
        splats.unit = float(state["unit"])
        splats._take(state["values"], state["moments"])
        splats.pull, splats.seen = state["pull"].clone(), state["seen"].clone()
        return splats

    def _take(self, values: dict[str, Tensor], moments: dict[str, dict[str, Tensor]]) -> None:
        self.values = {name: nn.Parameter(value) for name, value in values.items()}
        groups = [{"params": [value], "name": name, "lr": RATES[name]} for name, value in self.values.items()]
        self.optimizer = torch.optim.Adam(groups, eps=1e-15, fused=True)
        for name, kept in moments.items():
            self.optimizer.state[self.values[name]] = {key: value.clone() for key, value in kept.items()}
        num = len(self)
        self.pull, self.seen = torch.zeros(num), torch.zeros(num)

    def _moments(self) -> dict[str, dict[str, Tensor]]:
        """Of each parameter that has had a gradient: bands of colour that came later count fewer steps."""
        states = {name: self.optimizer.state.get(value, {}) for name, value in self.values.items()}
        return {name: {key: s[key].clone() for key in ("step", *_MOMENTS)} for name, s in states.items() if s}


def _column(mask: Bool[Tensor, " m"], like: Tensor) -> Tensor:
    return mask.view(-1, *[1] * (like.ndim - 1))
