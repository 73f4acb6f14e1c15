"""From a panorama to places to go: camera paths."""
