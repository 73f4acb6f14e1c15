// The benchmark's yardstick.
#pragma once
#include "frame.h"

namespace wl {

// rgb and alpha [4, height, width] of `scene`, the way a straightforward CPU rasterizer draws it: one thread, one
// std::sort over (tile, depth) pairs, scalar arithmetic, no vector code of our own. intrinsics: fx, fy, cx, cy.
void scalar_baseline(const Scene<float>& scene, const float* cam_from_world, const float* intrinsics, int height, int width,
                     float* images);

}  // namespace wl
