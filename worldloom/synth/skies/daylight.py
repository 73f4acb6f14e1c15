"""The light of a clear sky and of the sun behind it, by the sun's height and the haze.

Preetham, Shirley and Smits 1999, "A Practical Analytic Model for Daylight": Perez' distribution with the paper's
coefficients (appendix A.2), and the sun's light after Rayleigh scattering, haze and ozone (appendix A.1).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

KILO = 30.0  # kcd/m^2 that count as radiance 1: a white wall in full sun has about as much
_LOWEST = math.radians(2.0)  # the model breaks down as the sun sets
# Rows A to E of Perez' function, each linear in the turbidity.
_LUMINANCE = ((0.1787, -1.4630), (-0.3554, 0.4275), (-0.0227, 5.3251), (0.1206, -2.5771), (-0.0670, 0.3703))
_X = ((-0.0193, -0.2592), (-0.0665, 0.0008), (-0.0004, 0.2125), (-0.0641, -0.8989), (-0.0033, 0.0452))
_Y = ((-0.0167, -0.2608), (-0.0950, 0.0092), (-0.0079, 0.2102), (-0.0441, -1.6537), (-0.0109, 0.0529))
# Chromaticity of the zenith: rows T^2, T, 1; columns theta^3, theta^2, theta, 1.
_ZENITH_X = (
    (0.00166, -0.00375, 0.00209, 0.0),
    (-0.02903, 0.06377, -0.03202, 0.00394),
    (0.11693, -0.21196, 0.06052, 0.25886),
)
_ZENITH_Y = (
    (0.00275, -0.00610, 0.00317, 0.0),
    (-0.04214, 0.08970, -0.04153, 0.00516),
    (0.15346, -0.26756, 0.06670, 0.26688),
)
_RGB_FROM_XYZ = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))  # IEC 61966-2-1
_WAVELENGTHS = (0.61, 0.55, 0.465)  # micrometres that stand for red, green and blue
_OZONE = (0.09, 0.085, 0.010)  # absorption per cm at these wavelengths
_ABOVE_AIR = 128.0 / KILO  # illuminance of the sun above the atmosphere, 128 klx


@dataclass(frozen=True)
class Daylight:
    """A clear sky of a given turbidity: 2 is a crisp day, 3 clear, 6 hazy, 10 is fog to come."""

    towards_sun: tuple[float, float, float]  # unit vector; as at 2 degrees when lower
    turbidity: float = 3.0

    def __post_init__(self) -> None:
        if not 1.7 <= self.turbidity <= 10:
            raise ValueError(f"turbidity must be in [1.7, 10], got {self.turbidity}")

    def radiance(self, directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """From unit directions; below the horizon as on it. F(theta, gamma) / F(0, theta_sun), Eq. 3 of the paper."""
        up = directions[:, 2].double().clamp(min=0.03)
        sun = torch.tensor(self.towards_sun, dtype=torch.float64)
        gamma = (directions.double() @ sun).clamp(-1, 1).acos()
        away = math.pi / 2 - self._height  # of the sun from the zenith
        T = self.turbidity
        chi = (4 / 9 - T / 120) * (math.pi - 2 * away)
        zenith = (4.0453 * T - 4.9710) * math.tan(chi) - 0.2155 * T + 2.4192
        powers = torch.tensor([away**3, away**2, away, 1.0], dtype=torch.float64)
        turbidities = torch.tensor([T * T, T, 1.0], dtype=torch.float64)
        at_zenith = [turbidities @ torch.tensor(m, dtype=torch.float64) @ powers for m in (_ZENITH_X, _ZENITH_Y)]
        Y = max(zenith, 0.05) / KILO * _perez(_LUMINANCE, T, up, gamma, away)
        x = at_zenith[0] * _perez(_X, T, up, gamma, away)
        y = at_zenith[1] * _perez(_Y, T, up, gamma, away)
        xyz = torch.stack([Y * x / y, Y, Y * (1 - x - y) / y], -1)
        rgb = (xyz @ torch.tensor(_RGB_FROM_XYZ, dtype=torch.float64).T).clamp(min=0)
        # Light scattered many times whitens the horizon; the model lacks it and turns brown there instead (Bruneton
        # 2017, "A Qualitative and Quantitative Evaluation of 8 Clear Sky Models").
        haze = Y[:, None] * torch.tensor([0.97, 1.0, 1.06], dtype=torch.float64)
        share = (0.25 + 0.5 * torch.exp(-up / 0.15))[:, None] * min(1.0, self._height / math.radians(25))
        return (rgb + share * (haze - rgb)).float()

    @property
    def sun(self) -> tuple[float, float, float]:
        """Irradiance of a surface that faces the sun."""
        height = math.degrees(self._height)
        mass = 1 / (math.sin(self._height) + 0.15 * (height + 3.885) ** -1.253)
        haze = 0.04608 * self.turbidity - 0.04586
        red, green, blue = (
            _ABOVE_AIR
            * math.exp(-0.008735 * wavelength**-4.08 * mass)
            * math.exp(-haze * wavelength**-1.3 * mass)
            * math.exp(-ozone * 0.35 * mass)
            for wavelength, ozone in zip(_WAVELENGTHS, _OZONE, strict=True)
        )
        return red, green, blue

    @property
    def _height(self) -> float:
        return max(math.asin(max(-1.0, min(1.0, self.towards_sun[2]))), _LOWEST)


def _perez(
    rows: tuple[tuple[float, float], ...],
    turbidity: float,
    up: Float[Tensor, " n"],
    gamma: Float[Tensor, " n"],
    away: float,
) -> Float[Tensor, " n"]:
    """(1 + A exp(B / cos theta)) (1 + C exp(D gamma) + E cos^2 gamma), over its value at the zenith."""
    A, B, C, D, E = (slope * turbidity + start for slope, start in rows)
    there = (1 + A * torch.exp(B / up)) * (1 + C * torch.exp(D * gamma) + E * gamma.cos() ** 2)
    zenith = (1 + A * math.exp(B)) * (1 + C * math.exp(D * away) + E * math.cos(away) ** 2)
    return there / zenith
