// The counter-based generator Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers:
// as easy as 1, 2, 3; SC 2011): block `counter` under key `seed` is four independent 32-bit words.
// Any block can be made on its own, so any number of threads gives the same numbers.
#pragma once
#include "norm_rows.h"

namespace tl::TL_ISA {

inline constexpr uint32_t kPhiloxM0 = 0xD2511F53, kPhiloxM1 = 0xCD9E8D57;
inline constexpr uint32_t kPhiloxW0 = 0x9E3779B9, kPhiloxW1 = 0xBB67AE85;

// One block; `high` is the upper half of the counter: a stream of its own.
TL_INLINE void philox(uint64_t seed, uint64_t counter, uint64_t high, uint32_t* words) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = static_cast<uint32_t>(high), c3 = static_cast<uint32_t>(high >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int i = 0; i < 10; ++i) {
    const uint64_t p0 = static_cast<uint64_t>(kPhiloxM0) * c0;
    const uint64_t p1 = static_cast<uint64_t>(kPhiloxM1) * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += kPhiloxW0;
    k1 += kPhiloxW1;
  }
  words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}

inline constexpr int kPhiloxBatch = 8;  // blocks made at once

// kPhiloxBatch blocks from `counter` on: words[4 * block + word].
TL_INLINE void philox_batch(uint64_t seed, uint64_t counter, uint32_t* words) {
  if constexpr (kLanes < 8) {
    for (int i = 0; i < kPhiloxBatch; ++i) philox(seed, counter + i, 0, words + 4 * i);
    return;
  }
  // One 32-bit word in each 64-bit lane; what stands in a lane's upper half is ignored by the
  // multiplication and dropped at the end.
  u64x4 c[2][4] = {};
  for (int h = 0; h < 2; ++h) {
    c[h][0] = (counter + 4 * h) + u64x4{0, 1, 2, 3};
    c[h][1] = c[h][0] >> 32;
  }
  const u64x4 m0 = u64x4{} + kPhiloxM0, m1 = u64x4{} + kPhiloxM1;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int i = 0; i < 10; ++i) {
    for (int h = 0; h < 2; ++h) {
      const u64x4 p0 = multiply_words(m0, c[h][0]), p1 = multiply_words(m1, c[h][2]);
      c[h][0] = (p1 >> 32) ^ (c[h][1] ^ k0);
      c[h][2] = (p0 >> 32) ^ (c[h][3] ^ k1);
      c[h][1] = p1;
      c[h][3] = p0;
    }
    k0 += kPhiloxW0;
    k1 += kPhiloxW1;
  }
  for (int h = 0; h < 2; ++h) {
    // Words 0 and 1, 2 and 3 of a block side by side, then the halves of the blocks together.
    auto join = [](u64x4 x, u64x4 y) { return (x & 0xffffffff) | y << 32; };
    const u64x4 a = join(c[h][0], c[h][1]), b = join(c[h][2], c[h][3]);
    store_at(words + 16 * h, __builtin_shufflevector(a, b, 0, 4, 1, 5));
    store_at(words + 16 * h + 8, __builtin_shufflevector(a, b, 2, 6, 3, 7));
  }
}

}  // namespace tl::TL_ISA
