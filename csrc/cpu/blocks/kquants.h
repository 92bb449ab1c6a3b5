// The K-quants: blocks of 256 with small integer scales under one or two f16: Q2_K … Q6_K, Q8_K.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

// 16 bytes of 4-bit scales and minima, 64 bytes of bit pairs, f16 d, f16 dmin.
struct Q2_K : Format<DType::q2_k, 16, QuantScheme::minimum, 3> {
  static constexpr int kStep = 4;
  static TL_INLINE b32 row(const uint8_t* b, int j, int i) {
    return field(load32(b + 16 + 32 * j), 2 * i, 3);
  }
  // Odd units stay where they are, four times as great.
  static constexpr int kHalf = 8;
  static TL_INLINE void half_words(EightRows w, int j, int h, b32* raw) {
    four_words(w, 16 + 32 * j + 16 * h, raw);
    for (int k = 0; k < 4; ++k) raw[4 + k] = shift_right(raw[k], 4);
  }
  static TL_INLINE b32 half_word(const b32* raw, int i, int k) {
    return raw[i / 2 * 4 + k] & splat32(i % 2 ? 12 : 3);
  }
  static TL_INLINE f32x8 times(const IntegerScales& s, int g) {
    return g / 2 % 2 ? s.d * 0.25f : s.d;
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float* m) {
    constexpr uint64_t kLow = 15 * kEachByte;
    float scale = half_at(b + 80), least = -half_at(b + 82);
    for (int j = 0; j < 16; j += 8) {
      uint64_t x = long_at(b + j);
      scale8(scale, x & kLow, d + j);
      scale8(least, x >> 4 & kLow, m + j);
    }
  }
  static TL_INLINE IntegerScales integer_scales(const auto& w, int64_t at) {
    IntegerScales s;
    u32x8 last[4];
    four_words(w, at + 68, last);
    four_words(w, at, s.x);
    s.d = low_halves(last[3]), s.m = -high_halves(last[3]);
    return s;
  }
  static TL_INLINE i32x8 scale(const IntegerScales& s, int j, int g) {
    return (i32x8)(s.x[2 * j + g / 4] >> 8 * (g % 4) & 15);
  }
  static TL_INLINE i16x16 scale_twice(const IntegerScales& s, int j, int g) {
    return (i16x16)(each_byte(s.x[2 * j + g / 4], g % 4) & 0x000f000f);
  }
  static TL_INLINE i32x8 minimum(const IntegerScales& s, int j, int g) {
    return (i32x8)(s.x[2 * j + g / 4] >> (8 * (g % 4) + 4) & 15);
  }
};

// 32 bytes of high bits, 64 bytes of bit pairs, 16 six-bit scales in 12 bytes, f16 d.
struct Q3_K : Format<DType::q3_k, 16, QuantScheme::shifted, 7, -4> {
  static constexpr int kStep = 4;
  static TL_INLINE b32 row(const uint8_t* b, int j, int i) {
    const b32 bits = shift_right(load32(b), 4 * j);
    const b32 high = (i < 2 ? shift_left(bits, 2 - i) : shift_right(bits, i - 2)) & 4;
    return field(load32(b + 32 + 32 * j), 2 * i, 3) | high;
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    constexpr uint64_t kLow = 15 * kEachByte, kHigh = 0x30 * kEachByte;
    float scale = half_at(b + 108);
    uint64_t x = long_at(b + 96);
    uint32_t y = word_at(b + 104);
    uint64_t both = y | static_cast<uint64_t>(y >> 2) << 32;
    scale8(scale, minus32((x & kLow) | (both << 4 & kHigh)), d);
    scale8(scale, minus32((x >> 4 & kLow) | (both & kHigh)), d + 8);
  }
  static TL_INLINE IntegerScales integer_scales(const auto& w, int64_t at) {
    IntegerScales s;
    u32x8 x[4];
    four_words(w, at + 94, x);  // d in the last word; the scales two bytes into each
    s.d = high_halves(x[3]);
    for (int i = 0; i < 3; ++i) x[i] = x[i] >> 16 | x[i + 1] << 16;
    for (int i = 0; i < 4; ++i) {
      const u32x8 low = x[i % 2] >> i / 2 * 4 & 0x0f0f0f0f, high = x[2] >> 2 * i & 0x03030303;
      s.x[i] = (u32x8)((b32)(low | high << 4) - splat32(32));
    }
    return s;
  }
  static TL_INLINE i32x8 scale(const IntegerScales& s, int j, int g) {
    return signed_byte_of(s.x[2 * j + g / 4], g % 4);
  }
};

// Q4_K and Q5_K: f16 d, f16 dmin, 8 six-bit scales and 8 six-bit minima in 12 bytes.
TL_INLINE void scales_4_5(const uint8_t* b, float* d, float* m) {
  uint32_t x = word_at(b + 4), y = word_at(b + 8), z = word_at(b + 12);
  auto eight = [&](uint32_t first, uint32_t nibble) {
    uint32_t low = first & 0x3f3f3f3f, high = (nibble & 0x0f0f0f0f) | (first >> 2 & 0x30303030);
    return low | static_cast<uint64_t>(high) << 32;
  };
  scale8(half_at(b), eight(x, z), d);
  scale8(-half_at(b + 2), eight(y, z >> 4), m);
}

// The same of eight rows.
struct Scales_4_5 {
  static TL_INLINE IntegerScales integer_scales(const auto& w, int64_t at) {
    IntegerScales s;
    u32x8 x[4];
    four_words(w, at, x);
    s.d = low_halves(x[0]), s.m = -high_halves(x[0]);
    for (int i = 0; i < 2; ++i) {
      s.x[2 * i] = x[1 + i] & 0x3f3f3f3f;
      s.x[2 * i + 1] = (x[3] >> 4 * i & 0x0f0f0f0f) | (x[1 + i] >> 2 & 0x30303030);
    }
    return s;
  }
  static TL_INLINE i32x8 scale(const IntegerScales& s, int j, int g) { return byte_of(s.x[j], g); }
  static TL_INLINE i32x8 minimum(const IntegerScales& s, int j, int g) {
    return byte_of(s.x[2 + j], g);
  }
};

