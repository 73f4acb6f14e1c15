"""The viewer that a person walks in: a scene of splats with ground under the feet, or a driving future."""

from worldloom.apps.walk.viewer import Viewer

__all__ = ["Viewer"]
