// 8-bit floats as weights: E4M3 and E5M2 by themselves, and E4M3 with a scale to 128 of them.
#pragma once
#include "../quant_blocks.h"
#include "format.h"

namespace tl::TL_ISA {

struct F8E4M3 {
  uint8_t bits;
};
struct F8E5M2 {
  uint8_t bits;
};

// E5M2 is the upper byte of an f16.
TL_INLINE float to_float(F8E5M2 x) { return to_float(f16{static_cast<uint16_t>(x.bits << 8)}); }
// E4M3 has an exponent bias of 7 where f16 has 15, no infinities, and NaN only where all bits are
// set.
TL_INLINE float to_float(F8E4M3 x) {
  uint32_t nan = (x.bits & 0x7f) == 0x7f ? 0x7e00 : 0;
  uint32_t half = (x.bits & 0x80u) << 8 | (x.bits & 0x7fu) << 7 | nan;
  return to_float(f16{static_cast<uint16_t>(half)}) * 256.f;
}

// Bytes as 16 bits, for as many lanes as V has.
template <SimdVector V>
TL_INLINE Simd<uint16_t, kLanesOf<V>> byte_halves(const void* p) {
  uint16_t x[kLanesOf<V>];
  const auto* b = static_cast<const uint8_t*>(p);
  for (int i = 0; i < kLanesOf<V>; ++i) x[i] = b[i];
  return load_as<Simd<uint16_t, kLanesOf<V>>>(x);
}
template <SimdVector V>
TL_INLINE V load_floats(const F8E5M2* p) {
  return from_halves(byte_halves<V>(p) << 8);
}
template <SimdVector V>
TL_INLINE V load_floats(const F8E4M3* p) {
  typedef Simd<uint16_t, kLanesOf<V>> H;
  const H x = byte_halves<V>(p), rest = (x & 0x7f) << 7;
  const H nan = (H)(rest == 0x3f80) & 0x7e00;
  return from_halves((H)((x & 0x80) << 8 | rest | nan)) * 256.f;
}

// f32 scale, 128 E4M3. Its values are no small integers: it is always multiplied in floats.
struct F8E4M3_128 {
  static constexpr DType kDType = DType::f8e4m3_128;
  static constexpr int kBytes = bytes_of(kDType);

  static void floats(const BlockFormat&, const uint8_t* b, int64_t blocks, float* out) {
    for (int64_t i = 0; i < blocks; ++i, b += kBytes, out += 128) {
      float scale;
      memcpy(&scale, b, 4);
      for (int j = 0; j < 128; j += 8)
        store_at(out + j, load_floats<f32x8>(reinterpret_cast<const F8E4M3*>(b + 4 + j)) * scale);
    }
  }
};

}  // namespace tl::TL_ISA
