// Formats of three values, -d, 0 and d, to 256 weights: TQ1_0, TQ2_0.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

// 64 bytes of bit pairs, f16 d: d·(q - 1), q up to 3 in bytes that no quantiser writes.
struct TQ2_0 : Format<DType::tq2_0, 32, QuantScheme::shifted, 3, -1> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    return field(load32(b + unit / 4 * 32), unit % 4 * 2, 3);
  }
  static constexpr int kStep = 4;
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int j, int i, int h) {
    const int at = 32 * j + 16 * h;
    return field(join16(a + at, b + at), 2 * i, 3);
  }
  static TL_INLINE void eight_scales(const auto& w, int64_t at, float* d, float*) {
    u32x8 x[4];
    four_words(w, at + 50, x);  // d in the last word
    each_same<kGroups>(high_halves(x[3]), d);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    repeat_scale(half_at(b + 64), d);
  }
};

// A byte is a fraction x/256 in base 3: its digits come out at the top, one after each
// multiplication by 3 modulo 256. Bytes 0–31 hold weights 0–159 (digit k: 32k …), bytes 32–47
// weights 160–239 (digit k: 160 + 16k …), bytes 48–51 weights 240–255 (digit k: 240 + 4k …); f16 d.
struct TQ1_0 : Format<DType::tq1_0, 32, QuantScheme::shifted, 2, -1> {
  // For each unit of 32 the bytes with its digit on top.
  struct Block {
    b32 unit[8];
  };
  // Bytes have no multiplication of their own.
  template <SimdVector V>
  static TL_INLINE V triple(V x) {
    return x + x + x;
  }
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    b32 x = block.unit[0] = load32(b);
#pragma GCC unroll 4
    for (int i = 1; i < 5; ++i) block.unit[i] = x = triple(x);
    // Three times two digits of 16 bytes, then four of 4 bytes.
    b16 half = load_as<b16>(b + 32);
    u32x8 rest[3];
#pragma GCC unroll 3
    for (u32x8& two : rest) {
      const b16 next = triple(half);
      two = (u32x8)join(half, next);
      half = triple(next);
    }
    block.unit[5] = (b32)rest[0];
    block.unit[6] = (b32)rest[1];
    const b32 last = (b32)(u32x8{} + word_at(b + 48)), second = triple(last),
              third = triple(second);
    const u32x8 low = __builtin_shufflevector((u32x8)last, (u32x8)second, 0, 1, 2, 3, 4, 13, 6, 7),
                high = __builtin_shufflevector((u32x8)third, (u32x8)triple(third), 0, 1, 2, 3, 4, 5,
                                               6, 15),
                tail = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 14, 15);
    block.unit[7] = (b32)__builtin_shufflevector(rest[2], tail, 0, 1, 2, 3, 12, 13, 14, 15);
    return block;
  }
  // x·3 / 256 = how many thirds of 256 fit in x.
  static TL_INLINE b32 values(const Block& block, int unit) {
    const b32 x = block.unit[unit];
    return (b32{} - (b32)(x > 85)) - (b32)(x > 170);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    repeat_scale(half_at(b + 52), d);
  }
  static TL_INLINE void eight_scales(const auto& w, int64_t at, float* d, float*) {
    u32x8 x[4];
    four_words(w, at + 38, x);
    each_same<kGroups>(high_halves(x[3]), d);
  }
};

}  // namespace tl::TL_ISA
