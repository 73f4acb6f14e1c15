"""From images to geometry: panorama distance, splats."""

from worldloom.recon.centre_view import centre_psnr, match_centre_colours
from worldloom.recon.distance_picture import distance_picture
from worldloom.recon.panorama_depth import PanoramaDepth
from worldloom.recon.panorama_distance import assume_distance
from worldloom.recon.panorama_splats import splats_from_panorama

__all__ = [
    "PanoramaDepth", "assume_distance", "centre_psnr", "distance_picture", "match_centre_colours",
    "splats_from_panorama",
]  # fmt: skip
