// Formats of three values, -d, 0 and d, to 256 weights: TQ1_0, TQ2_0.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

// 64 bytes of bit pairs, f16 d: d·(q - 1), q up to 3 in bytes that no quantiser writes.
struct TQ2_0 : Format<DType::tq2_0, 32, Form::shifted, 3, -1> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    return field(load32(b + unit / 4 * 32), unit % 4 * 2, 3);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    eight_same(half_at(b + 64), d);
  }
};

// A byte is a fraction x/256 in base 3: its digits come out at the top, one after each
// multiplication by 3 modulo 256. Bytes 0–31 hold weights 0–159 (digit k: 32k …), bytes 32–47
// weights 160–239 (digit k: 160 + 16k …), bytes 48–51 weights 240–255 (digit k: 240 + 4k …); f16 d.
struct TQ1_0 : Format<DType::tq1_0, 32, Form::shifted, 2, -1> {
#ifdef __AVX2__
  // For each unit of 32 the bytes with its digit on top.
  struct Block {
    b32 unit[8];
  };
  static TL_INLINE b32 triple(b32 x) { return _mm256_add_epi8(x, _mm256_add_epi8(x, x)); }
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    b32 x = block.unit[0] = load32(b);
#pragma GCC unroll 4
    for (int i = 1; i < 5; ++i) block.unit[i] = x = triple(x);
    __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 32));
    x = _mm256_set_m128i(half, half);
    b32 next = triple(x);
    block.unit[5] = _mm256_blend_epi32(x, next, 0xf0);
    next = triple(x = triple(next));
    block.unit[6] = _mm256_blend_epi32(x, next, 0xf0);
    x = triple(next);
    b32 last = _mm256_set1_epi32(static_cast<int>(word_at(b + 48)));
    x = _mm256_blend_epi32(x, last, 0x10);
    x = _mm256_blend_epi32(x, last = triple(last), 0x20);
    x = _mm256_blend_epi32(x, last = triple(last), 0x40);
    block.unit[7] = _mm256_blend_epi32(x, triple(last), 0x80);
    return block;
  }
  // x·3 / 256 = how many thirds of 256 fit in x.
  static TL_INLINE b32 values(const Block& block, int unit) {
    b32 x = _mm256_xor_si256(block.unit[unit], splat32(0x80));  // compares are signed
    b32 one = _mm256_cmpgt_epi8(x, splat32(85 - 128)),
        two = _mm256_cmpgt_epi8(x, splat32(170 - 128));
    return _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(one, two));
  }
#else
  // Not inlined: where it is, GCC 12 at -O2 mixes up the results of calls for different blocks.
  static __attribute__((noinline)) void digits(const uint8_t* b, int unit, uint8_t* to) {
    constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
    for (int i = 0; i < 32; ++i) {
      int e = 32 * unit + i, width = e < 160 ? 32 : e < 240 ? 16 : 4;
      int from = e < 160 ? 0 : e < 240 ? 160 : 240, at = e < 160 ? 0 : e < 240 ? 32 : 48;
      uint8_t x = b[at + (e - from) % width];
      to[i] = static_cast<uint8_t>(static_cast<uint8_t>(x * kPowers[(e - from) / width]) * 3 >> 8);
    }
  }
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    b32 w;
    digits(b, unit, w.v);
    return w;
  }
#endif
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    eight_same(half_at(b + 52), d);
  }
};

}  // namespace tl::TL_ISA
