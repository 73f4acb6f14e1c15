"""Weather for outdoor scenes."""

import math
from random import Random

from worldloom.synth.sky import Sky


def weather(random: Random) -> Sky:
    """A clear, hazy, low-sun or overcast sky."""
    kind = random.choices(("clear", "hazy", "low", "overcast"), (4, 2, 2, 2))[0]
    azimuth = random.uniform(-math.pi, math.pi)
    elevation = math.radians(random.uniform(8, 18) if kind == "low" else random.uniform(25, 65))
    c = math.cos(elevation)
    towards = (c * math.cos(azimuth), c * math.sin(azimuth), math.sin(elevation))
    match kind:
        case "clear":
            return Sky(towards)
        case "hazy":
            return Sky(towards, (2.2, 2.1, 1.9), (0.5, 0.6, 0.8), (1.0, 1.0, 1.0))
        case "low":
            return Sky(towards, (2.6, 1.8, 1.1), (0.25, 0.4, 0.75), (1.1, 0.85, 0.6))
        case _:
            return Sky(towards, (0.0, 0.0, 0.0), (0.9, 0.93, 1.0), (0.7, 0.72, 0.76))
