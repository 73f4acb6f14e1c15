// The Python face of looking through voxel grids, and the marking of points in one. Compiled without fused
// multiply-adds, so that every machine and the torch twin get the same bits.
#include "voxel_rays.h"

#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "isa.h"
#include "parallel.h"
#include "voxel_looks.h"

namespace nb = nanobind;

namespace wl {
namespace {

template <class T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <class T, int D>
using Out = nb::ndarray<T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;

void require(bool ok, const char* what) {
  if (!ok) throw std::invalid_argument(what);
}

const LookKernels& kernels() {
  switch (active_isa()) {
#ifdef WL_HAVE_avx512
    case Isa::avx512: return avx512::look_kernels;
#endif
#ifdef WL_HAVE_avx2
    case Isa::avx2: return avx2::look_kernels;
#endif
    default: return scalar::look_kernels;
  }
}

// Bit i of `bits` is set to byte i, which is 0 or 1.
void pack(In<uint8_t, 1> from, Out<uint32_t, 1> to) {
  const int64_t num = from.shape(0);
  require(static_cast<int64_t>(to.shape(0)) == (num + 31) / 32, "expected one word for 32 bytes");
  const uint8_t* bytes = from.data();
  uint32_t* bits = to.data();
  std::fill(bits, bits + to.shape(0), 0u);
  int64_t i = 0;
  for (; i + 8 <= num; i += 8) {
    uint64_t eight = 0;
    for (int k = 0; k < 8; ++k) eight |= static_cast<uint64_t>(bytes[i + k]) << (8 * k);  // one load
    // The product gathers the lowest bits of the eight bytes in its highest byte, in their order.
    bits[i >> 5] |= static_cast<uint32_t>(eight * 0x0102040810204080ull >> 56) << (i & 31);
  }
  for (; i < num; ++i) bits[i >> 5] |= static_cast<uint32_t>(bytes[i]) << (i & 31);
}

constexpr int64_t kLooksPerTask = 2048;

// seen[i] = 1 where the eye sees voxel cells[i]; the free voxels on the way to those are set to 1 in `crossed`.
// `bits` are those of `blocked`, packed.
void look(In<uint8_t, 3> blocked, In<uint32_t, 1> bits, In<double, 1> eye, In<int64_t, 1> cells, Out<uint8_t, 1> seen,
          Out<uint8_t, 3> crossed, bool carve, int64_t pierce, int threads) {
  LookTask task{};
  for (int a = 0; a < 3; ++a) task.shape[a] = static_cast<int64_t>(blocked.shape(a));
  task.stride[2] = 1;
  task.stride[1] = task.shape[2];
  task.stride[0] = task.shape[1] * task.shape[2];
  const int64_t num = cells.shape(0), num_cells = task.shape[0] * task.stride[0];
  require(num_cells < INT32_MAX, "expected fewer than 2^31 voxels");
  require(eye.shape(0) == 3 && static_cast<int64_t>(seen.shape(0)) == num, "eye and seen must be [3] and [n]");
  for (int a = 0; a < 3; ++a) {
    task.eye[a] = eye.data()[a];
    require(std::abs(task.eye[a]) < 1e9, "the eye must be within 1e9 voxels");
    require(!carve || static_cast<int64_t>(crossed.shape(a)) == task.shape[a], "crossed must be shaped as blocked");
  }
  task.wall = blocked.data();
  task.cells = cells.data();
  task.seen = seen.data();
  task.crossed = carve ? crossed.data() : nullptr;
  task.pierce = pierce;
  for (int64_t i = 0; i < num; ++i)
    require(task.cells[i] >= 0 && task.cells[i] < num_cells, "cells must lie in the grid");
  require(static_cast<int64_t>(bits.shape(0)) == (num_cells + 31) / 32, "expected the bits of blocked");
  const LookKernels& isa = kernels();
  nb::gil_scoped_release free_python;

  task.bits = bits.data();
  threads = std::max(threads, 1);
  const int64_t scratch_size = longest_walk(task) * kLookLanes;
  std::vector<int32_t> scratch(carve ? threads * scratch_size : 0);
  Pool::get().run(threads, (num + kLooksPerTask - 1) / kLooksPerTask, [&](int64_t i, int worker) {
    isa.look(task, i * kLooksPerTask, std::min(num, (i + 1) * kLooksPerTask), scratch.data() + worker * (carve ? scratch_size : 0));
  });
}

// best[voxel] = max over the points in it of their value, any[voxel] that of their flags; points are carried into voxel
// units by the affine map first.
void mark_points(In<float, 2> points, In<uint8_t, 1> values, In<uint8_t, 1> flags, In<double, 2> voxel_from_points,
                 Out<uint8_t, 3> best, Out<uint8_t, 3> any) {
  const int64_t num = points.shape(0);
  require(points.shape(1) == 3 && static_cast<int64_t>(values.shape(0)) == num, "points and values must be [n, 3], [n]");
  require(static_cast<int64_t>(flags.shape(0)) == num, "flags must be [n]");
  for (int a = 0; a < 3; ++a) require(any.shape(a) == best.shape(a), "any must be shaped as best");
  require(voxel_from_points.shape(0) == 3 && voxel_from_points.shape(1) == 4, "the affine map must be [3, 4]");
  const int64_t sx = best.shape(0), sy = best.shape(1), sz = best.shape(2);
  const float* p = points.data();
  const uint8_t *v = values.data(), *f = flags.data();
  uint8_t *to = best.data(), *flagged = any.data();
  double m[12];
  std::copy(voxel_from_points.data(), voxel_from_points.data() + 12, m);
  nb::gil_scoped_release free_python;

  for (int64_t i = 0; i < num; ++i, p += 3) {
    const double px = p[0], py = p[1], pz = p[2];
    const double x = ((m[0] * px + m[1] * py) + m[2] * pz) + m[3];
    if (!(x >= 0.0 && x < static_cast<double>(sx))) continue;
    const double y = ((m[4] * px + m[5] * py) + m[6] * pz) + m[7];
    if (!(y >= 0.0 && y < static_cast<double>(sy))) continue;
    const double z = ((m[8] * px + m[9] * py) + m[10] * pz) + m[11];
    if (!(z >= 0.0 && z < static_cast<double>(sz))) continue;
    const int64_t cell = (static_cast<int64_t>(x) * sy + static_cast<int64_t>(y)) * sz + static_cast<int64_t>(z);
    to[cell] = std::max(to[cell], v[i]);
    flagged[cell] = std::max(flagged[cell], f[i]);
  }
}

}  // namespace

void bind_voxel_rays(nb::module_& m) {
  using namespace nb::literals;
  m.def("pack", &pack, "bytes"_a.noconvert(), "bits"_a.noconvert());
  m.def("look", &look, "blocked"_a.noconvert(), "bits"_a.noconvert(), "eye"_a.noconvert(), "cells"_a.noconvert(),
        "seen"_a.noconvert(), "crossed"_a.noconvert(), "carve"_a, "pierce"_a, "threads"_a);
  m.def("mark_points", &mark_points, "points"_a.noconvert(), "values"_a.noconvert(), "flags"_a.noconvert(),
        "voxel_from_points"_a.noconvert(), "best"_a.noconvert(), "any"_a.noconvert());
}

}  // namespace wl
