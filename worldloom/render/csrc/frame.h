// The plain data that the stages of the rasterizer pass on. No functions: this header is compiled for several
// instruction sets, and the linker would keep only one copy of each.
#pragma once
#include <cstdint>

namespace wl {

constexpr int TILE = 16;      // pixels; a tile is sixteen blocks
constexpr int BLOCK = 4;      // pixels; a block is sixteen lanes
constexpr int CHUNK = 1024;   // Gaussians of one projection task
constexpr int BATCH = 128;    // splats of a tile list held in L1 at once
constexpr int ROW = 12;       // numbers in a gradient row; ten are used
constexpr int AHEAD = 20;     // Gaussians between a prefetch and its use
constexpr int SPARE = 16;     // entries past the end of a list that a vector store may touch

struct Box {
  uint16_t x0, y0, x1, y1;  // tiles, end exclusive
};

// One visible Gaussian on the image plane. log2 alpha = log2_opacity + a dx^2 + b dx dy + c dy^2.
template <class T>
struct alignas(64) Splat {
  T x, y, a, b, c, log2_opacity;
  T value[4];      // red, green, blue, z
  T half_x, half_y;  // the box outside which alpha < 1/255
  uint32_t row;      // first gradient row, counted from the chunk's first
  int32_t radius_x, radius_y;  // the box, rounded up
};

template <class T>
struct Scene {
  int64_t n;
  int k, e;  // spherical-harmonic coefficients, extra channels
  const T *means, *quats, *scales, *opacities, *sh, *extra;
};

template <class T>
struct View {
  T rotation[9], translation[3], eye[3];  // camera from world; camera centre in the world
  T fx, fy, cx, cy;
  T near, far;
  int width, height, columns, rows;  // pixels; tiles
  bool antialiased;
};

template <class T>
struct Arrays {
  Splat<T>* splats;        // [n], written where visible
  Box* boxes;              // [n], written where visible
  int32_t* ids;            // [chunks * CHUNK + SPARE] visible Gaussians of chunk i from i * CHUNK on, ascending
  float* depths;           // like ids
  int32_t* id_count;       // [chunks]
  uint32_t* pair_count;    // [chunks] (tile, splat) pairs
  uint32_t* pair_start;    // [chunks] first gradient row of each chunk
  uint32_t* tile_start;    // [tiles + 1]
  int32_t* list;           // [pairs + AHEAD] Gaussians of each tile, front to back; then any Gaussian
  T* transmittance;        // [tiles * 256] in block order; these three only where a backward pass may follow
  T* last;                 // [tiles * 256] place in the tile's list of the last blended splat, -1 for none
};

template <class T>
struct Images {
  T *rgb, *alpha, *depth, *median;  // planar
  bool* median_valid;
  T* extra;
};

// Gradients of the loss with respect to the images; null where there is none. `depth_image` is the forward result.
template <class T>
struct ImageGradients {
  const T *rgb, *alpha, *depth, *extra, *depth_image;
};

template <class T>
struct SceneGradients {
  T *means, *quats, *scales, *opacities, *sh, *extra, *means2d;
  T* rows;            // [pairs * ROW]
  uint8_t* touched;   // [pairs] whether the row was written
  T* geometry;        // [n * 6] row sums of the extra channels' passes, or null
  double* camera;     // [chunks * 15] rotation, translation, eye
};

template <class T>
struct Kernels {
  void (*project)(const Scene<T>&, const View<T>&, const Arrays<T>&, int64_t chunk);
  // channel < 0: rgb, alpha and depths; else four extra channels from `channel` on.
  void (*blend)(const Scene<T>&, const View<T>&, const Arrays<T>&, const Images<T>&, int tile, int channel);
  void (*unblend)(const Scene<T>&, const View<T>&, const Arrays<T>&, const ImageGradients<T>&, const SceneGradients<T>&,
                  int tile, int channel);
  void (*gather_extra)(const Scene<T>&, const Arrays<T>&, const SceneGradients<T>&, int64_t chunk, int channel);
  void (*unproject)(const Scene<T>&, const View<T>&, const Arrays<T>&, const SceneGradients<T>&, int64_t chunk);
};

}  // namespace wl
