// IQ1: 8 weights of -1, 0 or 1 by an index of 11 bits, all moved up or down by an eighth. In
// eighths a weight is 8·w ± 1, and the bytes, from 0 to 18, are 9 more than that.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

// f16 d; low 8 bits of 32 indices; 8 u16: 4 × 3 high bits, a scale of 3 bits, the move's sign.
struct IQ1_S : Format<DType::iq1_s, 32, QuantScheme::shifted, 18, -9> {
  struct Block {
    alignas(32) uint16_t index[32];
    const uint8_t* b;
  };
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    block.b = b + 34;
    // Each u16 goes to four lanes; each lane brings its own 3 bits to bit 9, then all go to bit 8.
    const u16x16 shift = (u16x16)(u64x4{} + 0x0001000800400200);
    for (int i = 0; i < 2; ++i) {
      auto four = [&](int j) { return short_at(b + 34 + 8 * i + 2 * j) * 0x0001000100010001ull; };
      const u16x16 x = (u16x16)u64x4{four(0), four(1), four(2), four(3)};
      store_at(block.index + 16 * i,
               unsigned16(load_as<b16>(b + 2 + 16 * i)) | ((x * shift) >> 1 & 0x700));
    }
    return block;
  }
  static TL_INLINE b32 values(const Block& block, int unit) {
    b32 w = join_eights(kIq1Bytes, block.index + 4 * unit);
    return w + splat32(block.b[2 * unit + 1] & 0x80 ? 0 : 2);
  }
  static TL_INLINE void block_scales(const uint8_t* b, float* d, float*) {
    float eighth = half_at(b) * 0.125f;
    const u16x8 x = (load_as<u16x8>(b + 34) >> 11 & 14) | 1;
    store_at(d, eighth * __builtin_convertvector((i32x8)widen(x), f32x8));
  }
};

// Low 8 bits of 32 indices; 32 nibbles: 3 high bits, the move's sign; 4 u16 of 4 scales of 3 bits
// each and a quarter of the f16 d at the top.
struct IQ1_M : Format<DType::iq1_m, 16, QuantScheme::shifted, 18, -9> {
  struct Block {
    alignas(32) uint16_t index[32];
    const uint8_t* b;
  };
  static TL_INLINE Block open(const uint8_t* b) {
    Block block;
    block.b = b + 32;
    for (int i = 0; i < 2; ++i) {
      b16 x = load8(b + 32 + 8 * i);
      x = __builtin_shufflevector(x, (b16)((u16x8)x >> 4), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21,
                                  6, 22, 7, 23);
      store_at(block.index + 16 * i, unsigned16(load_as<b16>(b + 16 * i)) | unsigned16(x & 7) << 8);
    }
    return block;
  }
  static TL_INLINE b32 values(const Block& block, int unit) {
    b32 w = join_eights(kIq1Bytes, block.index + 4 * unit);
    const uint8_t* signs = block.b + 2 * unit;
    const u16x16 bits = (u16x16)u64x4{0x0008000800080008, 0x0080008000800080, 0x0800080008000800,
                                      0x8000800080008000};
    const u16x16 x = (u16x16{} + short_at(signs)) & bits;
    return w + ((b32)(x == 0) & 2);
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
      scale8(scale * 0.125f, odd_bytes(y), d);
    }
  }
};

}  // namespace tl::TL_ISA
