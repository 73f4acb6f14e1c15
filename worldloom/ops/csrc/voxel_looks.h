// Looking through a voxel grid, compiled once per instruction set; all give the same bits. Plain pointers only, as in
// sparse_kernels.h.
#pragma once
#include <cstdint>

namespace wl {

struct LookTask {
  int64_t shape[3], stride[3];
  const uint8_t* wall;   // one byte for each voxel
  const uint32_t* bits;  // the same, 32 voxels to a word
  double eye[3];
  const int64_t* cells;
  uint8_t* seen;
  uint8_t* crossed;  // null: nobody asks
  int64_t pierce;
};

// The longest walk, in voxels.
inline int64_t longest_walk(const LookTask& task) { return task.shape[0] + task.shape[1] + task.shape[2] + 4; }

constexpr int kLookLanes = 16;  // looks that take their steps together

struct LookKernels {
  // Looks [begin, end). scratch: longest_walk * kLookLanes numbers, used if `crossed` is given.
  void (*look)(const LookTask&, int64_t begin, int64_t end, int32_t* scratch);
};

namespace scalar { extern const LookKernels look_kernels; }
namespace avx2 { extern const LookKernels look_kernels; }
namespace avx512 { extern const LookKernels look_kernels; }

}  // namespace wl