// The scales, 128 bytes of nibbles.
struct Q4_K : Format<DType::q4_k, 32, QuantScheme::minimum, 15>, Scales_4_5 {
  static constexpr bool kCommon = true;
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    return field(load32(b + 16 + unit / 2 * 32), unit % 2 * 4, 15);
  }
  static constexpr int kStep = 2;
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int j, int i, int h) {
    const int at = 16 + 32 * j + 16 * h;
    return field(join16(a + at, b + at), 4 * i, 15);
  }
  static constexpr int kRaw = 8;
  static TL_INLINE void raw_words(EightRows w, int j, b32* raw) {
    for (int h = 0; h < 2; ++h) four_words(w, 16 + 32 * j + 16 * h, raw + 4 * h);
  }
  static TL_INLINE b32 word(const b32* raw, int i, int k) { return field(raw[k], 4 * i, 15); }
  static TL_INLINE i32x8 scale(const IntegerScales& s, int j, int g) {
    return byte_of(s.x[j / 2] >> j % 2 * 16, g);
  }
  static TL_INLINE i32x8 minimum(const IntegerScales& s, int j, int g) {
    return byte_of(s.x[2 + j / 2] >> j % 2 * 16, g);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float* m) { scales_4_5(b, d, m); }
};

// The scales, 32 bytes of fifth bits, 128 bytes of nibbles.
struct Q5_K : Format<DType::q5_k, 32, QuantScheme::minimum, 31>, Scales_4_5 {
  static constexpr bool kCommon = true;
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    b32 low = field(load32(b + 48 + unit / 2 * 32), unit % 2 * 4, 15);
    return (low | shift_left(field(load32(b + 16), unit, 1), 4));
  }
  static constexpr int kStep = 4;
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int j, int i, int h) {
    const int at = 48 + 64 * j + i / 2 * 32 + 16 * h;
    const b32 bits = shift_right(join16(a + 16 + 16 * h, b + 16 + 16 * h), 4 * j);
    return field(join16(a + at, b + at), i % 2 * 4, 15) | (shift_left(bits, 4 - i) & 16);
  }
  static constexpr int kRaw = 24;
  static TL_INLINE void raw_words(EightRows w, int j, b32* raw) {
    for (int h = 0; h < 4; ++h) four_words(w, 48 + 64 * j + 16 * h, raw + 4 * h);
    for (int h = 0; h < 2; ++h) four_words(w, 16 + 16 * h, raw + 16 + 4 * h);
    for (int k = 16; k < 24; ++k) raw[k] = shift_right(raw[k], 4 * j);
  }
  static TL_INLINE b32 word(const b32* raw, int i, int k) {
    return field(raw[i / 2 * 8 + k], i % 2 * 4, 15) | (shift_left(raw[16 + k], 4 - i) & 16);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float* m) { scales_4_5(b, d, m); }
};

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales, f16 d.
struct Q6_K : Format<DType::q6_k, 16, QuantScheme::shifted, 63, -32> {
  static constexpr bool kCommon = true;
  static constexpr int kStep = 4;
  static TL_INLINE b32 row(const uint8_t* b, int j, int i) {
    return field(load32(b + 64 * j + i % 2 * 32), i / 2 * 4, 15) |
           high_pair(load32(b + 128 + 32 * j), i);
  }
  static TL_INLINE b32 high_pair(b32 pairs, int i) {
    return (i < 2 ? shift_left(pairs, 4 - 2 * i) : shift_right(pairs, 2 * i - 4)) & 0x30;
  }
  static constexpr int kRaw = 24;
  static TL_INLINE void raw_words(EightRows w, int j, b32* raw) {
    for (int h = 0; h < 4; ++h) four_words(w, 64 * j + 16 * h, raw + 4 * h);
    for (int h = 0; h < 2; ++h) four_words(w, 128 + 32 * j + 16 * h, raw + 16 + 4 * h);
  }
  static TL_INLINE b32 word(const b32* raw, int i, int k) {
    return field(raw[i % 2 * 8 + k], i / 2 * 4, 15) | high_pair(raw[16 + k], i);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    float scale = half_at(b + 208);
    scale8(scale, long_at(b + 192), d);
    scale8(scale, long_at(b + 200), d + 8);
  }
  static TL_INLINE IntegerScales integer_scales(const auto& w, int64_t at) {
    IntegerScales s;
    u32x8 last[4];
    four_words(w, at + 194, last);
    s.d = high_halves(last[3]);
    four_words(w, at + 192, s.x);
    return s;
  }
  static TL_INLINE i32x8 scale(const IntegerScales& s, int j, int g) {
    return signed_byte_of(s.x[2 * j + g / 4], g % 4);
  }
};

// f32 d, 256 int8, and sums that only its use for activations needs.
struct Q8_K : Format<DType::q8_k, 32, QuantScheme::plain, 128> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) { return load32(b + 4 + 32 * unit); }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int j, int, int h) {
    const int at = 4 + 32 * j + 16 * h;
    return join16(a + at, b + at);
  }
  static TL_INLINE void eight_scales(const auto& w, int64_t at, float* d, float*) {
    u32x8 x[4];
    four_words(w, at, x);
    each_same<kGroups>((f32x8)x[0], d);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    float scale;
    memcpy(&scale, b, 4);
    repeat_scale(scale, d);
  }
};

}  // namespace tl::TL_ISA
