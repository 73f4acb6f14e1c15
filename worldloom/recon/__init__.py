"""From images to geometry: panorama distance, splats."""
