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
#if defined(__AVX2__)
  // One 32-bit word in each 64-bit lane; what stands in a lane's upper half is ignored by the
  // multiplication and dropped at the end.
  __m256i c[2][4];
  for (int h = 0; h < 2; ++h) {
    const __m256i at = _mm256_add_epi64(_mm256_set1_epi64x(static_cast<int64_t>(counter + 4 * h)),
                                        _mm256_setr_epi64x(0, 1, 2, 3));
    c[h][0] = at;
    c[h][1] = _mm256_srli_epi64(at, 32);
    c[h][2] = c[h][3] = _mm256_setzero_si256();
  }
  const __m256i m0 = _mm256_set1_epi64x(kPhiloxM0), m1 = _mm256_set1_epi64x(kPhiloxM1);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int i = 0; i < 10; ++i) {
    const __m256i key0 = _mm256_set1_epi64x(k0), key1 = _mm256_set1_epi64x(k1);
    for (int h = 0; h < 2; ++h) {
      const __m256i p0 = _mm256_mul_epu32(m0, c[h][0]), p1 = _mm256_mul_epu32(m1, c[h][2]);
      c[h][0] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(c[h][1], key0));
      c[h][2] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(c[h][3], key1));
      c[h][1] = p1;
      c[h][3] = p0;
    }
    k0 += kPhiloxW0;
    k1 += kPhiloxW1;
  }
  for (int h = 0; h < 2; ++h) {
    // Words 0 and 1, 2 and 3 of a block side by side, then the halves of the blocks together.
    const __m256i a = _mm256_blend_epi32(c[h][0], _mm256_slli_epi64(c[h][1], 32), 0xaa);
    const __m256i b = _mm256_blend_epi32(c[h][2], _mm256_slli_epi64(c[h][3], 32), 0xaa);
    const __m256i low = _mm256_unpacklo_epi64(a, b), high = _mm256_unpackhi_epi64(a, b);
    auto* out = reinterpret_cast<__m256i*>(words + 16 * h);
    _mm256_storeu_si256(out, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(low, high, 0x31));
  }
#else
  for (int i = 0; i < kPhiloxBatch; ++i) philox(seed, counter + i, 0, words + 4 * i);
#endif
}

}  // namespace tl::TL_ISA
