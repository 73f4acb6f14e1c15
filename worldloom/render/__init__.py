"""Images out of scenes: Gaussians or occupancy and cameras in; rgb, alpha, depth, normals and video out."""

from worldloom.render.render import backends, fastest_backend, render
from worldloom.render.rendering import RenderInfo, Rendering

__all__ = ["RenderInfo", "Rendering", "backends", "fastest_backend", "render"]
