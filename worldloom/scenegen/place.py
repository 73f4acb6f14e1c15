"""A panorama made ready for planning: its free space, its ground, its surface, and where paths begin."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import Agent, NavMesh, Panorama
from worldloom.scenegen.free_space import MAX_VOXELS, FreeSpace, upright
from worldloom.scenegen.ground import START_WITHIN, Ground, find_ground
from worldloom.scenegen.motion import Guide
from worldloom.scenegen.surface import Patches, Quads, frontier_patches, quads, shown_patches
from worldloom.scenegen.walkable_mesh import navmesh_from_ground

SPARE = 0.05  # metres that paths keep away from all else, beyond the agent's radius
LOWEST_EYE = 0.8  # metres above the ground, of a walker

_ROWS = 64  # of the surface of which views are counted


@dataclass(frozen=True)
class Route:
    """A guide that a family proposes, before it is known whether it is free."""

    guide: Guide
    walks: bool  # the whole body goes along, on the ground; else only the camera


@dataclass(frozen=True)
class Place:
    """All in the frame of the panorama, which is upright."""

    panorama: Panorama
    agent: Agent
    space: FreeSpace
    ground: Ground
    navmesh: NavMesh

    @cached_property
    def start(self) -> Float[Tensor, "3"] | None:
        """The panorama's centre, or the nearest place with room for the camera; None where there is none near."""
        radius = self.agent.radius + SPARE
        centre = torch.zeros(1, 3)
        if bool(self.space.has_room(centre, radius)[0]):
            return centre[0]
        index = np.argwhere(self.space.room >= radius)
        places = np.array(self.space.grid.origin) + (index + 0.5) * self.space.grid.voxel_size
        apart = np.linalg.norm(places, axis=-1)
        if not len(apart) or apart.min() > START_WITHIN:
            return None
        return torch.from_numpy(places[apart.argmin()]).float()

    @cached_property
    def eye(self) -> float:
        """Metres of a walker's eye above the ground: the panorama's, if that is a height for an eye."""
        if self.ground.start is None:
            return LOWEST_EYE
        above = -float(self.ground.height[self.ground.start])
        return min(max(above, LOWEST_EYE), self.agent.height - 0.1)

    @cached_property
    def metres_on_foot(self) -> Float[np.ndarray, "x y"]:
        return self.ground.metres_on_foot()

    def stands(self, spacing: float, within: float) -> Float[Tensor, "n 3"]:
        """Eyes over walkable cells about `spacing` apart, no more than `within` metres on foot from the start."""
        every = max(1, round(spacing / self.ground.cell))
        lattice = np.zeros_like(self.ground.walkable)
        i, j = self.ground.start or (0, 0)
        lattice[i % every :: every, j % every :: every] = True
        return self.eyes(np.argwhere(lattice & (self.metres_on_foot <= within)))

    def eyes(self, cells: np.ndarray) -> Float[Tensor, "n 3"]:
        """Eyes over cells (n, 2)."""
        return self.ground.points(cells) + torch.tensor([0.0, 0.0, self.eye])

    def metres_to(self, eyes: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Metres on foot from the start to below eyes over walkable cells."""
        return torch.from_numpy(self.metres_on_foot[tuple(self.ground.cells(eyes).T)]).float()

    def walk(self, goal: Float[Tensor, "3"]) -> Float[Tensor, "k 3"] | None:
        """The shortest walk from the start to an eye over walkable ground, at eye height; None if none is found."""
        if self.ground.start is None:
            return None
        lift = torch.tensor([0.0, 0.0, self.eye])
        home = self.ground.points(np.array([self.ground.start]))[0]
        if (self.navmesh.locate(torch.stack([home, goal - lift])) < 0).any():
            return None  # simple outlines cut off a little of the ground
        way = self.navmesh.shortest_path(home, goal - lift)
        return None if way is None else way + lift

    @cached_property
    def quads(self) -> Quads:
        return quads(self.panorama, _ROWS)

    @cached_property
    def shown(self) -> Patches:
        """What the panorama shows of the surface."""
        return shown_patches(self.quads)

    @cached_property
    def frontier(self) -> Patches:
        """Where the unknown begins without a surface, in the grid of the free space; not outside the windows."""
        patches, _ = frontier_patches(self.quads)
        grid = self.space.grid
        index = (patches.points - torch.tensor(grid.origin)) / grid.voxel_size
        return patches[((index >= 0) & (index < torch.tensor(grid.shape))).all(-1)]


def survey(panorama: Panorama, agent: Agent, max_voxels: int = MAX_VOXELS) -> Place:
    """Free space, walkable ground and navmesh of a panorama.

    Raises:
        InputError: as `upright`.
    """
    panorama = upright(panorama)
    space = FreeSpace(panorama, max_voxels)
    # Simple outlines of the navmesh and smooth bends of paths leave walkable cells by half a cell or so.
    ground = find_ground(panorama, space, agent, SPARE + space.grid.voxel_size / 2)
    return Place(panorama, agent, space, ground, navmesh_from_ground(ground, agent))
