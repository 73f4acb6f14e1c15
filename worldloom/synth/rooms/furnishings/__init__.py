"""Furniture from parametric parts: each maker returns things in one frame, floor at z = 0 and front along +x."""
