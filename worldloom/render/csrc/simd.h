// Sixteen lanes of `real`, one 4x4 block of pixels or sixteen Gaussians, on whatever vectors the instruction set has.
// Included by kernels.inc only, inside one namespace for each instruction set.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if WL_ISA_avx512 || WL_ISA_avx2
#include <immintrin.h>
#endif

namespace wl {
namespace WL_ISA {

// 2^f on [-1/2, 1/2], minimax in relative error: 2.6e-6.
constexpr float EXP2_0 = 0.9999992614f, EXP2_1 = 0.6931218147f, EXP2_2 = 0.2402474484f, EXP2_3 = 0.05591786028f,
                EXP2_4 = 0.009570101434f;

#if WL_ISA_avx512

using real = float;
struct F {
  __m512 v;
};
struct M {
  __mmask16 v;
};
inline F load(const real* p) { return {_mm512_loadu_ps(p)}; }
inline void store(real* p, F a) { _mm512_storeu_ps(p, a.v); }
inline F splat(real s) { return {_mm512_set1_ps(s)}; }
inline F operator+(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F operator-(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F operator*(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F operator/(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F fnma(F a, F b, F c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
inline F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F abs(F a) { return {_mm512_abs_ps(a.v)}; }
inline F sqrt(F a) { return {_mm512_sqrt_ps(a.v)}; }
inline F ceil(F a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)}; }
inline F floor(F a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}; }
inline M operator<(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline M operator<=(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
inline M operator>(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
inline M operator>=(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
inline M operator&(M a, M b) { return {static_cast<__mmask16>(a.v & b.v)}; }
inline M operator|(M a, M b) { return {static_cast<__mmask16>(a.v | b.v)}; }
inline M operator~(M a) { return {static_cast<__mmask16>(~a.v)}; }
inline F select(M m, F a, F b) { return {_mm512_mask_mov_ps(b.v, m.v, a.v)}; }
inline F keep(M m, F a) { return {_mm512_maskz_mov_ps(m.v, a.v)}; }
inline unsigned bits(M m) { return m.v; }
inline M mask_from_bits(unsigned b) { return {static_cast<__mmask16>(b)}; }
// 2^x for x < 126, 0 far below; relative error 3e-6.
inline F exp2(F x) {
  const __m512 whole = _mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const F f = {_mm512_sub_ps(x.v, whole)};
  const F p = fma(fma(fma(fma(splat(EXP2_4), f, splat(EXP2_3)), f, splat(EXP2_2)), f, splat(EXP2_1)), f, splat(EXP2_0));
  return {_mm512_scalef_ps(p.v, whole)};
}
// Append base + lane for each set lane to list; at least 16 entries must fit.
inline int append_lanes(int32_t* list, int count, M m, int base) {
  const __m512i lanes =
      _mm512_add_epi32(_mm512_set1_epi32(base), _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  // Compressed in a register: compressing into memory is microcoded and slow on AMD Zen 4.
  _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(m.v, lanes));
  return count + __builtin_popcount(m.v);
}
inline __m512 fold8(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}
inline __m512 fold4(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}
inline __m512 fold2(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}
inline __m512 fold1(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}
// out[ROW_SLOT[i]] += sum over lanes of v[i], for ten vectors; the sums of one tree, in a fixed order.
constexpr int ROW_SLOT[10] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6};
inline void add_sums(real* out, const F* v) {
  const __m512 ab = fold8(v[0].v, v[1].v), cd = fold8(v[2].v, v[3].v), ef = fold8(v[4].v, v[5].v),
               gh = fold8(v[6].v, v[7].v), ij = fold8(v[8].v, v[9].v);
  const __m512 abcd = fold4(ab, cd), efgh = fold4(ef, gh), ijij = fold4(ij, ij);
  const __m512 s = fold1(fold2(abcd, efgh), fold2(ijij, ijij));
  _mm512_storeu_ps(out, _mm512_add_ps(_mm512_loadu_ps(out), s));
}

#elif WL_ISA_avx2

using real = float;
struct F {
  __m256 lo, hi;
};
struct M {
  __m256 lo, hi;
};
inline F load(const real* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(real* p, F a) { _mm256_storeu_ps(p, a.lo), _mm256_storeu_ps(p + 8, a.hi); }
inline F splat(real s) { return {_mm256_set1_ps(s), _mm256_set1_ps(s)}; }
#define WL_BINARY(name, op) \
  inline F name(F a, F b) { return {op(a.lo, b.lo), op(a.hi, b.hi)}; }
WL_BINARY(operator+, _mm256_add_ps)
WL_BINARY(operator-, _mm256_sub_ps)
WL_BINARY(operator*, _mm256_mul_ps)
WL_BINARY(operator/, _mm256_div_ps)
WL_BINARY(min, _mm256_min_ps)
WL_BINARY(max, _mm256_max_ps)
#undef WL_BINARY
inline F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
inline F fnma(F a, F b, F c) { return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)}; }
inline F abs(F a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline F sqrt(F a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
inline F ceil(F a) { return {_mm256_ceil_ps(a.lo), _mm256_ceil_ps(a.hi)}; }
inline F floor(F a) { return {_mm256_floor_ps(a.lo), _mm256_floor_ps(a.hi)}; }
#define WL_COMPARE(name, code) \
  inline M name(F a, F b) { return {_mm256_cmp_ps(a.lo, b.lo, code), _mm256_cmp_ps(a.hi, b.hi, code)}; }
WL_COMPARE(operator<, _CMP_LT_OQ)
WL_COMPARE(operator<=, _CMP_LE_OQ)
WL_COMPARE(operator>, _CMP_GT_OQ)
WL_COMPARE(operator>=, _CMP_GE_OQ)
#undef WL_COMPARE
inline M operator&(M a, M b) { return {_mm256_and_ps(a.lo, b.lo), _mm256_and_ps(a.hi, b.hi)}; }
inline M operator|(M a, M b) { return {_mm256_or_ps(a.lo, b.lo), _mm256_or_ps(a.hi, b.hi)}; }
inline M operator~(M a) {
  const __m256 ones = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
  return {_mm256_xor_ps(a.lo, ones), _mm256_xor_ps(a.hi, ones)};
}
inline F select(M m, F a, F b) { return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)}; }
inline F keep(M m, F a) { return {_mm256_and_ps(a.lo, m.lo), _mm256_and_ps(a.hi, m.hi)}; }
inline unsigned bits(M m) {
  return static_cast<unsigned>(_mm256_movemask_ps(m.lo)) | static_cast<unsigned>(_mm256_movemask_ps(m.hi)) << 8;
}
inline M mask_from_bits(unsigned b) {
  const __m256i place = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  auto half = [&](unsigned h) {
    const __m256i all = _mm256_set1_epi32(static_cast<int>(h));
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, place), place));
  };
  return {half(b & 255), half(b >> 8)};
}
inline F exp2(F x) {
  const int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  x = max(x, splat(-100));  // the exponent is put together by hand and must not wrap round
  const F whole = {_mm256_round_ps(x.lo, nearest), _mm256_round_ps(x.hi, nearest)};
  const F f = x - whole;
  const F p = fma(fma(fma(fma(splat(EXP2_4), f, splat(EXP2_3)), f, splat(EXP2_2)), f, splat(EXP2_1)), f, splat(EXP2_0));
  auto scale = [](__m256 a, __m256 n) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
  };
  return {scale(p.lo, whole.lo), scale(p.hi, whole.hi)};
}
constexpr int ROW_SLOT[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
inline void add_sums(real* out, const F* v) {
  __m256 s[10];
  for (int i = 0; i < 10; ++i) s[i] = _mm256_add_ps(v[i].lo, v[i].hi);
  auto four = [](const __m256* q) {
    const __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(q[0], q[1]), _mm256_hadd_ps(q[2], q[3]));
    return _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
  };
  const __m256 last = _mm256_hadd_ps(s[8], s[9]);
  const __m256 pair = _mm256_hadd_ps(last, last);
  _mm_storeu_ps(out, _mm_add_ps(_mm_loadu_ps(out), four(s)));
  _mm_storeu_ps(out + 4, _mm_add_ps(_mm_loadu_ps(out + 4), four(s + 4)));
  const __m128 tail = _mm_add_ps(_mm256_castps256_ps128(pair), _mm256_extractf128_ps(pair, 1));
  _mm_storeu_ps(out + 8, _mm_add_ps(_mm_loadu_ps(out + 8), tail));
}

#else

#ifdef WL_REAL
using real = WL_REAL;
#else
using real = float;
#endif
struct F {
  real v[16];
};
struct M {
  uint8_t v[16];
};
#define WL_LANES(type, expression)                   \
  {                                                  \
    type r;                                          \
    for (int i = 0; i < 16; ++i) r.v[i] = expression; \
    return r;                                        \
  }
inline F load(const real* p) WL_LANES(F, p[i])
inline void store(real* p, F a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
inline F splat(real s) WL_LANES(F, s)
inline F operator+(F a, F b) WL_LANES(F, a.v[i] + b.v[i])
inline F operator-(F a, F b) WL_LANES(F, a.v[i] - b.v[i])
inline F operator*(F a, F b) WL_LANES(F, a.v[i] * b.v[i])
inline F operator/(F a, F b) WL_LANES(F, a.v[i] / b.v[i])
inline F fma(F a, F b, F c) WL_LANES(F, a.v[i] * b.v[i] + c.v[i])
inline F fnma(F a, F b, F c) WL_LANES(F, c.v[i] - a.v[i] * b.v[i])
inline F min(F a, F b) WL_LANES(F, a.v[i] < b.v[i] ? a.v[i] : b.v[i])
inline F max(F a, F b) WL_LANES(F, a.v[i] > b.v[i] ? a.v[i] : b.v[i])
inline F abs(F a) WL_LANES(F, std::fabs(a.v[i]))
inline F sqrt(F a) WL_LANES(F, std::sqrt(a.v[i]))
inline F ceil(F a) WL_LANES(F, std::ceil(a.v[i]))
inline F floor(F a) WL_LANES(F, std::floor(a.v[i]))
inline M operator<(F a, F b) WL_LANES(M, a.v[i] < b.v[i])
inline M operator<=(F a, F b) WL_LANES(M, a.v[i] <= b.v[i])
inline M operator>(F a, F b) WL_LANES(M, a.v[i] > b.v[i])
inline M operator>=(F a, F b) WL_LANES(M, a.v[i] >= b.v[i])
inline M operator&(M a, M b) WL_LANES(M, a.v[i] & b.v[i])
inline M operator|(M a, M b) WL_LANES(M, a.v[i] | b.v[i])
inline M operator~(M a) WL_LANES(M, a.v[i] ^ 1)
inline F select(M m, F a, F b) WL_LANES(F, m.v[i] ? a.v[i] : b.v[i])
inline F keep(M m, F a) WL_LANES(F, m.v[i] ? a.v[i] : 0)
inline unsigned bits(M m) {
  unsigned b = 0;
  for (int i = 0; i < 16; ++i) b |= static_cast<unsigned>(m.v[i]) << i;
  return b;
}
inline M mask_from_bits(unsigned b) WL_LANES(M, b >> i & 1)
inline F exp2(F x) WL_LANES(F, std::exp2(x.v[i]))
#undef WL_LANES
constexpr int ROW_SLOT[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
inline void add_sums(real* out, const F* v) {
  for (int k = 0; k < 10; ++k) {
    real s[8];
    for (int i = 0; i < 8; ++i) s[i] = v[k].v[i] + v[k].v[i + 8];
    for (int i = 0; i < 4; ++i) s[i] += s[i + 4];
    out[k] += (s[0] + s[2]) + (s[1] + s[3]);
  }
}

#endif

#if !WL_ISA_avx512
inline int append_lanes(int32_t* list, int count, M m, int base) {
  for (unsigned b = bits(m); b; b &= b - 1) list[count++] = base + __builtin_ctz(b);
  return count;
}
#endif

}  // namespace WL_ISA
}  // namespace wl
