// NEON, with products of bytes where i8mm is there. The vector extensions become NEON by
// themselves; here stands what they have no word for.
#pragma once
#include <arm_neon.h>

#include "baseline.h"

namespace tl::TL_ISA {

typedef Simd<int32_t, 4> i32x4;
typedef Simd<double, 2> f64x2;
typedef Simd<uint16_t, 4> u16x4;

// f of both halves of x.
template <SimdVector To, SimdVector H, SimdVector From, class F>
TL_INLINE To by_halves(From x, F f) {
  H half[2];
  memcpy(half, &x, sizeof x);
  const decltype(f(half[0])) both[2] = {f(half[0]), f(half[1])};
  return load_as<To>(both);
}

// --- floats
// ---------------------------------------------------------------------------------------------------------------

TL_INLINE bool any(i32x4 mask) { return vmaxvq_u32((uint32x4_t)mask) != 0; }
TL_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
TL_INLINE f32x4 fma(f32x4 a, f32x4 b, f32x4 c) {
  return (f32x4)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
TL_INLINE f64x2 fma(f64x2 a, f64x2 b, f64x2 c) {
  return (f64x2)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
TL_INLINE f32x8 fma(f32x8 a, f32x8 b, f32x8 c) {
  f32x4 x[2], y[2], z[2];
  memcpy(x, &a, 32);
  memcpy(y, &b, 32);
  memcpy(z, &c, 32);
  const f32x4 both[2] = {fma(x[0], y[0], z[0]), fma(x[1], y[1], z[1])};
  return load_as<f32x8>(both);
}
TL_INLINE f32x4 sqrt(f32x4 x) { return (f32x4)vsqrtq_f32((float32x4_t)x); }
TL_INLINE f64x2 sqrt(f64x2 x) { return (f64x2)vsqrtq_f64((float64x2_t)x); }
TL_INLINE f32x4 floor(f32x4 x) { return (f32x4)vrndmq_f32((float32x4_t)x); }
TL_INLINE f32x4 ceil(f32x4 x) { return (f32x4)vrndpq_f32((float32x4_t)x); }
TL_INLINE f32x4 trunc(f32x4 x) { return (f32x4)vrndq_f32((float32x4_t)x); }
TL_INLINE f32x4 round(f32x4 x) { return (f32x4)vrndnq_f32((float32x4_t)x); }

TL_INLINE i32x8 add_pairs(i32x8 a, i32x8 b) {
  int32x4_t x[2], y[2];
  memcpy(x, &a, 32);
  memcpy(y, &b, 32);
  const int32x4_t both[2] = {vpaddq_s32(x[0], y[0]), vpaddq_s32(x[1], y[1])};
  return load_as<i32x8>(both);
}

// The product before it must not become a part of the addition that rounds elsewhere.
TL_INLINE i32x8 round_to_int(f32x8 x) {
  return by_halves<i32x8, f32x4>(x, [](f32x4 half) { return vcvtnq_s32_f32((float32x4_t)half); });
}

// --- halves
// ---------------------------------------------------------------------------------------------------------------

TL_INLINE f32x4 from_halves(u16x4 x) { return (f32x4)vcvt_f32_f16((float16x4_t)x); }
TL_INLINE f32x8 from_halves(u16x8 x) {
  return by_halves<f32x8, u16x4>(x, [](u16x4 half) { return from_halves(half); });
}
TL_INLINE u16x4 to_halves(f32x4 x) { return (u16x4)vcvt_f16_f32((float32x4_t)x); }
TL_INLINE float to_float(f16 h) {
  __fp16 x;
  memcpy(&x, &h, 2);
  return x;
}
TL_INLINE f16 to_f16(float x) {
  const __fp16 y = static_cast<__fp16>(x);
  f16 h;
  memcpy(&h, &y, 2);
  return h;
}

// --- bytes
// ----------------------------------------------------------------------------------------------------------------

TL_INLINE b32 lookup32(const void* table, b32 x) {
  const uint8x16_t t = vld1q_u8(static_cast<const uint8_t*>(table));
  return by_halves<b32, b16>(x, [=](b16 i) { return (b16)vqtbl1q_u8(t, (uint8x16_t)i); });
}
TL_INLINE int least_byte(b32 x) {
  b16 half[2];
  memcpy(half, &x, 32);
  return vminvq_u8(vminq_u8((uint8x16_t)half[0], (uint8x16_t)half[1]));
}

// --- products of small integers
// -------------------------------------------------------------------------------------------

#ifdef __ARM_FEATURE_MATMUL_INT8
TL_INLINE i32x8 dot4(b32 w, b32 a) {
  b16 x[2], y[2];
  memcpy(x, &w, 32);
  memcpy(y, &a, 32);
  int32x4_t sums[2];
  for (int i = 0; i < 2; ++i)
    sums[i] = vusdotq_s32(vdupq_n_s32(0), (uint8x16_t)x[i], (int8x16_t)y[i]);
  return load_as<i32x8>(sums);
}
template <int kTop, int kSteps, int kRows>
TL_INLINE void tile_dots(const uint8_t* w, int64_t tile, const int8_t* q, i32x8 (*sums)[2]) {
  int32x4_t sum[kRows][4];
#pragma GCC unroll 8
  for (int i = 0; i < kSteps; ++i) {
    uint8x16_t x[4];
    for (int h = 0; h < 4; ++h) x[h] = vld1q_u8(w + h / 2 * tile + 32 * i + h % 2 * 16);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      int32_t four;
      memcpy(&four, q + 32 * r + 4 * i, 4);
      const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(four));
#pragma GCC unroll 4
      for (int h = 0; h < 4; ++h)
        sum[r][h] = vusdotq_s32(i == 0 ? vdupq_n_s32(0) : sum[r][h], x[h], a);
    }
  }
  memcpy(sums, sum, sizeof sum);
}
#endif

}  // namespace tl::TL_ISA
