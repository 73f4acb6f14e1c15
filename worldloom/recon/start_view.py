"""Where to begin a visit to a reconstructed place."""

import math

from worldloom.recon.photo_depth import PhotoDepth
from worldloom.recon.photos import Photos
from worldloom.recon.world_up import up_of

SURE = 0.3  # confidence of a depth


def start_view(photos: Photos, depth: PhotoDepth) -> dict[str, object]:
    """As JSON: the photo of which most is sure, its camera, how far what it shows is, and up.

    Lengths are in the cameras' unit; the field of view is vertical, in radians.
    """
    best = int(depth.confidence.flatten(1).mean(1).argmax())
    camera = photos.cameras[best]
    sure = depth.confidence[best] > SURE
    ahead = depth.depth[best][sure].median() if bool(sure.any()) else depth.depth[best].median()
    return {
        "photo": photos.names[best],
        "world_from_cam": camera.world_from_cam.tolist(),
        "fov_vertical": 2 * math.atan(0.5 * camera.size[0] / float(camera.K[1, 1])),
        "distance": float(ahead),
        "up": up_of(photos.cameras).tolist(),
    }
