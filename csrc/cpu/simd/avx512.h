// AVX-512 with BW, VL, DQ, VNNI and BF16: vectors of 64 bytes beside AVX2's of 32.
#pragma once
#define TL_LANES 16
#define TL_ANY_BYTE true
#include "avx2.h"

namespace tl::TL_ISA {

typedef Simd<float, 16> f32x16;
typedef Simd<int32_t, 16> i32x16;
typedef Simd<uint32_t, 16> u32x16;
typedef Simd<double, 8> f64x8;
typedef Simd<uint8_t, 64> b64;

// --- memory
// ---------------------------------------------------------------------------------------------------------------

TL_INLINE f32x16 load_masked(const float* p, i32x16 mask) {
  return (f32x16)_mm512_maskz_loadu_ps(_mm512_movepi32_mask((__m512i)mask), p);
}
TL_INLINE f32x16 gather(const float* table, i32x16 index) {
  return (f32x16)_mm512_i32gather_ps((__m512i)index, table, 4);
}

// --- floats
// ---------------------------------------------------------------------------------------------------------------

TL_INLINE f32x16 blend(i32x16 mask, f32x16 a, f32x16 b) {
  return (f32x16)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)mask), (__m512)b, (__m512)a);
}
TL_INLINE bool any(i32x16 mask) { return _mm512_movepi32_mask((__m512i)mask) != 0; }
TL_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return (f32x16)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
TL_INLINE f64x8 fma(f64x8 a, f64x8 b, f64x8 c) {
  return (f64x8)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
TL_INLINE f32x16 max(f32x16 a, f32x16 b) { return (f32x16)_mm512_max_ps((__m512)a, (__m512)b); }
TL_INLINE f32x16 min(f32x16 a, f32x16 b) { return (f32x16)_mm512_min_ps((__m512)a, (__m512)b); }
TL_INLINE f64x8 max(f64x8 a, f64x8 b) { return (f64x8)_mm512_max_pd((__m512d)a, (__m512d)b); }
TL_INLINE f64x8 min(f64x8 a, f64x8 b) { return (f64x8)_mm512_min_pd((__m512d)a, (__m512d)b); }
TL_INLINE f32x16 sqrt(f32x16 x) { return (f32x16)_mm512_sqrt_ps((__m512)x); }
TL_INLINE f64x8 sqrt(f64x8 x) { return (f64x8)_mm512_sqrt_pd((__m512d)x); }
TL_INLINE f32x16 floor(f32x16 x) { return (f32x16)_mm512_roundscale_ps((__m512)x, 0x09); }
TL_INLINE f32x16 ceil(f32x16 x) { return (f32x16)_mm512_roundscale_ps((__m512)x, 0x0a); }
TL_INLINE f32x16 trunc(f32x16 x) { return (f32x16)_mm512_roundscale_ps((__m512)x, 0x0b); }
TL_INLINE f32x16 round(f32x16 x) { return (f32x16)_mm512_roundscale_ps((__m512)x, 0x08); }
TL_INLINE i32x16 round_to_int(f32x16 x) { return (i32x16)_mm512_cvtps_epi32((__m512)x); }
// The instructions give their second operand when one is NaN.
TL_INLINE f32x16 between(f32x16 x, float low, float high) {
  return (f32x16)_mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), (__m512)x));
}
TL_INLINE float max_lane(f32x16 v) {
  const __m512d x = (__m512d)v;
  return max_lane(max((f32x8)_mm512_castpd512_pd256(x), (f32x8)_mm512_extractf64x4_pd(x, 1)));
}
TL_INLINE float sum(f32x16 v) {
  const __m512d x = (__m512d)v;
  return sum((f32x8)_mm512_castpd512_pd256(x) + (f32x8)_mm512_extractf64x4_pd(x, 1));
}

// --- halves
// ---------------------------------------------------------------------------------------------------------------

TL_INLINE u32x16 widen(u16x16 x) { return (u32x16)_mm512_cvtepu16_epi32((__m256i)x); }
TL_INLINE u16x16 narrow(u32x16 x) { return (u16x16)_mm512_cvtepi32_epi16((__m512i)x); }
TL_INLINE f32x16 from_halves(u16x16 x) { return (f32x16)_mm512_cvtph_ps((__m256i)x); }
TL_INLINE u16x16 to_halves(f32x16 x) {
  return (u16x16)_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT);
}

// --- products of small integers
// -------------------------------------------------------------------------------------------

TL_INLINE i32x8 dot4(b32 w, b32 a) {
  return (i32x8)_mm256_dpbusd_epi32(_mm256_setzero_si256(), (__m256i)w, (__m256i)a);
}
TL_INLINE i32x16 dot4(b64 w, b64 a) {
  return (i32x16)_mm512_dpbusd_epi32(_mm512_setzero_si512(), (__m512i)w, (__m512i)a);
}
template <bool kSigned, int kTop, int kHalves>
TL_INLINE i32x8 dot_rows(const b32* x, const b32* q) {
  __m256i sums[4];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) {
#pragma GCC unroll 2
    for (int h = 0; h < kHalves; ++h) {
      b32 w = x[kHalves * p + h], a = q[h];
      if constexpr (kSigned) a = sign32(a, w), w = abs32(w);
      sums[p] =
          _mm256_dpbusd_epi32(h == 0 ? _mm256_setzero_si256() : sums[p], (__m256i)w, (__m256i)a);
    }
  }
  return sum_words<0, -1>(sums[0], sums[1], sums[2], sums[3]);
}
template <int kTop, int kSteps, int kRows>
TL_INLINE void tile_dots(const uint8_t* w, int64_t tile, const int8_t* q, i32x16 (*sums)[2]) {
  __m512i sum[kRows][2] = {};
#pragma GCC unroll 8
  for (int i = 0; i < kSteps; ++i) {
    const __m512i x[] = {_mm512_loadu_si512(w + 64 * i), _mm512_loadu_si512(w + tile + 64 * i)};
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      int32_t four;
      memcpy(&four, q + 32 * r + 4 * i, 4);
      const __m512i a = _mm512_set1_epi32(four);
#pragma GCC unroll 2
      for (int t = 0; t < 2; ++t) sum[r][t] = _mm512_dpbusd_epi32(sum[r][t], x[t], a);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) sums[r][0] = (i32x16)sum[r][0], sums[r][1] = (i32x16)sum[r][1];
}

}  // namespace tl::TL_ISA
