// AVX2 with FMA, F16C and BMI2: the primitives that have instructions of their own. AVX-512
// includes it for vectors of 32 bytes.
#pragma once
#include <immintrin.h>

#ifndef TL_LANES
#define TL_LANES 8
#endif
#ifndef TL_ANY_BYTE
#define TL_ANY_BYTE false
#endif
#include "baseline.h"

namespace tl::TL_ISA {

typedef Simd<double, 4> f64x4;

// --- memory
// ---------------------------------------------------------------------------------------------------------------

TL_INLINE f32x8 load_masked(const float* p, i32x8 mask) {
  return (f32x8)_mm256_maskload_ps(p, (__m256i)mask);
}
TL_INLINE f32x8 gather(const float* table, i32x8 index) {
  return (f32x8)_mm256_i32gather_ps(table, (__m256i)index, 4);
}
TL_INLINE void stream_done() { _mm_sfence(); }
TL_INLINE u64x4 multiply_words(u64x4 a, u64x4 b) {
  return (u64x4)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
TL_INLINE void stream32(void* to, const void* from) {
  _mm256_stream_si256(static_cast<__m256i*>(to),
                      _mm256_loadu_si256(static_cast<const __m256i*>(from)));
}

// --- floats
// ---------------------------------------------------------------------------------------------------------------

TL_INLINE f32x8 blend(i32x8 mask, f32x8 a, f32x8 b) {
  return (f32x8)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask);
}
TL_INLINE bool any(i32x8 mask) { return _mm256_movemask_ps((__m256)mask) != 0; }
TL_INLINE uint32_t top_bits(b32 x) {
  return static_cast<uint32_t>(_mm256_movemask_epi8((__m256i)x));
}
TL_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
TL_INLINE f32x8 fma(f32x8 a, f32x8 b, f32x8 c) {
  return (f32x8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
TL_INLINE f64x4 fma(f64x4 a, f64x4 b, f64x4 c) {
  return (f64x4)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
TL_INLINE f32x8 max(f32x8 a, f32x8 b) { return (f32x8)_mm256_max_ps((__m256)a, (__m256)b); }
TL_INLINE f32x8 min(f32x8 a, f32x8 b) { return (f32x8)_mm256_min_ps((__m256)a, (__m256)b); }
TL_INLINE f64x4 max(f64x4 a, f64x4 b) { return (f64x4)_mm256_max_pd((__m256d)a, (__m256d)b); }
TL_INLINE f64x4 min(f64x4 a, f64x4 b) { return (f64x4)_mm256_min_pd((__m256d)a, (__m256d)b); }
TL_INLINE f32x8 sqrt(f32x8 x) { return (f32x8)_mm256_sqrt_ps((__m256)x); }
TL_INLINE f64x4 sqrt(f64x4 x) { return (f64x4)_mm256_sqrt_pd((__m256d)x); }
TL_INLINE f32x8 floor(f32x8 x) { return (f32x8)_mm256_floor_ps((__m256)x); }
TL_INLINE f32x8 ceil(f32x8 x) { return (f32x8)_mm256_ceil_ps((__m256)x); }
TL_INLINE f32x8 trunc(f32x8 x) { return (f32x8)_mm256_round_ps((__m256)x, 0x0b); }
TL_INLINE f32x8 round(f32x8 x) { return (f32x8)_mm256_round_ps((__m256)x, 0x08); }
TL_INLINE f64x4 round(f64x4 x) { return (f64x4)_mm256_round_pd((__m256d)x, 0x08); }
TL_INLINE i32x8 round_to_int(f32x8 x) { return (i32x8)_mm256_cvtps_epi32((__m256)x); }
// The instructions give their second operand when one is NaN.
TL_INLINE f32x8 between(f32x8 x, float low, float high) {
  return (f32x8)_mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), (__m256)x));
}
TL_INLINE float sum(f32x8 v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
TL_INLINE float max_lane(f32x8 v) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
TL_INLINE float least_lane(f32x8 v) {
  __m128 x = _mm_min_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  x = _mm_min_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_min_ss(x, _mm_movehdup_ps(x)));
}
TL_INLINE i32x8 add_pairs(i32x8 a, i32x8 b) {
  return (i32x8)_mm256_hadd_epi32((__m256i)a, (__m256i)b);
}

TL_INLINE i32x8 join_low(i32x8 a, i32x8 b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
}
TL_INLINE i32x8 join_high(i32x8 a, i32x8 b) {
  return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}
TL_INLINE f32x8 join_low(f32x8 a, f32x8 b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
}
TL_INLINE f32x8 join_high(f32x8 a, f32x8 b) {
  return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}
TL_INLINE void transpose(f32x8* r) {
  f32x8 a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    a[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; ++j) {
      b[i + 2 * j] = __builtin_shufflevector(a[i + j], a[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + 2 * j + 1] =
          __builtin_shufflevector(a[i + j], a[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = join_low(b[i], b[i + 4]);
    r[i + 4] = join_high(b[i], b[i + 4]);
  }
}
// The halves of two lines are joined as they are loaded.
TL_INLINE void load_transposed(const float* p, int64_t stride, f32x8* to) {
  f32x8 r[8], t[8];
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 4; ++i) {
      const float* at = p + i * stride + 4 * half;
      r[4 * half + i] = __builtin_shufflevector(load_as<f32x4>(at), load_as<f32x4>(at + 4 * stride),
                                                0, 1, 2, 3, 4, 5, 6, 7);
    }
  }
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; ++j) {
      to[i + 2 * j] = __builtin_shufflevector(t[i + j], t[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
      to[i + 2 * j + 1] =
          __builtin_shufflevector(t[i + j], t[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
}

// --- halves
// ---------------------------------------------------------------------------------------------------------------

TL_INLINE u32x8 widen(u16x8 x) { return (u32x8)_mm256_cvtepu16_epi32((__m128i)x); }
TL_INLINE u16x8 narrow(u32x8 x) {
  const __m256i packed = _mm256_packus_epi32((__m256i)x, (__m256i)x);
  return (u16x8)_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0xd8));
}
TL_INLINE f32x8 from_halves(u16x8 x) { return (f32x8)_mm256_cvtph_ps((__m128i)x); }
TL_INLINE u16x8 to_halves(f32x8 x) {
  return (u16x8)_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT);
}
TL_INLINE float to_float(f16 h) { return _cvtsh_ss(h.bits); }
TL_INLINE f16 to_f16(float x) {
  return {static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT))};
}

// --- bytes
// ----------------------------------------------------------------------------------------------------------------

TL_INLINE i32x8 signed8(uint64_t bytes) {
  return (i32x8)_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(bytes)));
}
TL_INLINE i32x8 unsigned8(uint64_t bytes) {
  return (i32x8)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(bytes)));
}
TL_INLINE i32x8 signed8(b16 x) { return (i32x8)_mm256_cvtepi8_epi32((__m128i)x); }
TL_INLINE i32x8 unsigned8(b16 x) { return (i32x8)_mm256_cvtepu8_epi32((__m128i)x); }
TL_INLINE u16x16 unsigned16(b16 x) { return (u16x16)_mm256_cvtepu8_epi16((__m128i)x); }
TL_INLINE i16x16 signed16(b16 x) { return (i16x16)_mm256_cvtepi8_epi16((__m128i)x); }
// The packs interleave halves; the permutation puts the groups of four back in order.
TL_INLINE b32 to_bytes(const i32x8* x) {
  const __m256i low = _mm256_packs_epi32((__m256i)x[0], (__m256i)x[1]),
                high = _mm256_packs_epi32((__m256i)x[2], (__m256i)x[3]);
  return (b32)_mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high),
                                          _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
