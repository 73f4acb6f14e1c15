"""The five families of camera paths. Each proposes routes; whether they are free is found out later."""

from collections.abc import Callable

import torch

from worldloom.scenegen.families.aerial import aerial_routes
from worldloom.scenegen.families.reconstruct import reconstruct_routes
from worldloom.scenegen.families.regular import regular_routes
from worldloom.scenegen.families.surround import surround_routes
from worldloom.scenegen.families.wander import wander_routes
from worldloom.scenegen.place import Place, Route

FAMILIES: dict[str, Callable[[Place, torch.Generator], list[Route]]] = {
    "regular": regular_routes,
    "surround": surround_routes,
    "reconstruct": reconstruct_routes,
    "wander": wander_routes,
    "aerial": aerial_routes,
}

__all__ = ["FAMILIES"]
