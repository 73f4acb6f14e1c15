#include "scalar_baseline.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace wl {
namespace {

struct Splat2d {
  float x, y, xx, xy, yy, opacity, rgb[3];
};

struct Pair {
  uint64_t key;  // tile, then depth
  uint32_t splat;
};

void colour_of(const float* sh, int k, const float* d, float* rgb) {
  const float x = d[0], y = d[1], z = d[2];
  float basis[16] = {0.2820948f};
  if (k > 1) basis[1] = -0.4886025f * y, basis[2] = 0.4886025f * z, basis[3] = -0.4886025f * x;
  if (k > 4) {
    basis[4] = 1.0925484f * x * y, basis[5] = -1.0925484f * y * z, basis[6] = 0.9461747f * z * z - 0.3153916f;
    basis[7] = -1.0925484f * x * z, basis[8] = 0.5462742f * (x * x - y * y);
  }
  if (k > 9) {
    basis[9] = -0.5900436f * y * (3 * x * x - y * y), basis[10] = 2.8906114f * x * y * z;
    basis[11] = y * (0.4570458f - 2.2852290f * z * z), basis[12] = z * (1.8658817f * z * z - 1.1195290f);
    basis[13] = x * (0.4570458f - 2.2852290f * z * z), basis[14] = 1.4453057f * z * (x * x - y * y);
    basis[15] = -0.5900436f * x * (x * x - 3 * y * y);
  }
  for (int c = 0; c < 3; ++c) {
    float sum = 0.5f;
    for (int i = 0; i < k; ++i) sum += basis[i] * sh[i * 3 + c];
    rgb[c] = std::max(sum, 0.0f);
  }
}

}  // namespace

void scalar_baseline(const Scene<float>& scene, const float* m, const float* intrinsics, int height, int width, float* images) {
  const float fx = intrinsics[0], fy = intrinsics[1], cx = intrinsics[2], cy = intrinsics[3];
  const int columns = (width + TILE - 1) / TILE, rows = (height + TILE - 1) / TILE;
  float eye[3];
  for (int c = 0; c < 3; ++c) eye[c] = -(m[c] * m[3] + m[4 + c] * m[7] + m[8 + c] * m[11]);

  std::vector<Splat2d> splats;
  std::vector<Pair> pairs;
  for (int64_t id = 0; id < scene.n; ++id) {
    const float *p = scene.means + id * 3, *q = scene.quats + id * 4, *s = scene.scales + id * 3;
    const float z = m[8] * p[0] + m[9] * p[1] + m[10] * p[2] + m[11];
    const float opacity = scene.opacities[id];
    if (z < 0.01f || opacity < 1 / 255.0f) continue;
    const float x = m[0] * p[0] + m[1] * p[1] + m[2] * p[2] + m[3];
    const float y = m[4] * p[0] + m[5] * p[1] + m[6] * p[2] + m[7];
    const float norm = std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    const float w = q[0] / norm, i = q[1] / norm, j = q[2] / norm, k = q[3] / norm;
    const float rotation[3][3] = {{1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j)},
                                  {2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i)},
                                  {2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j)}};
    const float u = std::clamp(x / z, -(cx / fx + 0.15f * width / fx), (width - cx) / fx + 0.15f * width / fx);
    const float v = std::clamp(y / z, -(cy / fy + 0.15f * height / fy), (height - cy) / fy + 0.15f * height / fy);
    float xx = 0.3f, xy = 0, yy = 0.3f;
    for (int c = 0; c < 3; ++c) {
      float axis[3];
      for (int r = 0; r < 3; ++r)
        axis[r] = s[c] * (m[r * 4] * rotation[0][c] + m[r * 4 + 1] * rotation[1][c] + m[r * 4 + 2] * rotation[2][c]);
      const float rx = fx / z * (axis[0] - u * axis[2]), ry = fy / z * (axis[1] - v * axis[2]);
      xx += rx * rx, xy += rx * ry, yy += ry * ry;
    }
    const float det = xx * yy - xy * xy;
    if (det <= 0) continue;
    const float reach = std::min(3.33f, std::sqrt(2 * std::log(255 * opacity)));
    const float radius_x = std::ceil(reach * std::sqrt(xx)), radius_y = std::ceil(reach * std::sqrt(yy));
    const float u2d = fx * x / z + cx, v2d = fy * y / z + cy;
    if (u2d + radius_x <= 0 || u2d - radius_x >= width || v2d + radius_y <= 0 || v2d - radius_y >= height) continue;

    const float away[3] = {p[0] - eye[0], p[1] - eye[1], p[2] - eye[2]};
    const float distance = std::sqrt(away[0] * away[0] + away[1] * away[1] + away[2] * away[2]);
    const float direction[3] = {away[0] / distance, away[1] / distance, away[2] / distance};
    Splat2d splat = {u2d, v2d, yy / det, -xy / det, xx / det, opacity, {}};
    colour_of(scene.sh + id * scene.k * 3, scene.k, direction, splat.rgb);
    const int x0 = std::max(0, static_cast<int>(std::floor((u2d - radius_x) / TILE)));
    const int y0 = std::max(0, static_cast<int>(std::floor((v2d - radius_y) / TILE)));
    const int x1 = std::min(columns, static_cast<int>(std::ceil((u2d + radius_x) / TILE)));
    const int y1 = std::min(rows, static_cast<int>(std::ceil((v2d + radius_y) / TILE)));
    uint32_t depth;
    std::memcpy(&depth, &z, 4);
    for (int row = y0; row < y1; ++row)
      for (int column = x0; column < x1; ++column)
        pairs.push_back({static_cast<uint64_t>(row * columns + column) << 32 | depth, static_cast<uint32_t>(splats.size())});
    splats.push_back(splat);
  }
  std::sort(pairs.begin(), pairs.end(),
            [](const Pair& a, const Pair& b) { return a.key != b.key ? a.key < b.key : a.splat < b.splat; });

  const size_t plane = static_cast<size_t>(height) * width;
  size_t begin = 0;
  for (int tile = 0; tile < columns * rows; ++tile) {
    size_t end = begin;
    while (end < pairs.size() && static_cast<int>(pairs[end].key >> 32) == tile) ++end;
    const int left = tile % columns * TILE, top = tile / columns * TILE;
    for (int row = top; row < std::min(top + TILE, height); ++row) {
      for (int column = left; column < std::min(left + TILE, width); ++column) {
        float transmittance = 1, rgb[3] = {0, 0, 0};
        for (size_t i = begin; i < end; ++i) {
          const Splat2d& splat = splats[pairs[i].splat];
          const float dx = column + 0.5f - splat.x, dy = row + 0.5f - splat.y;
          const float sigma = 0.5f * (splat.xx * dx * dx + splat.yy * dy * dy) + splat.xy * dx * dy;
          if (sigma < 0) continue;
          const float alpha = std::min(0.999f, splat.opacity * std::exp(-sigma));
          if (alpha < 1 / 255.0f) continue;
          const float next = transmittance * (1 - alpha);
          if (next <= 1e-4f) break;
          for (int c = 0; c < 3; ++c) rgb[c] += transmittance * alpha * splat.rgb[c];
          transmittance = next;
        }
        const size_t pixel = static_cast<size_t>(row) * width + column;
        for (int c = 0; c < 3; ++c) images[c * plane + pixel] = rgb[c];
        images[3 * plane + pixel] = 1 - transmittance;
      }
    }
    begin = end;
  }
}

}  // namespace wl