TL_INLINE b16 to_bytes(i32x8 a, i32x8 b) {
  __m256i x = _mm256_packs_epi32((__m256i)a, (__m256i)b);
  x = _mm256_packus_epi16(x, x);
  return (b16)_mm_unpacklo_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}
TL_INLINE b32 to_bytes(u16x16 x, u16x16 y) {
  return (b32)_mm256_permute4x64_epi64(_mm256_packus_epi16((__m256i)x, (__m256i)y), 0xd8);
}
TL_INLINE b32 join16(const void* low, const void* high) {
  const __m256i x = _mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(low)));
  return (b32)_mm256_inserti128_si256(x, _mm_loadu_si128(static_cast<const __m128i*>(high)), 1);
}
TL_INLINE b32 join(b16 low, b16 high) { return (b32)_mm256_set_m128i((__m128i)high, (__m128i)low); }
TL_INLINE b32 repeat_bytes(uint32_t low, uint32_t high) {
  const u32x8 x = {low, 0, 0, 0, high};
  return (b32)_mm256_shuffle_epi8(
      (__m256i)x, (__m256i)(u32x8{0, 0x01010101, 0x02020202, 0x03030303, 0, 0x01010101, 0x02020202,
                                  0x03030303}));
}
TL_INLINE b32 twice16(const void* p) {
  return (b32)_mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
TL_INLINE void four_words(const uint8_t* const* w, int64_t at, u32x8* x) {
  __m256i r[4];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) r[p] = (__m256i)join16(w[p] + at, w[p + 4] + at);
  const __m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpacklo_epi32(r[2], r[3]),
                c = _mm256_unpackhi_epi32(r[0], r[1]), d = _mm256_unpackhi_epi32(r[2], r[3]);
  x[0] = (u32x8)_mm256_unpacklo_epi64(a, b);
  x[1] = (u32x8)_mm256_unpackhi_epi64(a, b);
  x[2] = (u32x8)_mm256_unpacklo_epi64(c, d);
  x[3] = (u32x8)_mm256_unpackhi_epi64(c, d);
}
TL_INLINE b32 nibbles(const void* p) {
  const __m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return (b32)_mm256_srlv_epi64(x, _mm256_setr_epi64x(0, 0, 4, 4)) & 15;
}
TL_INLINE b32 mask_of_bits(uint32_t bits) {
  const __m256i which =
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const b32 one = (b32)(u64x4{} + 0x8040201008040201ull);
  const __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int32_t>(bits)), which);
  return (b32)(((b32)x & one) == one);
}
TL_INLINE b32 masks_of_bits(b32 x, int at) {
  const uint64_t first = 0x0202020202020202 * at, second = first + 0x0101010101010101;
  const __m256i which = (__m256i)u64x4{first, second, first, second};
  const b32 one = (b32)(u64x4{} + 0x8040201008040201ull);
  return (b32)(((b32)_mm256_shuffle_epi8((__m256i)x, which) & one) == one);
}
TL_INLINE b32 lookup32(const void* table, b32 x) {
  const __m128i t = _mm_loadu_si128(static_cast<const __m128i*>(table));
  return (b32)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), (__m256i)x);
}
TL_INLINE b32 abs32(b32 x) { return (b32)_mm256_abs_epi8((__m256i)x); }
TL_INLINE b32 sign32(b32 a, b32 x) { return (b32)_mm256_sign_epi8((__m256i)a, (__m256i)x); }
TL_INLINE b32 least32(b32 a, b32 b) { return (b32)_mm256_min_epu8((__m256i)a, (__m256i)b); }
TL_INLINE b32 add_full(b32 a, b32 b) { return (b32)_mm256_adds_epu8((__m256i)a, (__m256i)b); }
TL_INLINE int least_byte(b32 v) {
  __m128i x =
      _mm_min_epu8(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
  x = _mm_min_epu8(x, _mm_srli_epi16(x, 8));  // odd bytes to even ones
  return _mm_extract_epi16(_mm_minpos_epu16(_mm_and_si128(x, _mm_set1_epi16(255))), 0);
}

// --- products of small integers
// -------------------------------------------------------------------------------------------

// The four words of each half of a, b, c and d added up: a sum for each, then those of the second
// halves. In 16 bits, at first the sum of kHas products each, as long as kFit products fit; kHas is
// 0 for words of 32 bits. Unpacking and adding takes less than horizontal additions.
template <int kHas, int kFit>
TL_INLINE i32x8 sum_words(__m256i a, __m256i b, __m256i c, __m256i d) {
  constexpr bool kFirst = 2 * kHas <= kFit, kSecond = 4 * kHas <= kFit;
  auto words = [](__m256i x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); };
  auto add = [](bool narrow, __m256i x, __m256i y) {
    return narrow ? _mm256_add_epi16(x, y) : _mm256_add_epi32(x, y);
  };
  if constexpr (kHas > 0 && !kFirst) a = words(a), b = words(b), c = words(c), d = words(d);
  __m256i x = add(kFirst, _mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  __m256i y = add(kFirst, _mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
  if constexpr (kFirst && !kSecond) x = words(x), y = words(y);
  x = add(kSecond, _mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
  return (i32x8)(kSecond ? words(x) : x);
}

// One instruction for u8 · s8, with 16-bit sums of two, and none for s8 · s8.
#if !TL_ANY_BYTE
TL_INLINE i32x8 dot4(b32 w, b32 a) {
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)w, (__m256i)a);
  return (i32x8)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
// Plain additions GCC 12 would put off until everything is multiplied, and on the stack.
TL_INLINE __m256i sum_words(__m256i a, __m256i b) {
  asm("vpaddw %1, %0, %0" : "+x"(a) : "x"(b));
  return a;
}
TL_INLINE __m256i sum_longs(__m256i a, __m256i b) {
  asm("vpaddd %1, %0, %0" : "+x"(a) : "x"(b));
  return a;
}
// As many products stay in 16 bits as kTop allows.
template <int kTop, int kSteps, int kRows>
TL_INLINE void tile_dots(const uint8_t* w, int64_t tile, const int8_t* q, i32x8 (*sums)[2]) {
  constexpr int kFit = 32767 / (2 * 127 * kTop);
  constexpr int kRun = kFit >= kSteps ? kSteps : kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
  static_assert(kFit >= 1);
  __m256i sum[kRows][2];
#pragma GCC unroll 8
  for (int run = 0; run < kSteps; run += kRun) {
    __m256i part[kRows][2];
#pragma GCC unroll 8
    for (int i = run; i < run + kRun; ++i) {
      const __m256i x[] = {(__m256i)load_as<b32>(w + 32 * i),
                           (__m256i)load_as<b32>(w + tile + 32 * i)};
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        int32_t four;
        memcpy(&four, q + 32 * r + 4 * i, 4);
        const __m256i a = _mm256_set1_epi32(four);
#pragma GCC unroll 2
        for (int t = 0; t < 2; ++t) {
          const __m256i p = _mm256_maddubs_epi16(x[t], a);
          part[r][t] = i == run ? p : sum_words(part[r][t], p);
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int t = 0; t < 2; ++t) {
        const __m256i p = _mm256_madd_epi16(part[r][t], _mm256_set1_epi16(1));
        sum[r][t] = run == 0 ? p : sum_longs(sum[r][t], p);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) sums[r][0] = (i32x8)sum[r][0], sums[r][1] = (i32x8)sum[r][1];
}
template <bool kSigned, int kTop, int kHalves>
TL_INLINE i32x8 dot_rows(const b32* x, const b32* q) {
  constexpr int kFit = 32767 / (127 * kTop);
  constexpr bool kWords = 2 * kHalves > kFit;
  __m256i sums[4];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) {
#pragma GCC unroll 2
    for (int h = 0; h < kHalves; ++h) {
      b32 w = x[kHalves * p + h], a = q[h];
      if constexpr (kSigned) a = sign32(a, w), w = abs32(w);
      __m256i pairs = _mm256_maddubs_epi16((__m256i)w, (__m256i)a);
      if constexpr (kWords) pairs = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
      sums[p] = h == 0   ? pairs
                : kWords ? _mm256_add_epi32(sums[p], pairs)
                         : _mm256_add_epi16(sums[p], pairs);
    }
  }
  return sum_words<kWords ? 0 : 2 * kHalves, kWords ? -1 : kFit>(sums[0], sums[1], sums[2],
                                                                 sums[3]);
}
TL_INLINE i32x8 add_dot2(i32x8 sum, i16x16 x, i16x16 y) {
  return (i32x8)sum_longs((__m256i)sum, _mm256_madd_epi16((__m256i)x, (__m256i)y));
}
TL_INLINE i16x16 dot2(b32 w, b32 a) { return (i16x16)_mm256_maddubs_epi16((__m256i)w, (__m256i)a); }
TL_INLINE i32x8 dot2_words(i16x16 x, i16x16 y) {
  return (i32x8)_mm256_madd_epi16((__m256i)x, (__m256i)y);
}
// int8_tile.h's function, written out for four rows: GCC 12 keeps sums on the stack, or loads
// weights for each row, which costs more than the fewer multiplications save.
TL_INLINE void wide_dots(std::integral_constant<int, 4>, const uint8_t* w, int64_t tile,
                         const int16_t* q, i32x8 (*sums)[2]) {
  i32x8 s0 = sums[0][0], s1 = sums[0][1], s2 = sums[1][0], s3 = sums[1][1], s4 = sums[2][0],
        s5 = sums[2][1], s6 = sums[3][0], s7 = sums[3][1];
  const uint8_t* end = w + 256;
  q += 64;  // the middle of the four rows: distances of a byte
  b32 u, v, u2, v2, a, b, x, y;
#define TL_DOT(u, v, sum)         \
  "vpaddw %[" #u                  \
  "], %[b], %[x]\n\t"             \
  "vpaddw %[" #v                  \
  "], %[a], %[y]\n\t"             \
  "vpmaddwd %[x], %[y], %[x]\n\t" \
  "vpaddd %[x], %[" #sum "], %[" #sum "]\n\t"
#define TL_ROW(at_a, at_b, first, second) \
  "vpbroadcastd " #at_a                   \
  "(%[q]), %[a]\n\t"                      \
  "vpbroadcastd " #at_b "(%[q]), %[b]\n\t" TL_DOT(u, v, first) TL_DOT(u2, v2, second)
  asm("1:\n\t"
      "vmovdqu (%[w]), %[u]\n\t"
      "vmovdqu 256(%[w]), %[v]\n\t"
      "vmovdqu (%[w],%[tile]), %[u2]\n\t"
      "vmovdqu 256(%[w],%[tile]), %[v2]\n\t"
      TL_ROW(-128, -96, s0, s1) TL_ROW(-64, -32, s2, s3)
      TL_ROW(0, 32, s4, s5) TL_ROW(64, 96, s6, s7)
      "add $32, %[w]\n\t"
      "add $4, %[q]\n\t"
      "cmp %[end], %[w]\n\t"
      "jne 1b"
      : [w] "+r"(w), [q] "+r"(q), [s0] "+x"(s0), [s1] "+x"(s1), [s2] "+x"(s2), [s3] "+x"(s3),
        [s4] "+x"(s4), [s5] "+x"(s5), [s6] "+x"(s6), [s7] "+x"(s7), [u] "=&x"(u), [v] "=&x"(v),
        [u2] "=&x"(u2), [v2] "=&x"(v2), [a] "=&x"(a), [b] "=&x"(b), [x] "=&x"(x), [y] "=&x"(y)
      : [tile] "r"(tile), [end] "r"(end)
      : "memory", "cc");
#undef TL_ROW
#undef TL_DOT
  sums[0][0] = s0, sums[0][1] = s1, sums[1][0] = s2, sums[1][1] = s3, sums[2][0] = s4,
  sums[2][1] = s5, sums[3][0] = s6, sums[3][1] = s7;
}
#endif

}  // namespace tl::TL_ISA
