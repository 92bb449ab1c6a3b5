// Formats of one scale to 32 (64, 128) weights: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q1_0, Q2_0.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

struct Q4_0 : Format<DType::q4_0, 32, QuantScheme::shifted, 15, -8> {
  static constexpr bool kCommon = true;
  static TL_INLINE b32 values(const uint8_t* b, int) { return nibbles(b + 2); }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int, int h) {
    return field(join16(a + 2, b + 2), 4 * h, 15);
  }
  static constexpr int kRaw = 4;
  static TL_INLINE void raw_words(EightRows w, int, b32* raw) { four_words(w, 2, raw); }
  static TL_INLINE b32 word(const b32* raw, int, int k) { return nibble_word(raw, k); }
};

struct Q4_1 : Format<DType::q4_1, 32, QuantScheme::minimum, 15> {
  static constexpr bool kCommon = true;
  static TL_INLINE b32 values(const uint8_t* b, int) { return nibbles(b + 4); }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int, int h) {
    return field(join16(a + 4, b + 4), 4 * h, 15);
  }
  static constexpr int kRaw = 4;
  static TL_INLINE void raw_words(EightRows w, int, b32* raw) { four_words(w, 4, raw); }
  static TL_INLINE b32 word(const b32* raw, int, int k) { return nibble_word(raw, k); }
  static TL_INLINE void eight_scales(const auto& w, int64_t at, float* d, float* m) {
    u32x8 x[4];
    four_words(w, at, x);
    store_at(d, low_halves(x[0]));
    store_at(m, high_halves(x[0]));
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float* m) {
    half_pairs_at<kBytes>(b, n, d, m);
  }
};

// Half h of rows p and p + 4: nibbles `at` bytes into the block, and fifth bits of all eight rows,
// which share the loads of the scales.
TL_INLINE b32 fifth_bits(EightRows w, int at, int p, int h, u32x8 bits) {
  const b32 low = field(join16(w[p] + at, w[p + 4] + at), 4 * h, 15);
  return low | (masks_of_bits((b32)bits, 2 * p + h) & splat32(16));
}

struct Q5_0 : Format<DType::q5_0, 32, QuantScheme::shifted, 31, -16> {
  static constexpr bool kCommon = true;
  static TL_INLINE b32 values(const uint8_t* b, int) {
    return nibbles(b + 6) | expand_bits(word_at(b + 2), 16);
  }
  static TL_INLINE b32 half(EightRows w, int p, int h) {
    u32x8 x[4];
    four_words(w, 0, x);
    return fifth_bits(w, 6, p, h, x[0] >> 16 | x[1] << 16);
  }
};

struct Q5_1 : Format<DType::q5_1, 32, QuantScheme::minimum, 31> {
  static TL_INLINE b32 values(const uint8_t* b, int) {
    return nibbles(b + 8) | expand_bits(word_at(b + 4), 16);
  }
  static TL_INLINE b32 half(EightRows w, int p, int h) {
    u32x8 x[4];
    four_words(w, 0, x);
    return fifth_bits(w, 8, p, h, x[1]);
  }
  static TL_INLINE void eight_scales(const auto& w, int64_t at, float* d, float* m) {
    u32x8 x[4];
    four_words(w, at, x);
    store_at(d, low_halves(x[0]));
    store_at(m, high_halves(x[0]));
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float* m) {
    half_pairs_at<kBytes>(b, n, d, m);
  }
};

struct Q8_0 : Format<DType::q8_0, 32, QuantScheme::plain, 128> {
  static constexpr bool kCommon = true;
  static TL_INLINE b32 values(const uint8_t* b, int) { return load32(b + 2); }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int, int h) {
    return join16(a + 2 + 16 * h, b + 2 + 16 * h);
  }
};

// As Q8_0, with d·Σq behind the scale, which only its use for activations needs.
struct Q8_1 : Format<DType::q8_1, 32, QuantScheme::plain, 128> {
  static TL_INLINE b32 values(const uint8_t* b, int) { return load32(b + 4); }
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int, int h) {
    return join16(a + 4 + 16 * h, b + 4 + 16 * h);
  }
};

// 128 bits: a set one is d, the others -d. The bytes are 0 and 2.
struct Q1_0 : Format<DType::q1_0, 32, QuantScheme::shifted, 2, -1> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    return expand_bits(word_at(b + 2 + 4 * unit), 2);
  }
  static constexpr int kStep = 4;
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int i, int h) {
    return masks_of_bits(join16(a + 2, b + 2), 2 * i + h) & splat32(2);
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    repeated_halves_at<kBytes, kUnits>(b, n, d);
  }
};

// 64 fields of 2 bits, 4 to a byte: d·(q - 1).
struct Q2_0 : Format<DType::q2_0, 32, QuantScheme::shifted, 3, -1> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    b16 x = load8(b + 2 + 8 * unit);
    x = __builtin_shufflevector(x, (b16)((u16x8)x >> 4), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21,
                                6, 22, 7, 23);  // nibbles in order
    const b16 even = x & 3, odd = (b16)((u16x8)x >> 2) & 3;
    return join(
        __builtin_shufflevector(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
        __builtin_shufflevector(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                31));
  }
  static constexpr int kStep = 2;
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int i, int h) {
    const uint8_t *p = a + 2 + 8 * i + 4 * h, *q = b + 2 + 8 * i + 4 * h;
    // Each byte four times, of which each takes its own two bits.
    const b32 x = repeat_bytes(word_at(p), word_at(q));
    const b32 low = (b32)(u32x8{} + 0x40100401u), high = (b32)(u32x8{} + 0x80200802u);
    const b32 one = (b32)((x & low) == low), two = (b32)((x & high) == high);
    return (b32{} - one) - (two + two);
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    repeated_halves_at<kBytes, kUnits>(b, n, d);
  }
};

}  // namespace tl::TL_ISA
