// Vectors of the instruction set that this file is compiled for: its primitives, and what is made
// of them for every float dtype. Everything lives in the set's own namespace and is forced inline:
// see TL_INLINE.
#pragma once

#ifndef TL_ISA
#define TL_ISA baseline
#endif
#ifndef TL_SIMD
#define TL_SIMD "baseline.h"  // the header of primitives; CMake says which
#endif
#include TL_SIMD

namespace tl::TL_ISA {

// Not 0 + x, which the compiler must really add: it turns -0 into 0.
TL_INLINE vf splat(float x) { return x - vf{}; }
TL_INLINE vi splat(int32_t x) { return vi{} + x; }

TL_INLINE void store(float* p, vf v) { store_at(p, v); }

// --- 16-bit floats
// -------------------------------------------------------------------------------------------------------

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

// Floats from any float dtype, by vectors of any width.
template <SimdVector V>
TL_INLINE V load_floats(const float* p) {
  return load_as<V>(p);
}
template <SimdVector V>
TL_INLINE V load_floats(const f16* p) {
  return from_halves(load_as<Simd<uint16_t, kLanesOf<V>>>(p));
}
template <SimdVector V>
TL_INLINE V load_floats(const bf16* p) {
  return (V)(widen(load_as<Simd<uint16_t, kLanesOf<V>>>(p)) << 16);
}
template <class T>
TL_INLINE vf load(const T* p) {
  return load_floats<vf>(p);
}

TL_INLINE void store(f16* p, vf v) { store_at(p, to_halves(v)); }
TL_INLINE void store(bf16* p, vf v) {
  const vu bits = (vu)v, rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const vi nan = ((vi)v & 0x7fffffff) > 0x7f800000;
  store_at(p, narrow(select(nan, bits >> 16 | 0x40, rounded)));
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

// --- arithmetic
// -----------------------------------------------------------------------------------------------------------

TL_INLINE vf abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
TL_INLINE vf to_vf(vi x) { return __builtin_convertvector(x, vf); }
TL_INLINE vi to_vi(vf x) { return __builtin_convertvector(x, vi); }  // truncates

// Lanes [low, high) of a vector.
TL_INLINE vi lanes_between(int64_t low, int64_t high) {
  vi at;
  for (int i = 0; i < kLanes; ++i) at[i] = i;
  return (at >= static_cast<int32_t>(low < 0 ? 0 : low)) &
         (at < static_cast<int32_t>(high > kLanes ? kLanes : high));
}

}  // namespace tl::TL_ISA
