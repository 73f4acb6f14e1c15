#include "sparse_kernels.h"

namespace wl {
namespace WL_ISA {
namespace {

#if defined(WL_ISA_avx512)
constexpr int kLanes = 16, kTileRows = 8;  // 8 x 2 accumulators of 32 registers
#elif defined(WL_ISA_avx2)
constexpr int kLanes = 8, kTileRows = 6;  // 6 x 2 accumulators of 16 registers
#else
constexpr int kLanes = 4, kTileRows = 6;  // SSE2 or NEON, whatever the compiler's baseline holds
#endif
constexpr int kPanel = 2 * kLanes;

typedef float vec __attribute__((vector_size(kLanes * 4)));
typedef float unaligned_vec __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

inline vec load(const float* p) { return *reinterpret_cast<const unaligned_vec*>(p); }
inline void store(float* p, vec v) { *reinterpret_cast<unaligned_vec*>(p) = v; }

// ---- Neighbours ------------------------------------------------------------------------------------------------

inline int64_t find_word(const CellIndex& cells, int64_t word) {
  if (!cells.word) return word;
  int64_t slot = hash_slot(word, cells.shift);
  while (cells.word[slot] != word) {
    if (cells.word[slot] < 0) return -1;
    slot = (slot + 1) & (cells.slots - 1);
  }
  return slot;
}

void neighbours(const NeighbourTask& task, int64_t row_begin, int64_t row_end) {
  const Window& window = task.window;
  const CellIndex cells = task.cells;
  const int64_t* shape = task.shape;
  const int64_t volume = window.volume(), last = window.kernel[3];
  const int columns = 1 + task.axes;
  int64_t at[kAxes][kMaxKernel];  // input coordinate of each offset, times the axis' step in cells; -1 outside
  int64_t step[kAxes + 1];
  step[kAxes] = 1;
  for (int axis = kAxes - 1; axis >= 0; --axis) step[axis] = step[axis + 1] * shape[axis];

  for (int64_t row = row_begin; row < row_end; ++row) {
    const int32_t* query = task.queries + row * columns;
    for (int axis = 0; axis < kAxes; ++axis) {
      const int column = axis - (kAxes - task.axes);
      const int64_t from = (column < 0 ? 0 : query[1 + column]) * window.stride[axis] - window.padding[axis];
      for (int64_t k = 0; k < window.kernel[axis]; ++k) {
        const int64_t c = from + k * window.dilation[axis];
        at[axis][k] = c >= 0 && c < shape[axis] ? c * step[axis + 1] : -1;
      }
    }
    const int64_t batch = query[0] * step[0];
    int32_t* out = task.table + row * volume;
    int64_t word = -1;  // the word at hand: neighbours along the last axis mostly share it
    uint64_t mask = 0;
    int32_t first = 0;
    for (int64_t k0 = 0; k0 < window.kernel[0]; ++k0)
      for (int64_t k1 = 0; k1 < window.kernel[1]; ++k1)
        for (int64_t k2 = 0; k2 < window.kernel[2]; ++k2, out += last) {
          if ((at[0][k0] | at[1][k1] | at[2][k2]) < 0) {
            for (int64_t k3 = 0; k3 < last; ++k3) out[k3] = -1;
            continue;
          }
          const int64_t base = batch + at[0][k0] + at[1][k1] + at[2][k2];
          for (int64_t k3 = 0; k3 < last; ++k3) {
            out[k3] = -1;
            if (at[3][k3] < 0) continue;
            const int64_t cell = base + at[3][k3];
            if ((cell >> 6) != word) {
              word = cell >> 6;
              const int64_t slot = find_word(cells, word);
              mask = slot < 0 ? 0 : cells.mask[slot];
              first = slot < 0 ? 0 : cells.first[slot];
            }
            const uint64_t bit = uint64_t{1} << (cell & 63);
            if (mask & bit) {
              const int32_t rank = first + __builtin_popcountll(mask & (bit - 1));
              out[k3] = cells.rows ? cells.rows[rank] : rank;
            }
          }
        }
  }
}

// ---- Convolution: output stationary --------------------------------------------------------------------------

// acc[r] += x[r] @ w for R rows and V vectors of output channels, the accumulators held in registers.
template <int R, int V>
inline void tile(const float* const* x, float* const* acc, const float* w, int64_t depth) {
  vec a[R][V];
  const float* rows[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    rows[r] = x[r];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) a[r][v] = load(acc[r] + v * kLanes);
  }
  for (int64_t c = 0; c < depth; ++c, w += V * kLanes) {
    vec b[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) b[v] = load(w + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const float s = rows[r][c];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) a[r][v] += s * b[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(acc[r] + v * kLanes, a[r][v]);
}

template <int R, int V>
inline void tail(int rest, const float* const* x, float* const* acc, const float* w, int64_t depth) {
  if constexpr (R > 0) {
    if (rest == R) tile<R, V>(x, acc, w, depth);
    else tail<R - 1, V>(rest, x, acc, w, depth);
  }
}

template <int V>
void convolve_panel(const ConvTask& task, int64_t block, const float* weight, int64_t column, float* scratch) {
  constexpr int width = V * kLanes;
  const int64_t volume = task.pairs.volume, depth = task.depth;
  const int64_t row_begin = block * kBlockRows;
  const int64_t left = task.pairs.num_targets - row_begin;
  const int64_t rows = left < kBlockRows ? left : kBlockRows;
  vec initial[V];
  for (int v = 0; v < V; ++v) initial[v] = task.bias ? load(task.bias + column + v * kLanes) : vec{};
  for (int64_t row = 0; row < rows; ++row)
    for (int v = 0; v < V; ++v) store(scratch + row * width + v * kLanes, initial[v]);

  for (int64_t k = 0; k < volume; ++k) {
    const int64_t begin = task.pairs.start[block * volume + k], end = task.pairs.start[block * volume + k + 1];
    const float* w = weight + k * depth * width;
    const float* x[kTileRows];
    float* acc[kTileRows];
    for (int64_t p = begin; p < end; p += kTileRows) {
      const int count = end - p < kTileRows ? static_cast<int>(end - p) : kTileRows;
      for (int r = 0; r < count; ++r) {
        x[r] = task.x + task.pairs.source[p + r] * depth;
        acc[r] = scratch + task.pairs.target[p + r] * width;
      }
      // The next tile's inputs are scattered rows that the hardware cannot foresee.
      const int64_t ahead_end = end < p + 2 * kTileRows ? end : p + 2 * kTileRows;
      for (int64_t ahead = p + kTileRows; ahead < ahead_end; ++ahead) {
        const float* row = task.x + task.pairs.source[ahead] * depth;
        for (int64_t c = 0; c < depth; c += 16) __builtin_prefetch(row + c);
      }
      if (count == kTileRows) tile<kTileRows, V>(x, acc, w, depth);
      else tail<kTileRows - 1, V>(count, x, acc, w, depth);
    }
  }

  const int64_t wanted = task.width - column < width ? task.width - column : width;
  for (int64_t row = 0; row < rows; ++row) {
    float* y = task.y + (row_begin + row) * task.width + column;
    const float* from = scratch + row * width;
    if (wanted == width)
      for (int v = 0; v < V; ++v) store(y + v * kLanes, load(from + v * kLanes));
    else
      for (int64_t c = 0; c < wanted; ++c) y[c] = from[c];
  }
}

void convolve_block(const ConvTask& task, int64_t block, float* scratch) {
  const float* weight = task.weight;
  for (int64_t column = 0; column < task.width; column += kPanel) {
    if (task.width - column > kLanes) {
      convolve_panel<2>(task, block, weight, column, scratch);
      weight += task.pairs.volume * task.depth * kPanel;
    } else {
      convolve_panel<1>(task, block, weight, column, scratch);
    }
  }
}

// ---- Weight gradient -----------------------------------------------------------------------------------------

// total[r] += sum over pairs of x[source][r] * g[target], for R input channels and V vectors of output channels.
template <int R, int V>
inline void outer(const float* x, int64_t depth, const int32_t* source, const float* g, int64_t stride,
                  const int16_t* target, int64_t count, float* total) {
  vec a[R][V] = {};
  for (int64_t p = 0; p < count; ++p) {
    const float* row = x + source[p] * depth;
    const float* grad = g + target[p] * stride;
    vec b[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) b[v] = load(grad + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const float s = row[r];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) a[r][v] += s * b[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* to = total + r * stride + v * kLanes;
      store(to, load(to) + a[r][v]);
    }
}

template <int R, int V>
inline void outer_tail(int rest, const float* x, int64_t depth, const int32_t* source, const float* g, int64_t stride,
                       const int16_t* target, int64_t count, float* total) {
  if constexpr (R > 0) {
    if (rest == R) outer<R, V>(x, depth, source, g, stride, target, count, total);
    else outer_tail<R - 1, V>(rest, x, depth, source, g, stride, target, count, total);
  }
}

void weight_gradient_block(const GradientTask& task, int64_t block, int64_t k_begin, int64_t k_end, float* total,
                           float* scratch) {
  const int64_t volume = task.pairs.volume, depth = task.depth, width = task.width;
  const int64_t stride = (width + kLanes - 1) / kLanes * kLanes;
  const float* g = task.g + block * kBlockRows * width;
  if (stride != width) {  // whole vectors are read below: pad the block's rows with zeros
    const int64_t left = task.pairs.num_targets - block * kBlockRows;
    const int64_t rows = left < kBlockRows ? left : kBlockRows;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t c = 0; c < stride; ++c) scratch[row * stride + c] = c < width ? g[row * width + c] : 0.0f;
    g = scratch;
  }
  for (int64_t k = k_begin; k < k_end; ++k) {
    const int64_t begin = task.pairs.start[block * volume + k];
    const int64_t count = task.pairs.start[block * volume + k + 1] - begin;
    if (count == 0) continue;
    const int32_t* source = task.pairs.source + begin;
    const int16_t* target = task.pairs.target + begin;
    for (int64_t c = 0; c < depth; c += kTileRows) {
      const int rest = depth - c < kTileRows ? static_cast<int>(depth - c) : kTileRows;
      for (int64_t column = 0; column < stride; column += kPanel) {
        const float* x = task.x + c;
        float* to = total + (k * depth + c) * stride + column;
        if (stride - column > kLanes) {
          if (rest == kTileRows) outer<kTileRows, 2>(x, depth, source, g + column, stride, target, count, to);
          else outer_tail<kTileRows - 1, 2>(rest, x, depth, source, g + column, stride, target, count, to);
        } else {
          if (rest == kTileRows) outer<kTileRows, 1>(x, depth, source, g + column, stride, target, count, to);
          else outer_tail<kTileRows - 1, 1>(rest, x, depth, source, g + column, stride, target, count, to);
        }
      }
    }
  }
}

}  // namespace

const SparseKernels sparse_kernels = {kLanes, neighbours, convolve_block, weight_gradient_block};

}  // namespace WL_ISA
}  // namespace wl
