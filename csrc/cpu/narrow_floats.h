// Floats of 8 and 16 bits: bits in memory, arithmetic in float.
#pragma once
#include <utility>

#include "simd/simd.h"

namespace tl::TL_ISA {

struct f8e4m3 {
  uint8_t bits;
};
struct f8e5m2 {
  uint8_t bits;
};

TL_INLINE float as_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
TL_INLINE uint32_t as_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}

// Exponent and fraction moved to where a float has them; the multiplication rebiases the exponent
// and makes subnormals right. OCP 8-bit formats: e4m3 has no infinities and one NaN per sign.
TL_INLINE float to_float(f8e4m3 x) {
  uint32_t rest = x.bits & 0x7f, sign = static_cast<uint32_t>(x.bits & 0x80) << 24;
  uint32_t bits = as_bits(as_float(rest << 20) * 0x1p120f);
  return as_float((rest == 0x7f ? 0x7ff00000u : bits) | sign);
}
TL_INLINE float to_float(f8e5m2 x) { return to_float(f16{static_cast<uint16_t>(x.bits << 8)}); }

// Rounds to nearest, ties to even, keeping `kept` fraction bits of a float whose exponent bias is
// lowered by `shift`; `smallest` is the bits of the smallest normal number.
template <int kept, int bias>
TL_INLINE uint32_t narrow(uint32_t a) {
  constexpr uint32_t smallest = static_cast<uint32_t>(128 - bias) << 23;
  // Below it a float addition rounds at the right bit: its last place is the target's.
  constexpr uint32_t magic = static_cast<uint32_t>(128 - bias + 23 - kept) << 23;
  if (a < smallest) return as_bits(as_float(a) + as_float(magic)) - magic;
  a += (1u << (22 - kept)) - 1 + (a >> (23 - kept) & 1);
  return (a - (static_cast<uint32_t>(127 - bias) << 23)) >> (23 - kept);
}
TL_INLINE f8e4m3 to_e4m3(float x) {
  uint32_t bits = as_bits(x), sign = bits >> 24 & 0x80, a = bits & 0x7fffffff;
  // As PyTorch: what lies beyond 448, the largest number, becomes 448; NaN stays NaN.
  uint32_t value = a > 0x7f800000 ? 0x7f : a >= 0x43e80000 ? 0x7e : narrow<3, 7>(a);
  return {static_cast<uint8_t>(sign | value)};
}
TL_INLINE f8e5m2 to_e5m2(float x) {
  uint32_t bits = as_bits(x), sign = bits >> 24 & 0x80, a = bits & 0x7fffffff;
  uint32_t value = a > 0x7f800000 ? 0x7f : a >= 0x47800000 ? 0x7c : narrow<2, 15>(a);
  return {static_cast<uint8_t>(sign | value)};
}

// The upper halves of all words, those of `a` first.
template <int... kHalf>
TL_INLINE Simd<uint16_t, 2 * kLanes> upper_halves(vu a, vu b,
                                                  std::integer_sequence<int, kHalf...>) {
  using Halves = Simd<uint16_t, 2 * kLanes>;
  return __builtin_shufflevector((Halves)a, (Halves)b, (2 * kHalf + 1)...);
}
// Two vectors at once halve the packing, and NaN, which rounding would spoil, is looked for once.
TL_INLINE void store_pair(bf16* out, vf a, vf b) {
  const vf sum = a + b;
  if (any((vi)(sum != sum))) {
    store(out, a);
    store(out + kLanes, b);
    return;
  }
  const vu x = (vu)a, y = (vu)b;
  const vu p = x + 0x7fff + (x >> 16 & 1), q = y + 0x7fff + (y >> 16 & 1);
  store_at(out, upper_halves(p, q, std::make_integer_sequence<int, 2 * kLanes>()));
}

}  // namespace tl::TL_ISA
