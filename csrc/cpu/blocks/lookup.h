// Formats of nibbles that look up one of 16 values: IQ4_NL, IQ4_XS, MXFP4, NVFP4.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

struct IQ4_NL : Format<DType::iq4_nl, 32, QuantScheme::plain, 127> {
  static TL_INLINE b32 values(const uint8_t* b, int) {
    return lookup32(kIq4nlValues, nibbles(b + 2));
  }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int, int h) {
    return lookup32(kIq4nlValues, field(join16(a + 2, b + 2), 4 * h, 15));
  }
};

// f16 d, 2 high bits of 8 scales in a u16, their low nibbles in 4 bytes, 128 bytes of nibbles.
struct IQ4_XS : Format<DType::iq4_xs, 32, QuantScheme::plain, 127> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    return lookup32(kIq4nlValues, nibbles(b + 8 + 16 * unit));
  }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int j, int, int h) {
    const int at = 8 + 16 * j;
    return lookup32(kIq4nlValues, field(join16(a + at, b + at), 4 * h, 15));
  }
  static TL_INLINE void eight_scales(const auto& w, int64_t at, float* d, float*) {
    u32x8 x[4];
    four_words(w, at, x);
    const f32x8 scale = low_halves(x[0]);
    for (int g = 0; g < 8; ++g) {
      const u32x8 low = x[1] >> 4 * g & 15, high = x[0] >> (16 + 2 * g) & 3;
      store_at(d + 8 * g, scale * to_floats((low | high << 4) - 32));
    }
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    uint64_t pairs = short_at(b + 2);  // bit pairs to bytes
    pairs = (pairs | pairs << 24) & 0x000000ff000000ff;
    pairs = (pairs | pairs << 12) & 0x000f000f000f000f;
    pairs = (pairs | pairs << 6) & 3 * kEachByte;
    scale8(half_at(b), minus32(nibbles8(word_at(b + 4)) | pairs << 4), d);
  }
};

// E2M1 doubled and moved by 12, so that the bytes are not negative.
alignas(16) inline constexpr int8_t kE2m1Bytes[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                                      12, 11, 10, 9,  8,  6,  4,  0};

// The scale is a power of two, E8M0, halved as the values are doubled.
struct MXFP4 : Format<DType::mxfp4, 32, QuantScheme::shifted, 24, -12> {
  static TL_INLINE b32 values(const uint8_t* b, int) {
    return lookup32(kE2m1Bytes, nibbles(b + 1));
  }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int, int h) {
    return lookup32(kE2m1Bytes, field(join16(a + 1, b + 1), 4 * h, 15));
  }
  // 2^(e - 128); of 0 and 1 subnormal.
  static TL_INLINE f32x8 powers(u32x8 e) {
    return (f32x8)select((u32x8)(e < 2), 0x00200000u << (e & 1), (e - 1) << 23);
  }
  static TL_INLINE void eight_scales(const auto& w, int64_t at, float* d, float*) {
    u32x8 x[4];
    four_words(w, at, x);
    store_at(d, powers(x[0] & 0xff));
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    for (int64_t i = 0; i < n; i += 8, b += 8 * kBytes, d += 8) {
      auto e = [&](int64_t j) { return uint32_t{b[(i + j < n ? j : n - 1 - i) * kBytes]}; };
      const u32x8 x = {e(0), e(1), e(2), e(3), e(4), e(5), e(6), e(7)};
      store_at(d, powers(x));
    }
  }
};

// 4 unsigned E4M3 scales of 16 weights each, then 8 bytes for each 16: low nibbles first.
struct NVFP4 : Format<DType::nvfp4, 16, QuantScheme::shifted, 24, -12> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    const uint8_t* q = b + 4 + 16 * unit;
    const u64x4 x = {long_at(q), long_at(q), long_at(q + 8), long_at(q + 8)};
    return lookup32(kE2m1Bytes, (b32)(x >> u64x4{0, 4, 0, 4}) & 15);
  }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int j, int, int h) {
    const int at = 4 + 16 * j + 8 * h;
    const u64x4 x = {long_at(a + at), long_at(a + at), long_at(b + at), long_at(b + at)};
    return lookup32(kE2m1Bytes, (b32)(x >> u64x4{0, 4, 0, 4}) & 15);
  }
  // As the gguf package reads it: the sign bit is ignored, 0x7f is 0. By way of f16, whose exponent
  // has a bias of 15 for 7: times 2^8, halved for the doubled values.
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    for (int64_t i = 0; i < n; i += 2, b += 2 * kBytes, d += 8) {
      uint32_t low = word_at(b), high = i + 1 < n ? word_at(b + kBytes) : low;
      store_at(d, unsigned_e4m3((u32x8)unsigned8(low | static_cast<uint64_t>(high) << 32)));
    }
  }
  static TL_INLINE f32x8 unsigned_e4m3(u32x8 x) {
    return from_halves(narrow(select((u32x8)(x == 0x7f), u32x8{}, (x & 0x7f) << 7))) * 128.f;
  }
  static TL_INLINE void eight_scales(const auto& w, int64_t at, float* d, float*) {
    u32x8 x[4];
    four_words(w, at, x);
    for (int g = 0; g < 4; ++g) store_at(d + 8 * g, unsigned_e4m3(x[0] >> 8 * g & 0xff));
  }
};

}  // namespace tl::TL_ISA
