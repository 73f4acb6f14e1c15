"""A learned world with nets that have learned nothing, and a street to start in: quick, and random but repeatable."""

import torch

from tests.occupancy.moving_world import CAR, straight_street
from worldloom.geometry import Occupancy
from worldloom.occupancy.simulation import ClipStart, ModelWorld, ModelWorldConfig, Simulation, clip_start
from worldloom.occupancy.static_tokenizer import NUM_LAYERS, StaticTokenizer, StaticTokenizerConfig
from worldloom.occupancy.traffic import TrafficConfig, TrafficNet
from worldloom.occupancy.world_model import WorldModel

STATIC_TINY = StaticTokenizerConfig(widths=(8, 8, 8, 8), decoder_blocks=1)
TRAFFIC_TINY = TrafficConfig(width=64, blocks=1, max_users=4, future=8, map_width=16)


def tiny_model() -> WorldModel:
    torch.manual_seed(0)
    traffic = TrafficNet(TRAFFIC_TINY)
    for parameter in traffic.parameters():  # gates and last layers are zero before training: nobody would move
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.1)
    static = StaticTokenizer(STATIC_TINY)
    assert static.head.bias is not None
    torch.nn.init.constant_(static.head.bias[:NUM_LAYERS], -9.0)  # where nobody looked there is nothing but air
    return WorldModel(static, traffic)


def tiny_simulation(**config: float | bool) -> Simulation:
    return Simulation(ModelWorld(tiny_model(), ModelWorldConfig(**{"reach": 10.0, "steps": 1, **config})))


def street(frames: int = 9, speed: float = 6.0, alone: bool = False) -> Occupancy:
    """An ego that drives along x behind a car at x = 14 m, as fast as it is; a wall stands 10 m to both sides."""
    return straight_street(frames, ego_speed=speed, users=() if alone else ((CAR, 14, 0, speed),))


def street_start(frame: int = 4, frames: int = 9, speed: float = 6.0, alone: bool = False) -> ClipStart:
    return clip_start(street(frames, speed, alone), frame, "street")
