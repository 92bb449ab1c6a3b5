// One generic float vector (GCC/Clang vector extensions), its loads and stores for every float
// dtype, and reductions. Everything lives in the ISA's own namespace and is forced inline: see
// TL_INLINE.
#pragma once
#include <cstdint>
#include <cstring>

#include "../../core/array.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#ifndef TL_ISA
#define TL_ISA baseline
#endif

namespace tl::TL_ISA {

#ifdef __AVX2__
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float vf __attribute__((vector_size(4 * kLanes)));
typedef int32_t vi __attribute__((vector_size(4 * kLanes)));
typedef uint32_t vu __attribute__((vector_size(4 * kLanes)));
typedef double vd __attribute__((vector_size(4 * kLanes)));
typedef int64_t vl __attribute__((vector_size(4 * kLanes)));
typedef float vf_unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

// Not 0 + x, which the compiler must really add: it turns -0 into 0.
TL_INLINE vf splat(float x) { return x - vf{}; }
TL_INLINE vi splat(int32_t x) { return vi{} + x; }
TL_INLINE vf select(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }

TL_INLINE vf load(const float* p) { return *reinterpret_cast<const vf_unaligned*>(p); }
TL_INLINE void store(float* p, vf v) { *reinterpret_cast<vf_unaligned*>(p) = v; }

// --- 16-bit floats
// -------------------------------------------------------------------------------------------------------

TL_INLINE float to_float(f16 h) {
#ifdef __F16C__
  return _cvtsh_ss(h.bits);
#else
  // Rebias the exponent by a multiplication, which also makes subnormals right; infinities and NaN
  // keep a full exponent.
  uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000) << 16, rest = h.bits & 0x7fff;
  uint32_t bits = rest << 13;
  float x;
  memcpy(&x, &bits, 4);
  x *= 0x1p112f;
  memcpy(&bits, &x, 4);
  if (rest >= 0x7c00) bits |= 0x7f800000;
  bits |= sign;
  memcpy(&x, &bits, 4);
  return x;
#endif
}

TL_INLINE f16 to_f16(float x) {
#ifdef __F16C__
  return {static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT))};
#else
  uint32_t bits;
  memcpy(&bits, &x, 4);
  uint32_t sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
  if (a > 0x7f800000) return {static_cast<uint16_t>(sign | 0x7e00 | (a >> 13 & 0x3ff))};
  if (a >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};
  if (a < 0x38800000) {  // subnormal in f16: let the float adder round at the right bit
    float y;
    memcpy(&y, &a, 4);
    y += 0.5f;
    uint32_t r;
    memcpy(&r, &y, 4);
    return {static_cast<uint16_t>(sign | (r - 0x3f000000))};
  }
  a += 0xfff + (a >> 13 & 1);
  return {static_cast<uint16_t>(sign | ((a - 0x38000000) >> 13))};
#endif
}

TL_INLINE float to_float(bf16 h) {
  uint32_t bits = static_cast<uint32_t>(h.bits) << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

TL_INLINE bf16 to_bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  bits += 0x7fff + (bits >> 16 & 1);
  return {static_cast<uint16_t>(bits >> 16)};
}

TL_INLINE float to_float(float x) { return x; }

template <class T>
TL_INLINE T from_float(float x) {
  if constexpr (__is_same(T, f16))
    return to_f16(x);
  else if constexpr (__is_same(T, bf16))
    return to_bf16(x);
  else
    return static_cast<T>(x);
}

TL_INLINE vf load(const f16* p) {
#if defined(__F16C__)
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  vf v;
  for (int i = 0; i < kLanes; ++i) v[i] = to_float(p[i]);
  return v;
#endif
}
TL_INLINE void store(f16* p, vf v) {
#if defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
  for (int i = 0; i < kLanes; ++i) p[i] = to_f16(v[i]);
#endif
}
TL_INLINE vf load(const bf16* p) {
#if defined(__AVX2__)
  __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return (vf)_mm256_slli_epi32(wide, 16);
#else
  vf v;
  for (int i = 0; i < kLanes; ++i) v[i] = to_float(p[i]);
  return v;
#endif
}
TL_INLINE void store(bf16* p, vf v) {
  vu bits = (vu)v;
  vi nan = (vi)v & 0x7fffffff;
  vi is_nan = nan > 0x7f800000;
  vu rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  vu quiet = bits >> 16 | 0x40;
  vu out = (rounded & ~(vu)is_nan) | (quiet & (vu)is_nan);
  for (int i = 0; i < kLanes; ++i) p[i].bits = static_cast<uint16_t>(out[i]);
}

// The first n < kLanes lanes; the others read as zero / are left alone.
template <class T>
TL_INLINE vf load_part(const T* p, int n) {
  T buffer[kLanes] = {};
  memcpy(buffer, p, n * sizeof(T));
  return load(buffer);
}
template <class T>
TL_INLINE void store_part(T* p, vf v, int n) {
  T buffer[kLanes];
  store(buffer, v);
  memcpy(p, buffer, n * sizeof(T));
}

// --- arithmetic that needs care
// ------------------------------------------------------------------------------------------

TL_INLINE vf fma(vf a, vf b, vf c) {
#if defined(__FMA__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
TL_INLINE vd fma(vd a, vd b, vd c) {
#if defined(__FMA__)
  return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}
TL_INLINE vf max(vf a, vf b) { return select(a > b, a, b); }
TL_INLINE vf min(vf a, vf b) { return select(a < b, a, b); }
TL_INLINE vf abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
TL_INLINE vf sqrt(vf x) {
#if defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
  return (vf)_mm_sqrt_ps((__m128)x);
#else
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}
TL_INLINE vf to_vf(vi x) { return __builtin_convertvector(x, vf); }
TL_INLINE vi to_vi(vf x) { return __builtin_convertvector(x, vi); }  // truncates

TL_INLINE float sum(vf v) {
#if defined(__AVX2__)
  __m128 x = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
#else
  return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}
TL_INLINE float max_lane(vf v) {
  float m = v[0];
  for (int i = 1; i < kLanes; ++i) m = v[i] > m ? v[i] : m;
  return m;
}

}  // namespace tl::TL_ISA
