"""Images out of scenes: Gaussians or occupancy and cameras in; rgb, alpha, depth, normals and video out."""
