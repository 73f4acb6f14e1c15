"""From images to geometry: distance of panoramas, depth of photos, splats."""

from worldloom.recon.align_depth import Alignment, align
from worldloom.recon.centre_view import centre_psnr, match_centre_colours
from worldloom.recon.depth_splats import splats_from_depth
from worldloom.recon.distance_picture import distance_picture
from worldloom.recon.panorama_depth import PanoramaDepth
from worldloom.recon.panorama_distance import assume_distance
from worldloom.recon.panorama_splats import splats_from_panorama
from worldloom.recon.photo_depth import PhotoDepth
from worldloom.recon.photo_files import TakenPhotos, load_photos, load_prior
from worldloom.recon.photo_scores import scores
from worldloom.recon.photos import Photos, undistorted
from worldloom.recon.plane_sweep import SweepConfig, plane_sweep
from worldloom.recon.reconstruct import ReconstructConfig, Reconstruction, Step, reconstruct
from worldloom.recon.refine import RefineConfig, Refined, refine

__all__ = [
    "Alignment", "PanoramaDepth", "PhotoDepth", "Photos", "ReconstructConfig", "Reconstruction", "RefineConfig",
    "Refined", "Step", "SweepConfig", "TakenPhotos", "align", "assume_distance", "centre_psnr", "distance_picture",
    "load_photos", "load_prior", "match_centre_colours", "plane_sweep", "reconstruct", "refine", "scores",
    "splats_from_depth", "splats_from_panorama", "undistorted",
]  # fmt: skip
