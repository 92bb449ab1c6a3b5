// IQ2 and IQ3: 8 (or 4) magnitudes by an index into a codebook, and their signs.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

// open() gives a Block with `signs`: 8 bits for each 8 weights.
template <DType kType, int kGroupSize, int kTopValue>
struct Masked : Format<kType, kGroupSize, Form::masked, kTopValue> {
  template <class B>
  static TL_INLINE b32 mask(const B& block, int unit) {
    return mask_of_bits(word_at(block.signs + 4 * unit));
  }
};

// 7 bits in each byte, with the eighth that makes their number even.
TL_INLINE b32 even_bits(b32 x) {
#ifdef __AVX2__
  alignas(16) static constexpr int8_t kOdd[16] = {0,    -128, -128, 0,    -128, 0,    0,    -128,
                                                  -128, 0,    0,    -128, 0,    -128, -128, 0};
  b32 parity = _mm256_xor_si256(lookup32(kOdd, field(x, 0, 15)), lookup32(kOdd, field(x, 4, 15)));
  return operator_or(x, parity);
#else
  return bytes32([=](int i) { return even_signs(x.v[i]); });
#endif
}

// 8 words of four 7-bit fields and a 4-bit scale above them: one behind the other, or the second
// ones of 8 pairs.
template <bool kPairs>
struct SignWords {
  const uint8_t* p;
#ifdef __AVX2__
  TL_INLINE b32 load() const {
    if constexpr (!kPairs) return load32(p);
    __m256 low = _mm256_loadu_ps(reinterpret_cast<const float*>(p)),
           high = _mm256_loadu_ps(reinterpret_cast<const float*>(p + 32));
    return _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xdd)), 0xd8);
  }
  TL_INLINE b32 signs() const {
    b32 x = load();
    auto byte = [&](int shift, int mask) {
      return _mm256_and_si256(_mm256_slli_epi32(x, shift), _mm256_set1_epi32(mask));
    };
    return even_bits(operator_or(operator_or(byte(0, 0x7f), byte(1, 0x7f00)),
                                 operator_or(byte(2, 0x7f0000), byte(3, 0x7f000000))));
  }
  // d·(2s + 1)
  TL_INLINE void scales(float d, float* to) const {
    b32 odd =
        operator_or(_mm256_slli_epi32(_mm256_srli_epi32(load(), 28), 1), _mm256_set1_epi32(1));
    store(to, splat(d) * (vf)_mm256_cvtepi32_ps(odd));
  }
#else
  TL_INLINE uint32_t word(int i) const { return word_at(p + (kPairs ? 8 * i + 4 : 4 * i)); }
  TL_INLINE b32 signs() const {
    return even_bits(bytes32([&](int i) { return word(i / 4) >> 7 * (i % 4) & 0x7f; }));
  }
  TL_INLINE void scales(float d, float* to) const {
    for (int i = 0; i < 8; ++i) to[i] = d * static_cast<float>((word(i) >> 28) * 2 + 1);
  }
#endif
};

// The indices as they are, the signs worked out.
struct SignedBlock {
  const uint8_t* index;
  alignas(32) uint8_t signs[32];
};
template <bool kPairs>
TL_INLINE SignedBlock signed_block(const uint8_t* index, const uint8_t* words) {
  SignedBlock block;
  block.index = index;
  store32(block.signs, SignWords<kPairs>{words}.signs());
  return block;
}

// f16 d; for each 32 weights 4 indices of 8 bits, then 4 × 7 signs and a scale of 4 bits.
struct IQ2_XXS : Masked<DType::iq2_xxs, 32, 43> {
  static TL_INLINE SignedBlock open(const uint8_t* b) { return signed_block<true>(b + 2, b + 2); }
  static TL_INLINE b32 values(const SignedBlock& block, int unit) {
    return join_eights(kIq2xxsGrid, block.index + 8 * unit);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    SignWords<true>{b + 2}.scales(half_at(b) * 0.125f, d);
  }
};

// Scales of 4 bits to 16 weights, d·(2s + 1).
TL_INLINE void nibble_scales(const uint8_t* nibbles, float d, float* to) {
  scale8(d, odd8(nibbles8(word_at(nibbles))), to);
  scale8(d, odd8(nibbles8(word_at(nibbles + 4))), to + 8);
}

