"""Published systems written anew at a size that trains on two cores, to be compared with on the same worlds.

`occsora` draws 32 frames along a path, `occworld` says one frame after another. Both forecast with
`.forecast(past, ego_path)`; their tokenizers have `encode` and `decode`.
"""

from worldloom.occupancy.baselines.occsora import OccSora, OccSoraDiT, OccSoraDiTConfig, as_released
from worldloom.occupancy.baselines.occsora_tokenizer import OccSoraTokenizer, OccSoraTokenizerConfig
from worldloom.occupancy.baselines.occworld import OccWorld, OccWorldAR, OccWorldARConfig
from worldloom.occupancy.baselines.occworld_tokenizer import OccWorldTokenizer, OccWorldTokenizerConfig
from worldloom.occupancy.class_planes import Code

__all__ = [
    "Code",
    "OccSora",
    "OccSoraDiT",
    "OccSoraDiTConfig",
    "OccSoraTokenizer",
    "OccSoraTokenizerConfig",
    "OccWorld",
    "OccWorldAR",
    "OccWorldARConfig",
    "OccWorldTokenizer",
    "OccWorldTokenizerConfig",
    "as_released",
]
