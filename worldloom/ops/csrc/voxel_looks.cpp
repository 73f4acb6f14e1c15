// Walks from an eye to many voxels (Amanatides and Woo 1987), sixteen at a time. Compiled once per instruction set,
// without fused multiply-adds, so that every machine and the torch twin get the same bits.
#include "voxel_looks.h"

#include <cmath>
#include <cstring>
#include <limits>
#if defined(WL_ISA_avx512)
#include <immintrin.h>
#endif

namespace wl {
namespace WL_ISA {
namespace {

#define WL_INLINE __attribute__((always_inline)) inline

#if defined(WL_ISA_avx512)
constexpr int kVector = 8;
#elif defined(WL_ISA_avx2)
constexpr int kVector = 4;
#else
constexpr int kVector = 1;
#endif
constexpr int kVectors = kLookLanes / kVector;
typedef double Real __attribute__((vector_size(kVector * sizeof(double))));
typedef int64_t Whole __attribute__((vector_size(kVector * sizeof(int64_t))));

constexpr double kNever = std::numeric_limits<double>::infinity();

WL_INLINE double larger(double a, double b) { return a < b ? b : a; }
WL_INLINE double smaller(double a, double b) { return b < a ? b : a; }
WL_INLINE int64_t clamped(int64_t at, int64_t size) { return at < 0 ? 0 : at >= size ? size - 1 : at; }

// The state of sixteen walks. Every axis takes exactly the steps that lead to the goal, so that rounding can change
// the order of two steps at an edge, but never the end.
struct Walks {
  alignas(64) double next[3][kLookLanes];   // where the ray crosses into the next voxel, as a share of its length
  alignas(64) double delta[3][kLookLanes];  // between two crossings
  alignas(64) double left[3][kLookLanes];   // crossings to come
  alignas(64) int64_t step[3][kLookLanes];  // in voxels
  alignas(64) int64_t cell[kLookLanes];
  alignas(64) int64_t total[kLookLanes];  // voxels to visit before the goal; below 0: nothing can hide it
  alignas(64) int64_t rest[kLookLanes];   // blocked voxels that may still come; below 0: hidden
  int64_t end[kLookLanes];                // the free voxel before the face that is looked at; -1: there is none
};

// Where to look for a voxel: a free one at its centre, an occupied one at the middle of a face that borders on a free
// voxel (or on nothing), the one turned most to the eye; at its centre if all faces on the eye's side are covered.
// `goal` is the voxel in which the look ends. False: it ends outside.
WL_INLINE bool aim(const LookTask& task, int64_t cell, double* target, int64_t* goal) {
  goal[0] = cell / task.stride[0];
  goal[1] = (cell - goal[0] * task.stride[0]) / task.stride[1];
  goal[2] = cell - goal[0] * task.stride[0] - goal[1] * task.stride[1];
  for (int a = 0; a < 3; ++a) target[a] = static_cast<double>(goal[a]) + 0.5;
  if (!task.wall[cell]) return true;
  int best = -1;
  int64_t side = 0;
  double most = 0.5;  // an eye nearer than half a voxel to the centre's plane is not on that face's side
  for (int a = 0; a < 3; ++a) {
    const double away = task.eye[a] - target[a];
    const double size = away < 0 ? -away : away;
    if (!(size > most)) continue;
    const int64_t step = away > 0 ? 1 : -1, next = goal[a] + step;
    if (next >= 0 && next < task.shape[a] && task.wall[cell + step * task.stride[a]]) continue;
    most = size, best = a, side = step;
  }
  if (best < 0) return true;
  target[best] += 0.5 * static_cast<double>(side);
  goal[best] += side;
  return goal[best] >= 0 && goal[best] < task.shape[best];
}

// Set lane `l` to the start of the walk to voxel `wanted`.
WL_INLINE void start(const LookTask& task, int64_t wanted, Walks& walks, int l) {
  double target[3], along[3];
  int64_t goal[3];
  walks.total[l] = -1, walks.rest[l] = task.pierce, walks.cell[l] = wanted, walks.end[l] = -1;
  for (int a = 0; a < 3; ++a)
    walks.next[a][l] = kNever, walks.delta[a][l] = 0, walks.left[a][l] = 0, walks.step[a][l] = 0;
  if (!aim(task, wanted, target, goal)) return;  // a face on the grid's border, seen from outside
  const int64_t last = goal[0] * task.stride[0] + goal[1] * task.stride[1] + goal[2] * task.stride[2];
  if (last != wanted) walks.end[l] = last;
  double enter = 0.0;                            // where the ray comes into the grid, as a share of its length
  for (int a = 0; a < 3; ++a) {
    along[a] = target[a] - task.eye[a];
    if (along[a] == 0.0) continue;
    const double size = static_cast<double>(task.shape[a]);
    enter = larger(enter, smaller((0.0 - task.eye[a]) / along[a], (size - task.eye[a]) / along[a]));
  }
  int64_t total = 0, cell = 0;
  for (int a = 0; a < 3; ++a) {
    int64_t at = static_cast<int64_t>(std::floor(task.eye[a]));
    if (enter > 0.0)
      at = clamped(static_cast<int64_t>(std::floor(task.eye[a] + enter * along[a])), task.shape[a]);
    const int64_t left = goal[a] > at ? goal[a] - at : at - goal[a], sign = goal[a] > at ? 1 : -1;
    cell += at * task.stride[a];
    total += left;
    if (!left) continue;
    walks.left[a][l] = static_cast<double>(left);
    walks.step[a][l] = sign * task.stride[a];
    walks.delta[a][l] = static_cast<double>(sign) / along[a];
    walks.next[a][l] = (static_cast<double>(at + (sign > 0)) - task.eye[a]) / along[a];
  }
  if (total == 0) return;
  walks.cell[l] = cell;
  walks.total[l] = total - 1;
  // An eye sees out of its own voxel, even if that is blocked.
  if (task.wall[cell] && enter > 0.0) --walks.rest[l];
}

template <class T>
WL_INLINE T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

#if defined(WL_ISA_avx512)

// Takes steps until all walks have ended; the number of rows of `path` that were written. Row k holds the free voxels
// that the walks were in after step k, -1 for none.
template <bool carve>
WL_INLINE int64_t walk(const LookTask& task, Walks& walks, int32_t* path) {
  const __m512d never = _mm512_set1_pd(kNever), one = _mm512_set1_pd(1.0);
  const __m512i unit = _mm512_set1_epi64(1), low = _mm512_set1_epi64(31);
  __m512d next[kVectors][3], left[kVectors][3];
  __m512i cell[kVectors], total[kVectors], rest[kVectors];
  __mmask8 going[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const int from = v * kVector;
    for (int a = 0; a < 3; ++a)
      next[v][a] = _mm512_load_pd(walks.next[a] + from), left[v][a] = _mm512_load_pd(walks.left[a] + from);
    cell[v] = _mm512_load_si512(walks.cell + from), total[v] = _mm512_load_si512(walks.total + from);
    rest[v] = _mm512_load_si512(walks.rest + from);
    going[v] = _mm512_cmpgt_epi64_mask(total[v], _mm512_setzero_si512());
    going[v] &= _mm512_cmpge_epi64_mask(rest[v], _mm512_setzero_si512());
  }
  int64_t rows = 1;
  for (int more = 1; more; ++rows) {
    more = 0;
    for (int v = 0; v < kVectors; ++v) {
      __m512d* n = next[v];
      __mmask8 turn[3];
      turn[0] = _mm512_mask_cmp_pd_mask(going[v], n[0], n[1], _CMP_LE_OQ);
      turn[0] = _mm512_mask_cmp_pd_mask(turn[0], n[0], n[2], _CMP_LE_OQ);
      turn[1] = _mm512_mask_cmp_pd_mask(going[v] & ~turn[0], n[1], n[2], _CMP_LE_OQ);
      turn[2] = going[v] & ~turn[0] & ~turn[1];
      for (int a = 0; a < 3; ++a) {
        const int from = v * kVector;
        cell[v] = _mm512_mask_add_epi64(cell[v], turn[a], cell[v], _mm512_load_si512(walks.step[a] + from));
        left[v][a] = _mm512_mask_sub_pd(left[v][a], turn[a], left[v][a], one);
        n[a] = _mm512_mask_add_pd(n[a], turn[a], n[a], _mm512_load_pd(walks.delta[a] + from));
        n[a] = _mm512_mask_mov_pd(n[a], _mm512_mask_cmp_pd_mask(turn[a], left[v][a], one, _CMP_LT_OQ), never);
      }
      const __m256i words = _mm512_mask_i64gather_epi32(
          _mm256_setzero_si256(), going[v], _mm512_srli_epi64(cell[v], 5), task.bits, 4);
      const __m512i bit = _mm512_sllv_epi64(unit, _mm512_and_si512(cell[v], low));
      const __mmask8 wall = _mm512_mask_test_epi64_mask(going[v], _mm512_cvtepu32_epi64(words), bit);
      if (carve) {
        const __m512i free_cell = _mm512_mask_mov_epi64(_mm512_set1_epi64(-1), going[v] & ~wall, cell[v]);
        _mm256_storeu_si256((__m256i*)(path + rows * kLookLanes + v * kVector), _mm512_cvtepi64_epi32(free_cell));
      }
      rest[v] = _mm512_mask_sub_epi64(rest[v], wall, rest[v], unit);
      total[v] = _mm512_mask_sub_epi64(total[v], going[v], total[v], unit);
      going[v] = _mm512_mask_cmpgt_epi64_mask(going[v], total[v], _mm512_setzero_si512());
      going[v] = _mm512_mask_cmpge_epi64_mask(going[v], rest[v], _mm512_setzero_si512());
      more |= going[v];
    }
  }
  for (int v = 0; v < kVectors; ++v) _mm512_store_si512(walks.rest + v * kVector, rest[v]);
  return rows;
}

#else

WL_INLINE Whole wall_at(const LookTask& task, Whole cell) {
  typedef uint32_t Words __attribute__((vector_size(kVector * sizeof(uint32_t))));
  Words words;
  for (int l = 0; l < kVector; ++l) words[l] = task.bits[cell[l] >> 5];
  return __builtin_convertvector(words, Whole) >> (cell & 31) & 1;
}

// One step of some walks that have not ended; how many may still go on is in the returned mask.
template <bool carve>
WL_INLINE Whole advance(const LookTask& task, Walks& walks, int from, int32_t* path) {
  Whole total = load<Whole>(walks.total + from), rest = load<Whole>(walks.rest + from);
  Whole cell = load<Whole>(walks.cell + from);
  const Whole going = (total > 0) & (rest >= 0);
  Real n[3], left[3];
  for (int a = 0; a < 3; ++a) n[a] = load<Real>(walks.next[a] + from), left[a] = load<Real>(walks.left[a] + from);
  Whole turn[3];
  turn[0] = (n[0] <= n[1]) & (n[0] <= n[2]);
  turn[1] = ~turn[0] & (n[1] <= n[2]);
  turn[2] = ~turn[0] & ~turn[1];
  const Real never = Real{} + kNever;
  for (int a = 0; a < 3; ++a) {
    const Whole mine = turn[a] & going;
    cell += load<Whole>(walks.step[a] + from) & mine;
    left[a] = mine ? left[a] - 1.0 : left[a];
    const Real later = left[a] > 0.0 ? n[a] + load<Real>(walks.delta[a] + from) : never;
    n[a] = mine ? later : n[a];
    std::memcpy(walks.next[a] + from, &n[a], sizeof(Real));
    std::memcpy(walks.left[a] + from, &left[a], sizeof(Real));
  }
  const Whole wall = wall_at(task, cell);
  rest -= wall & going;
  total += going;  // going is -1
  std::memcpy(walks.cell + from, &cell, sizeof(Whole));
  std::memcpy(walks.rest + from, &rest, sizeof(Whole));
  std::memcpy(walks.total + from, &total, sizeof(Whole));
  if (carve) {
    const Whole free_cell = going & (wall == 0) ? cell : Whole{} - 1;
    for (int l = 0; l < kVector; ++l) path[from + l] = static_cast<int32_t>(free_cell[l]);
  }
  return (total > 0) & (rest >= 0);
}

WL_INLINE bool any(Whole mask) {
  int64_t all = 0;
  for (int l = 0; l < kVector; ++l) all |= mask[l];
  return all != 0;
}

// Takes steps until all walks have ended; the number of rows of `path` that were written. Row k holds the free voxels
// that the walks were in after step k, -1 for none.
template <bool carve>
WL_INLINE int64_t walk(const LookTask& task, Walks& walks, int32_t* path) {
  int64_t rows = 1;
  for (bool more = true; more; ++rows) {
    Whole going = Whole{};
    for (int v = 0; v < kVectors; ++v) going |= advance<carve>(task, walks, v * kVector, path + rows * kLookLanes);
    more = any(going);
  }
  return rows;
}

#endif

// Several threads may set one byte, all to 1.
WL_INLINE void mark(uint8_t* crossed, int64_t cell) {
  if (cell >= 0) __atomic_store_n(crossed + cell, uint8_t{1}, __ATOMIC_RELAXED);
}

template <bool carve>
WL_INLINE void look_through(const LookTask& task, int64_t begin, int64_t end, int32_t* path) {
  Walks walks;
  for (int64_t first = begin; first < end; first += kLookLanes) {
    const int lanes = end - first < kLookLanes ? static_cast<int>(end - first) : kLookLanes;
    for (int l = 0; l < kLookLanes; ++l) {
      start(task, task.cells[first + (l < lanes ? l : 0)], walks, l);
      if (carve) path[l] = walks.total[l] >= 0 && !task.wall[walks.cell[l]] ? static_cast<int32_t>(walks.cell[l]) : -1;
    }
    const int64_t rows = walk<carve>(task, walks, path);
    for (int l = 0; l < lanes; ++l) {
      const bool seen = walks.rest[l] >= 0;
      task.seen[first + l] = seen;
      if (!carve || !seen) continue;
      for (int64_t row = 0; row < rows; ++row) mark(task.crossed, path[row * kLookLanes + l]);
      mark(task.crossed, walks.end[l]);
    }
  }
}

void look(const LookTask& task, int64_t begin, int64_t end, int32_t* scratch) {
  if (task.crossed) look_through<true>(task, begin, end, scratch);
  else look_through<false>(task, begin, end, scratch);
}

}  // namespace

const LookKernels look_kernels{look};

}  // namespace WL_ISA
}  // namespace wl
