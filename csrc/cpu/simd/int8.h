// 32 small integers at a time: unpacking of quantised weights, rounding of activations, and the dot
// product of both. AVX2 has one instruction for u8 × s8 (vpmaddubsw, 16-bit sums of two) and none
// for s8 × s8: signs of weights go to the activations first.
#pragma once
#include "simd.h"

namespace tl::TL_ISA {

// --- 32 bytes, and the few operations that the block formats are unpacked with
// ----------------------------------------

#ifdef __AVX2__
typedef __m256i b32;

TL_INLINE b32 load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
TL_INLINE void store32(void* p, b32 x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
TL_INLINE b32 splat32(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
TL_INLINE b32 operator_or(b32 a, b32 b) { return _mm256_or_si256(a, b); }
TL_INLINE b32 add32(b32 a, b32 b) { return _mm256_add_epi8(a, b); }
// ((x >> shift) & mask) in each byte; right only when the mask drops what comes in from the
// neighbour byte.
TL_INLINE b32 field(b32 x, int shift, int mask) {
  return _mm256_and_si256(_mm256_srli_epi16(x, shift), splat32(mask));
}
// The low nibbles of 16 bytes, then their high nibbles.
TL_INLINE b32 nibbles(const void* p) {
  __m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return _mm256_and_si256(_mm256_srlv_epi64(x, _mm256_setr_epi64x(0, 0, 4, 4)), splat32(15));
}
TL_INLINE b32 shift_left(b32 x, int n) {
  return _mm256_slli_epi16(x, n);
}  // when no bit leaves its byte
// Byte i is 0xff where bit i is set, else 0.
TL_INLINE b32 mask_of_bits(uint32_t bits) {
  const __m256i which =
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i one = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
  __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int32_t>(bits)), which);
  return _mm256_cmpeq_epi8(_mm256_and_si256(x, one), one);
}
TL_INLINE b32 and32(b32 a, b32 b) { return _mm256_and_si256(a, b); }
// -x where the mask is set.
TL_INLINE b32 negate32(b32 x, b32 mask) { return _mm256_sub_epi8(_mm256_xor_si256(x, mask), mask); }
// table[x], for x from 0 to 15.
TL_INLINE b32 lookup32(const int8_t* table, b32 x) {
  __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), x);
}
// |x|, 128 for -128; and a with the sign of x, when x is not 0.
TL_INLINE b32 abs32(b32 x) { return _mm256_abs_epi8(x); }
TL_INLINE b32 sign32(b32 a, b32 x) { return _mm256_sign_epi8(a, x); }
TL_INLINE b32 join32(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  return _mm256_setr_epi64x(static_cast<int64_t>(a), static_cast<int64_t>(b),
                            static_cast<int64_t>(c), static_cast<int64_t>(d));
}
#else
struct b32 {
  uint8_t v[32];
};

TL_INLINE b32 load32(const void* p) {
  b32 x;
  memcpy(&x, p, 32);
  return x;
}
TL_INLINE void store32(void* p, b32 x) { memcpy(p, &x, 32); }
template <class F>
TL_INLINE b32 bytes32(F f) {
  b32 x;
  for (int i = 0; i < 32; ++i) x.v[i] = static_cast<uint8_t>(f(i));
  return x;
}
TL_INLINE b32 splat32(int x) {
  return bytes32([=](int) { return x; });
}
TL_INLINE b32 operator_or(b32 a, b32 b) {
  return bytes32([=](int i) { return a.v[i] | b.v[i]; });
}
TL_INLINE b32 add32(b32 a, b32 b) {
  return bytes32([=](int i) { return a.v[i] + b.v[i]; });
}
TL_INLINE b32 field(b32 x, int shift, int mask) {
  return bytes32([=](int i) { return x.v[i] >> shift & mask; });
}
TL_INLINE b32 nibbles(const void* p) {
  const uint8_t* q = static_cast<const uint8_t*>(p);
  return bytes32([=](int i) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; });
}
TL_INLINE b32 shift_left(b32 x, int n) {
  return bytes32([=](int i) { return x.v[i] << n; });
}
TL_INLINE b32 mask_of_bits(uint32_t bits) {
  return bytes32([=](int i) { return bits >> i & 1 ? 0xff : 0; });
}
TL_INLINE b32 and32(b32 a, b32 b) {
  return bytes32([=](int i) { return a.v[i] & b.v[i]; });
}
TL_INLINE b32 negate32(b32 x, b32 mask) {
  return bytes32([=](int i) { return (x.v[i] ^ mask.v[i]) - mask.v[i]; });
}
TL_INLINE b32 lookup32(const int8_t* table, b32 x) {
  return bytes32([=](int i) { return table[x.v[i]]; });
}
TL_INLINE b32 abs32(b32 x) {
  return bytes32([=](int i) { return x.v[i] & 0x80 ? -x.v[i] : x.v[i]; });
}
TL_INLINE b32 sign32(b32 a, b32 x) {
  return bytes32([=](int i) { return x.v[i] & 0x80 ? -a.v[i] : a.v[i]; });
}
TL_INLINE b32 join32(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  const uint64_t words[4] = {a, b, c, d};
  return load32(words);
}
#endif

