"""Panoramas with exact distances to learn from: many cheap worlds, each in one small file."""
