// 32 small integers at a time: unpacking of quantised weights, rounding of activations, and the dot
// product of both.
#pragma once
#include "simd.h"

namespace tl::TL_ISA {

// --- 32 bytes, and the few operations that the block formats are unpacked with
// ----------------------------------------

TL_INLINE b32 load32(const void* p) { return load_as<b32>(p); }
TL_INLINE void store32(void* p, b32 x) { store_at(p, x); }
// ((x >> shift) & mask) in each byte; right only when the mask drops what comes in from the
// neighbour byte.
TL_INLINE b32 field(b32 x, int shift, int mask) {
  return (b32)((u16x16)x >> shift) & static_cast<uint8_t>(mask);
}
// What leaves a byte goes to its neighbour.
TL_INLINE b32 shift_left(b32 x, int n) { return (b32)((u16x16)x << n); }
TL_INLINE b32 shift_right(b32 x, int n) { return (b32)((u16x16)x >> n); }
// Byte i is `value` where bit i is set.
TL_INLINE b32 expand_bits(uint32_t bits, int value) { return mask_of_bits(bits) & splat32(value); }
// -x where the mask is set.
TL_INLINE b32 negate32(b32 x, b32 mask) { return (x ^ mask) - mask; }
TL_INLINE b32 join32(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  return (b32)u64x4{a, b, c, d};
}

// The 32 bytes as floats: f(i, v) gets elements i … i + 7.
template <bool kSigned, class F>
TL_INLINE void each_float(b32 w, F f) {
  b16 half[2];
  memcpy(half, &w, 32);
  for (int i = 0; i < 4; ++i) {
    const b16 x = half[i / 2],
              eight = i % 2 == 0 ? x
                                 : __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9,
                                                           10, 11, 12, 13, 14, 15);
    f(8 * i, __builtin_convertvector(kSigned ? signed8(eight) : unsigned8(eight), f32x8));
  }
}

// --- activations
// --------------------------------------------------------------------------------------------------------

// Rounds 32 floats to int8 with scale max|x| / 127; sums[h] = sum of the rounded half h. A NaN or
// an infinity becomes the scale, and whatever is multiplied by it.
TL_INLINE float round32(const float* x, int8_t* q, int32_t* sums) {
  f32x8 v[4], top{};
  i32x8 bad{};
  for (int i = 0; i < 4; ++i) {
    v[i] = load_as<f32x8>(x + 8 * i);
    top = max((f32x8)((i32x8)v[i] & 0x7fffffff), top);
    bad |= v[i] != v[i];
  }
  const float peak = -least_lane(-top), nan = sum((f32x8)(bad & 0x7fc00000));
  const float d = peak / 127 + nan, inverse = peak > 0 ? 127.f / peak : 0.f;
  i32x8 whole[4];
  for (int i = 0; i < 4; ++i) whole[i] = round_to_int(v[i] * inverse);
  store32(q, to_bytes(whole));
  i32x8 both = add_pairs(whole[0] + whole[1], whole[2] + whole[3]);
  both = add_pairs(both, both);
  const bool finite = d - d == 0;  // else they would be sums of what no integer is
  sums[0] = finite ? both[0] + both[4] : 0;
  sums[1] = finite ? both[1] + both[5] : 0;
  return d;
}

// The same from any float dtype.
template <class T>
TL_INLINE float round_any32(const T* x, int8_t* q, int32_t* sums) {
  if constexpr (__is_same(T, float)) {
    return round32(x, q, sums);
  } else {
    float buffer[32];
    for (int i = 0; i < 32; i += kLanes) store(buffer + i, load(x + i));
    return round32(buffer, q, sums);
  }
}

}  // namespace tl::TL_ISA
