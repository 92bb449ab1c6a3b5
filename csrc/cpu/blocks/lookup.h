// Formats of nibbles that look up one of 16 values: IQ4_NL, IQ4_XS, MXFP4, NVFP4.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

struct IQ4_NL : Format<DType::iq4_nl, 32, Form::plain, 127> {
  static TL_INLINE b32 values(const uint8_t* b, int) {
    return lookup32(kIq4nlValues, nibbles(b + 2));
  }
};

// f16 d, 2 high bits of 8 scales in a u16, their low nibbles in 4 bytes, 128 bytes of nibbles.
struct IQ4_XS : Format<DType::iq4_xs, 32, Form::plain, 127> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    return lookup32(kIq4nlValues, nibbles(b + 8 + 16 * unit));
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    uint64_t pairs = short_at(b + 2);  // bit pairs to bytes
    pairs = (pairs | pairs << 24) & 0x000000ff000000ff;
    pairs = (pairs | pairs << 12) & 0x000f000f000f000f;
    pairs = (pairs | pairs << 6) & 3 * kEachByte;
    scale8(half_at(b), less32(nibbles8(word_at(b + 4)) | pairs << 4), d);
  }
};

// E2M1 doubled and moved by 12, so that the bytes are not negative.
alignas(16) inline constexpr int8_t kE2m1Bytes[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                                      12, 11, 10, 9,  8,  6,  4,  0};

// The scale is a power of two, E8M0, halved as the values are doubled.
struct MXFP4 : Format<DType::mxfp4, 32, Form::shifted, 24, -12> {
  static TL_INLINE b32 values(const uint8_t* b, int) {
    return lookup32(kE2m1Bytes, nibbles(b + 1));
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    for (int64_t i = 0; i < n; i += 8, b += 8 * kBytes, d += 8) {
      auto e = [&](int64_t j) { return uint32_t{b[(i + j < n ? j : n - 1 - i) * kBytes]}; };
      const u32x8 x = {e(0), e(1), e(2), e(3), e(4), e(5), e(6), e(7)};
      // Of 0 and 1 subnormal.
      store_at(d, (f32x8)select((u32x8)(x < 2), 0x00200000u << (x & 1), (x - 1) << 23));
    }
  }
};

// 4 unsigned E4M3 scales of 16 weights each, then 8 bytes for each 16: low nibbles first.
struct NVFP4 : Format<DType::nvfp4, 16, Form::shifted, 24, -12> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    const uint8_t* q = b + 4 + 16 * unit;
    const u64x4 x = {long_at(q), long_at(q), long_at(q + 8), long_at(q + 8)};
    return lookup32(kE2m1Bytes, (b32)(x >> u64x4{0, 4, 0, 4}) & 15);
  }
  // As the gguf package reads it: the sign bit is ignored, 0x7f is 0. By way of f16, whose exponent
  // has a bias of 15 for 7: times 2^8, halved for the doubled values.
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    for (int64_t i = 0; i < n; i += 2, b += 2 * kBytes, d += 8) {
      uint32_t low = word_at(b), high = i + 1 < n ? word_at(b + kBytes) : low;
      const u32x8 x = (u32x8)unsigned8(low | static_cast<uint64_t>(high) << 32);
      const u16x8 half = narrow(select((u32x8)(x == 0x7f), u32x8{}, (x & 0x7f) << 7));
      store_at(d, from_halves(half) * 128.f);
    }
  }
};

}  // namespace tl::TL_ISA
