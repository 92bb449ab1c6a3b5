// IQ2 and IQ3: 8 (or 4) magnitudes by an index into a codebook, and their signs.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

// open() gives a Block with `signs`: 8 bits for each 8 weights.
template <DType kType, int kGroupSize, int kTopValue>
struct Masked : Format<kType, kGroupSize, QuantScheme::masked, kTopValue> {
  template <class B>
  static TL_INLINE b32 mask(const B& block, int unit) {
    return mask_of_bits(word_at(block.signs + 4 * unit));
  }
};

// 7 bits in each byte, with the eighth that makes their number even.
TL_INLINE b32 even_bits(b32 x) {
  alignas(16) static constexpr int8_t kOdd[16] = {0,    -128, -128, 0,    -128, 0,    0,    -128,
                                                  -128, 0,    0,    -128, 0,    -128, -128, 0};
  return x | (lookup32(kOdd, field(x, 0, 15)) ^ lookup32(kOdd, field(x, 4, 15)));
}

// 8 words of four 7-bit fields and a 4-bit scale above them: one behind the other, or the second
// ones of 8 pairs.
template <bool kPairs>
struct SignWords {
  const uint8_t* p;
  TL_INLINE u32x8 words() const {
    const u32x8 low = load_as<u32x8>(p);
    if constexpr (!kPairs) return low;
    return __builtin_shufflevector(low, load_as<u32x8>(p + 32), 1, 3, 5, 7, 9, 11, 13, 15);
  }
  TL_INLINE b32 signs() const {
    const u32x8 x = words();
    return even_bits(
        (b32)((x & 0x7f) | (x << 1 & 0x7f00) | (x << 2 & 0x7f0000) | (x << 3 & 0x7f000000)));
  }
  // d·(2s + 1)
  TL_INLINE void scales(float d, float* to) const {
    store_at(to, d * __builtin_convertvector((i32x8)(words() >> 28 << 1 | 1), f32x8));
  }
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
  scale8(d, odd_bytes(nibbles8(word_at(nibbles))), to);
  scale8(d, odd_bytes(nibbles8(word_at(nibbles + 4))), to + 8);
}

// f16 d; 32 u16 of 9 bits index and 7 signs; 16 scales of 4 bits.
struct IQ2_XS : Masked<DType::iq2_xs, 16, 43> {
  struct Block {
    alignas(32) uint8_t signs[32];
    alignas(32) uint16_t index[32];
  };
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    const u16x16 low = load_as<u16x16>(b + 2), high = load_as<u16x16>(b + 34);
    store_at(block.index, low & 511);
    store_at(block.index + 16, high & 511);
    store32(block.signs, even_bits(to_bytes(low >> 9, high >> 9)));
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
    // Each byte of four bit pairs goes to four lanes, and each lane shifts its own pair to bit 8.
    const u16x16 shift = (u16x16)(u64x4{} + 0x0004001000400100);
    for (int i = 0; i < 2; ++i) {
      auto pairs = [&](int j) { return b[66 + 4 * i + j] * 0x0001000100010001ull; };
      const u16x16 x = (u16x16)u64x4{pairs(0), pairs(1), pairs(2), pairs(3)};
      store_at(block.index + 16 * i,
               unsigned16(load_as<b16>(b + 2 + 16 * i)) | (x * shift & 0x300));
    }
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
    const u16x16 bits = {1,   2,   4,    8,    16,   32,   64,    128,
                         256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    for (int i = 0; i < 4; ++i) {
      const u16x16 high = u16x16{} + short_at(b + 66 + 2 * i);
      store_at(block.index + 16 * i,
               unsigned16(load_as<b16>(b + 2 + 16 * i)) | ((u16x16)((high & bits) == bits) & 256));
    }
    return block;
  }
  static TL_INLINE b32 values(const Block& block, int unit) {
    return join_quads(kIq3sGrid, block.index + 8 * unit);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    scale8(half_at(b), odd_bytes(nibbles8(word_at(b + 106))), d);
  }
};

}  // namespace tl::TL_ISA
