"""Images out of scenes: Gaussians or occupancy and cameras in; rgb, alpha, depth, normals and video out."""

from worldloom.render.birdseye import render_bev
from worldloom.render.occupancy import (
    chase_camera,
    gaussians_from_occupancy,
    render_occupancy,
)
from worldloom.render.panorama import PanoramaRendering, render_panorama
from worldloom.render.render import backends, fastest_backend, render
from worldloom.render.rendering import RenderInfo, Rendering
from worldloom.render.warp import Warped, warp

__all__ = [
    "PanoramaRendering",
    "RenderInfo",
    "Rendering",
    "Warped",
    "backends",
    "chase_camera",
    "fastest_backend",
    "gaussians_from_occupancy",
    "render",
    "render_bev",
    "render_occupancy",
    "render_panorama",
    "warp",
]
