"""Panoramas of places whose geometry is known in closed form."""

import math

import torch

from worldloom.geometry import Panorama
from worldloom.geometry.equirect import directions

HEIGHT = 96


def panorama_of(distance, sky=None, world_from_pano=None):
    rgb = torch.full((3, *distance.shape), 0.5)
    sky = torch.zeros(distance.shape, dtype=torch.bool) if sky is None else sky
    return Panorama(rgb, distance, sky, torch.eye(4) if world_from_pano is None else world_from_pano)


def sphere_room(radius, height=HEIGHT):
    return torch.full((height, 2 * height), float(radius))


def box_distance(low, high, height=HEIGHT):
    """Distance along each ray to the box [low, high]; inf where it is missed. From inside, the exit."""
    rays = directions(height).double()
    low, high = torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
    safe = torch.where(rays.abs() < 1e-12, 1e-12, rays)
    a, b = low / safe, high / safe
    enter, leave = torch.minimum(a, b).amax(-1), torch.maximum(a, b).amin(-1)
    hit = (leave > enter.clamp(min=0)).logical_and(leave > 0)
    return torch.where(hit, torch.where(enter > 0, enter, leave), math.inf).float()


def distance_to_box(points, low, high):
    """Metres from points outside the box to it."""
    low, high = torch.tensor(low), torch.tensor(high)
    return (torch.maximum(low - points, points - high).clamp(min=0)).norm(dim=-1)


def furnished(*boxes, room=((-3.0, -4.0, -1.6), (5.0, 4.0, 1.2)), height=HEIGHT, world_from_pano=None):
    """A panorama of a room with boxes in it."""
    distance = box_distance(room[0], room[1], height)
    for low, high in boxes:
        distance = torch.minimum(distance, box_distance(low, high, height))
    return panorama_of(distance, world_from_pano=world_from_pano)
