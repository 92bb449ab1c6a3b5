// IQ1: 8 weights of -1, 0 or 1 by an index of 11 bits, all moved up or down by an eighth. In
// eighths a weight is 8·w ± 1, and the bytes, from 0 to 18, are 9 more than that.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

// f16 d; low 8 bits of 32 indices; 8 u16: 4 × 3 high bits, a scale of 3 bits, the move's sign.
struct IQ1_S : Format<DType::iq1_s, 32, Form::shifted, 18, -9> {
  struct Block {
    alignas(32) uint16_t index[32];
    const uint8_t* b;
  };
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    block.b = b + 34;
#ifdef __AVX2__
    // Each u16 goes to four lanes; each lane brings its own 3 bits to bit 9, then all go to bit 8.
    const b32 copy = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3,  //
                                      4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);
    const b32 shift = _mm256_set1_epi64x(0x0001000800400200);
    for (int i = 0; i < 2; ++i) {
      __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 2 + 16 * i));
      b32 high = _mm256_set1_epi64x(static_cast<int64_t>(long_at(b + 34 + 8 * i)));
      high = _mm256_mullo_epi16(_mm256_shuffle_epi8(high, copy), shift);
      high = and32(_mm256_srli_epi16(high, 1), _mm256_set1_epi16(0x700));
      store32(block.index + 16 * i, operator_or(_mm256_cvtepu8_epi16(low), high));
    }
#else
    for (int i = 0; i < 32; ++i) {
      block.index[i] =
          static_cast<uint16_t>(b[2 + i] | (short_at(b + 34 + i / 4 * 2) >> i % 4 * 3 & 7) << 8);
    }
#endif
    return block;
  }
  static TL_INLINE b32 values(const Block& block, int unit) {
    b32 w = join_eights(kIq1Bytes, block.index + 4 * unit);
    return add32(w, splat32(block.b[2 * unit + 1] & 0x80 ? 0 : 2));
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    float eighth = half_at(b) * 0.125f;
#ifdef __AVX2__
    __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 34));
    x = _mm_or_si128(_mm_and_si128(_mm_srli_epi16(x, 11), _mm_set1_epi16(14)), _mm_set1_epi16(1));
    store(d, splat(eighth) * (vf)_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(x)));
#else
    for (int j = 0; j < 8; ++j)
      d[j] = eighth * static_cast<float>((b[35 + 2 * j] >> 4 & 7) * 2 + 1);
#endif
  }
};

// Low 8 bits of 32 indices; 32 nibbles: 3 high bits, the move's sign; 4 u16 of 4 scales of 3 bits
// each and a quarter of the f16 d at the top.
struct IQ1_M : Format<DType::iq1_m, 16, Form::shifted, 18, -9> {
  struct Block {
    alignas(32) uint16_t index[32];
    const uint8_t* b;
  };
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    block.b = b + 32;
#ifdef __AVX2__
    for (int i = 0; i < 2; ++i) {
      __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 16 * i));
      __m128i pairs = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(b + 32 + 8 * i));
      pairs = _mm_and_si128(_mm_unpacklo_epi8(pairs, _mm_srli_epi16(pairs, 4)), _mm_set1_epi8(7));
      b32 high = _mm256_slli_epi16(_mm256_cvtepu8_epi16(pairs), 8);
      store32(block.index + 16 * i, operator_or(_mm256_cvtepu8_epi16(low), high));
    }
#else
    for (int i = 0; i < 32; ++i)
      block.index[i] = static_cast<uint16_t>(b[i] | (b[32 + i / 2] >> i % 2 * 4 & 7) << 8);
#endif
    return block;
  }
  static TL_INLINE b32 values(const Block& block, int unit) {
    b32 w = join_eights(kIq1Bytes, block.index + 4 * unit);
    const uint8_t* signs = block.b + 2 * unit;
#ifdef __AVX2__
    b32 bits = _mm256_setr_epi64x(0x0008000800080008, 0x0080008000800080, 0x0800080008000800,
                                  static_cast<int64_t>(0x8000800080008000ull));
    b32 x = and32(_mm256_set1_epi16(static_cast<int16_t>(short_at(signs))), bits);
    x = and32(_mm256_cmpeq_epi16(x, _mm256_setzero_si256()), splat32(2));
    return add32(w, x);
#else
    return add32(w, bytes32([=](int i) { return signs[i / 16] >> i / 8 % 2 * 4 & 8 ? 0 : 2; }));
#endif
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    uint64_t x = long_at(b + 48);
    uint64_t top = x & 0xf000f000f000f000;
    float scale =
        to_float(f16{static_cast<uint16_t>(top >> 12 | top >> 24 | top >> 36 | top >> 48)});
    for (int j = 0; j < 2; ++j, d += 8, x >>= 32) {
      // Four fields of 3 bits in each half: apart to 16 bits, then to bytes.
      uint64_t y = (x & 0xfff) | (x & 0xfff0000) << 16;
      y = (y & 0x0000003f0000003f) | (y & 0x00000fc000000fc0) << 10;
      y = (y & 0x0007000700070007) | (y & 0x0038003800380038) << 5;
      scale8(scale * 0.125f, odd8(y), d);
    }
  }
};

}  // namespace tl::TL_ISA
