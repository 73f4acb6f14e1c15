"""Panoramas with exact distances to learn from: many cheap worlds, and how photographs of them come out."""
