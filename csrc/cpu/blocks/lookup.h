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
      auto e = [&](int64_t j) { return static_cast<int>(b[(i + j < n ? j : n - 1 - i) * kBytes]); };
#ifdef __AVX2__
      __m128i bytes = _mm_setr_epi8(e(0), e(1), e(2), e(3), e(4), e(5), e(6), e(7),  //
                                    0, 0, 0, 0, 0, 0, 0, 0);
      __m256i x = _mm256_cvtepu8_epi32(bytes);
      __m256i bits = _mm256_slli_epi32(_mm256_sub_epi32(x, _mm256_set1_epi32(1)), 23);
      __m256i least = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), x);  // subnormal
      store(d, select((vi)_mm256_cmpgt_epi32(_mm256_set1_epi32(2), x), (vf)least, (vf)bits));
#else
      for (int j = 0; j < 8; ++j) {
        uint32_t bits = e(j) < 2 ? 0x00200000u << e(j) : static_cast<uint32_t>(e(j) - 1) << 23;
        memcpy(d + j, &bits, 4);
      }
#endif
    }
  }
};

// 4 unsigned E4M3 scales of 16 weights each, then 8 bytes for each 16: low nibbles first.
struct NVFP4 : Format<DType::nvfp4, 16, Form::shifted, 24, -12> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    const uint8_t* q = b + 4 + 16 * unit;
#ifdef __AVX2__
    __m256i x = _mm256_permute4x64_epi64(
        _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(q))), 0x50);
    x = _mm256_and_si256(_mm256_srlv_epi64(x, _mm256_setr_epi64x(0, 4, 0, 4)), splat32(15));
    return lookup32(kE2m1Bytes, x);
#else
    return bytes32([=](int i) { return kE2m1Bytes[q[i / 16 * 8 + i % 8] >> i % 16 / 8 * 4 & 15]; });
#endif
  }
  // As the gguf package reads it: the sign bit is ignored, 0x7f is 0. By way of f16, whose exponent
  // has a bias of 15 for 7: times 2^8, halved for the doubled values.
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    for (int64_t i = 0; i < n; i += 2, b += 2 * kBytes, d += 8) {
      uint32_t low = word_at(b), high = i + 1 < n ? word_at(b + kBytes) : low;
#ifdef __AVX2__
      __m128i x = _mm_cvtepu8_epi16(
          _mm_cvtsi64_si128(static_cast<int64_t>(low | static_cast<uint64_t>(high) << 32)));
      __m128i none = _mm_cmpeq_epi16(x, _mm_set1_epi16(0x7f));
      x = _mm_andnot_si128(none, _mm_slli_epi16(_mm_and_si128(x, _mm_set1_epi16(0x7f)), 7));
      store(d, (vf)_mm256_cvtph_ps(x) * splat(128.f));
#else
      for (int j = 0; j < 8; ++j) {
        uint32_t byte = (j < 4 ? low : high) >> j % 4 * 8 & 0xff;
        d[j] = byte == 0x7f ? 0 : to_float(f16{static_cast<uint16_t>((byte & 0x7f) << 7)}) * 128.f;
      }
#endif
    }
  }
};

}  // namespace tl::TL_ISA
