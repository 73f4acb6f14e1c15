"""The web page: make scenes and driving futures, walk through them, take them away."""

from worldloom.apps.page.serve import serve

__all__ = ["serve"]
