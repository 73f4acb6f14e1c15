"""4D occupancy: the world model, its tokenizer, the floors that they must beat, and the metrics that judge them."""

from worldloom.occupancy.feature_net import FeatureNet
from worldloom.occupancy.forecast import copy_last, copy_warp
from worldloom.occupancy.future_path import FuturePath, lay_path
from worldloom.occupancy.metrics import SemanticScore, score_forecast
from worldloom.occupancy.tokenizer import EncodedClip, Tokenizer
from worldloom.occupancy.world_model import Futures, WorldModel, WorldState

__all__ = [
    "EncodedClip",
    "FeatureNet",
    "FuturePath",
    "Futures",
    "SemanticScore",
    "Tokenizer",
    "WorldModel",
    "WorldState",
    "copy_last",
    "copy_warp",
    "lay_path",
    "score_forecast",
]