// f16 d; 32 u16 of 9 bits index and 7 signs; 16 scales of 4 bits.
struct IQ2_XS : Masked<DType::iq2_xs, 16, 43> {
  struct Block {
    alignas(32) uint8_t signs[32];
    alignas(32) uint16_t index[32];
  };
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
#ifdef __AVX2__
    b32 low = load32(b + 2), high = load32(b + 34);
    const b32 nine = _mm256_set1_epi16(511);
    store32(block.index, and32(low, nine));
    store32(block.index + 16, and32(high, nine));
    b32 seven = _mm256_packus_epi16(_mm256_srli_epi16(low, 9), _mm256_srli_epi16(high, 9));
    store32(block.signs, even_bits(_mm256_permute4x64_epi64(seven, 0xd8)));
#else
    for (int i = 0; i < 32; ++i) {
      uint16_t x = short_at(b + 2 + 2 * i);
      block.index[i] = x & 511;
      block.signs[i] = even_signs(x >> 9);
    }
#endif
    return block;
  }
  static TL_INLINE b32 values(const Block& block, int unit) {
    return join_eights(kIq2xsGrid, block.index + 4 * unit);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    nibble_scales(b + 66, half_at(b) * 0.125f, d);
  }
};

// f16 d; low 8 bits of 32 indices; 32 bytes of signs; 32 high bit pairs; 16 scales of 4 bits.
struct IQ2_S : Masked<DType::iq2_s, 16, 43> {
  struct Block {
    const uint8_t* signs;
    alignas(32) uint16_t index[32];
  };
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    block.signs = b + 34;
#ifdef __AVX2__
    // Each byte of four bit pairs goes to four lanes, and each lane shifts its own pair to bit 8.
    const b32 copy = _mm256_setr_epi8(0, -1, 0, -1, 0, -1, 0, -1, 1, -1, 1, -1, 1, -1, 1, -1,  //
                                      2, -1, 2, -1, 2, -1, 2, -1, 3, -1, 3, -1, 3, -1, 3, -1);
    const b32 shift = _mm256_set1_epi64x(0x0004001000400100);
    for (int i = 0; i < 2; ++i) {
      __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 2 + 16 * i));
      b32 pairs = _mm256_set1_epi32(static_cast<int>(word_at(b + 66 + 4 * i)));
      pairs = _mm256_mullo_epi16(_mm256_shuffle_epi8(pairs, copy), shift);
      pairs = and32(pairs, _mm256_set1_epi16(0x300));
      store32(block.index + 16 * i, operator_or(_mm256_cvtepu8_epi16(low), pairs));
    }
#else
    for (int i = 0; i < 32; ++i)
      block.index[i] = static_cast<uint16_t>(b[2 + i] | (b[66 + i / 4] >> i % 4 * 2 & 3) << 8);
#endif
    return block;
  }
  static TL_INLINE b32 values(const Block& block, int unit) {
    return join_eights(kIq2sGrid, block.index + 4 * unit);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    nibble_scales(b + 74, half_at(b) * 0.125f, d);
  }
};

// 8 entries of 4 bytes.
template <class G, class I>
TL_INLINE b32 join_quads(const G& grid, const I* i) {
  auto pair = [&](int at) { return grid[i[at]] | static_cast<uint64_t>(grid[i[at + 1]]) << 32; };
  return join32(pair(0), pair(2), pair(4), pair(6));
}

// f16 d; 64 indices of 8 bits; for each 32 weights 4 × 7 signs and a scale of 4 bits. All
// magnitudes are even: the bytes are their halves.
struct IQ3_XXS : Masked<DType::iq3_xxs, 32, 31> {
  static TL_INLINE SignedBlock open(const uint8_t* b) { return signed_block<false>(b + 2, b + 66); }
  static TL_INLINE b32 values(const SignedBlock& block, int unit) {
    return join_quads(kIq3xxsHalves, block.index + 8 * unit);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    SignWords<false>{b + 66}.scales(half_at(b) * 0.5f, d);
  }
};

// f16 d; low 8 bits of 64 indices; their ninth bits; 32 bytes of signs; 8 scales of 4 bits.
struct IQ3_S : Masked<DType::iq3_s, 32, 15> {
  struct Block {
    const uint8_t* signs;
    alignas(32) uint16_t index[64];
  };
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    block.signs = b + 74;
#ifdef __AVX2__
    const b32 bits = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                       8192, 16384, static_cast<int16_t>(0x8000));
    for (int i = 0; i < 4; ++i) {
      __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 2 + 16 * i));
      b32 high = _mm256_set1_epi16(static_cast<int16_t>(short_at(b + 66 + 2 * i)));
      high = _mm256_cmpeq_epi16(and32(high, bits), bits);
      high = and32(high, _mm256_set1_epi16(256));
      store32(block.index + 16 * i, operator_or(_mm256_cvtepu8_epi16(low), high));
    }
#else
    for (int i = 0; i < 64; ++i)
      block.index[i] = static_cast<uint16_t>(b[2 + i] | (b[66 + i / 8] >> i % 8 & 1) << 8);
#endif
    return block;
  }
  static TL_INLINE b32 values(const Block& block, int unit) {
    return join_quads(kIq3sGrid, block.index + 8 * unit);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    scale8(half_at(b), odd8(nibbles8(word_at(b + 106))), d);
  }
};

}  // namespace tl::TL_ISA