// Byte i is `value` where bit i is set.
TL_INLINE b32 spread_bits(uint32_t bits, int value) {
  return and32(mask_of_bits(bits), splat32(value));
}

// --- one unit: 32 weights · 32 activations
// -----------------------------------------------------------------------------

#ifdef __AVX2__
// Partial sums of w·a: the first half of the lanes adds up elements 0–15, the second half 16–31.
// The weights are unsigned and at most 128.
TL_INLINE __m256i dot32(b32 w, b32 a) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), _mm256_set1_epi16(1));
}
#else
// Σ w·a over the elements [begin, end).
TL_INLINE int32_t dot_of(b32 w, b32 a, int begin, int end) {
  int32_t s = 0;
  for (int i = begin; i < end; ++i) s += w.v[i] * static_cast<int8_t>(a.v[i]);
  return s;
}
#endif

// The 32 bytes as floats, 8 at a time in the callback's hands: f(i, v) gets elements i … i + kLanes
// - 1.
template <bool kSigned, class F>
TL_INLINE void each_float(b32 w, F f) {
#ifdef __AVX2__
  __m128i half[2] = {_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1)};
  for (int i = 0; i < 32; i += 8) {
    __m128i x = i % 16 ? _mm_srli_si128(half[i / 16], 8) : half[i / 16];
    __m256i wide = kSigned ? _mm256_cvtepi8_epi32(x) : _mm256_cvtepu8_epi32(x);
    f(i, (vf)_mm256_cvtepi32_ps(wide));
  }
#else
  for (int i = 0; i < 32; i += kLanes) {
    vf v;
    for (int j = 0; j < kLanes; ++j) v[j] = kSigned ? static_cast<int8_t>(w.v[i + j]) : w.v[i + j];
    f(i, v);
  }
#endif
}

// --- activations
// --------------------------------------------------------------------------------------------------------

// Rounds 32 floats to int8 with scale max|x| / 127; sums[h] = sum of the rounded half h. A NaN or
// an infinity becomes the scale, and whatever is multiplied by it.
TL_INLINE float round32(const float* x, int8_t* q, int32_t* sums) {
  vf top{};
  vi bad{};
  for (int i = 0; i < 32; i += kLanes) {
    vf v = load(x + i);
    top = max(abs(v), top);
    bad |= v != v;
  }
  float peak = max_lane(top), nan = sum((vf)(bad & (vi)splat(__builtin_nanf(""))));
  float d = peak / 127 + nan;
  float inverse = peak > 0 ? 127.f / peak : 0.f;
#ifdef __AVX2__
  __m256 scale = _mm256_set1_ps(inverse);
  __m256i v[4];
  for (int i = 0; i < 4; ++i)
    v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), scale));
  __m256i lo = _mm256_add_epi32(v[0], v[1]), hi = _mm256_add_epi32(v[2], v[3]);
  // The packs interleave 128-bit halves; the permutation puts the groups of four back in order.
  __m256i packed =
      _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
  store32(q, _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
  __m256i both = _mm256_hadd_epi32(lo, hi);
  both = _mm256_hadd_epi32(both, both);
  __m128i total = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  sums[0] = _mm_cvtsi128_si32(total);
  sums[1] = _mm_extract_epi32(total, 1);
  if (d - d != 0) sums[0] = sums[1] = 0;  // not finite: they are sums of INT_MIN
#else
  for (int h = 0; h < 2; ++h) {
    sums[h] = 0;
    for (int i = 16 * h; i < 16 * h + 16; ++i) {
      // Adding and taking away 1.5·2^23 rounds to the nearest even integer, as cvtps does.
      float y = x[i] * inverse + 12582912.f;
      q[i] = static_cast<int8_t>(y - 12582912.f);
      sums[h] += q[i];
    }
  }
#endif
  return d;
}

// The same from any float dtype.
template <class T>
TL_INLINE float round_any32(const T* x, int8_t* q, int32_t* sums) {
  if constexpr (__is_same(T, float)) {
    return round32(x, q, sums);
  } else {
    float buffer[32];
    for (int i = 0; i < 32; i += kLanes) store(buffer + i, load(x + i));
    return round32(buffer, q, sums);
  }
}

}  // namespace tl::TL_ISA
