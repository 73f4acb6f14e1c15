"""Reading and writing every file format; foreign conventions stop here."""

from worldloom.geometry.io.atomic import atomic_path, safe_join
from worldloom.geometry.io.images import load_hdr, load_image, save_hdr, save_image, tonemap

__all__ = ["atomic_path", "load_hdr", "load_image", "safe_join", "save_hdr", "save_image", "tonemap"]
