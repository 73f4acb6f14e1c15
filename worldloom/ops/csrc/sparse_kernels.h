// The hot loops of sparse convolution, compiled once per instruction set. Plain pointers only: a std template
// instantiated in an AVX-512 object could be the copy the linker keeps for everyone. Inline functions likewise, so they
// are never left as calls.
#pragma once
#include <cstdint>

namespace wl {

// Output rows of one block. A block's accumulators (512 rows x 32 channels = 64 KiB) and inputs stay in L2, and each
// kernel offset still finds enough rows in it to fill register tiles. Independent of the thread count, so that the
// order of every sum is too.
constexpr int kBlockRows = 512;
constexpr int kMaxKernel = 127;  // per axis
constexpr int kAxes = 4;         // fewer axes are padded in front with size 1

// Which cells of a grid are occupied, 64 cells to a word, and the row of each occupied cell:
// rows[first[w] + (occupied cells of word w before it)]. Words sit in a dense directory, or in a hash table if
// the grid is much larger than the number of rows.
struct CellIndex {
  const uint64_t* mask;
  const int32_t* first;
  const int64_t* word;  // word number held by a hash slot, -1 if free; null: the directory is dense
  int shift;            // 64 - log2(slots)
  int64_t slots;
  const int32_t* rows;  // null: rows are in cell order already
};

#define WL_INLINE __attribute__((always_inline)) inline

WL_INLINE int64_t hash_slot(int64_t word, int shift) {
  return static_cast<int64_t>((static_cast<uint64_t>(word) * 0x9E3779B97F4A7C15ull) >> shift);
}

// in = out * stride - padding + k * dilation, per axis.
struct Window {
  int64_t kernel[kAxes], stride[kAxes], padding[kAxes], dilation[kAxes];
  WL_INLINE int64_t volume() const { return kernel[0] * kernel[1] * kernel[2] * kernel[3]; }
};

struct NeighbourTask {
  CellIndex cells;
  int64_t shape[kAxes];  // of the input grid
  Window window;
  const int32_t* queries;  // [rows, 1 + axes]
  int axes;
  int32_t* table;  // [rows, volume]: input row, or -1
};

// (source row, target row) pairs, grouped by block of target rows, then by kernel offset, target ascending.
struct Pairs {
  int64_t num_targets, num_blocks;
  int64_t volume;
  const int64_t* start;    // [num_blocks * volume + 1]
  const int32_t* source;   // row of the input
  const int16_t* target;   // row within the block
};

struct ConvTask {
  Pairs pairs;
  const float* x;  // [*, depth]
  int64_t depth;
  const float* weight;  // panels of at most two vectors: [panel][volume][depth][panel width], zero padded
  const float* bias;    // padded to whole vectors; null: none
  float* y;             // [num_targets, width]
  int64_t width;
};

struct GradientTask {
  Pairs pairs;
  const float* x;  // [*, depth]
  int64_t depth;
  const float* g;  // [num_targets, width]
  int64_t width;
};

struct SparseKernels {
  int lanes;  // floats of one vector; a panel is two vectors
  void (*neighbours)(const NeighbourTask&, int64_t row_begin, int64_t row_end);
  // scratch: kBlockRows * 2 * lanes floats.
  void (*convolve_block)(const ConvTask&, int64_t block, float* scratch);
  // Adds the block's part of dW[k], k in [k_begin, k_end), to total [volume][depth][width rounded up to lanes].
  // scratch: kBlockRows * (width rounded up to lanes) floats.
  void (*weight_gradient_block)(const GradientTask&, int64_t block, int64_t k_begin, int64_t k_end, float* total,
                                float* scratch);
};

namespace scalar { extern const SparseKernels sparse_kernels; }
namespace avx2 { extern const SparseKernels sparse_kernels; }
namespace avx512 { extern const SparseKernels sparse_kernels; }

}  // namespace wl
