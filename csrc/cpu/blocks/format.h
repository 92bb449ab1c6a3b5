// What a block format tells the kernels: how 32 weights are unpacked to small integers, and the
// scales (and minima) that belong to them. Every kernel is written on these few functions alone.
// Layouts: ggml-common.h of llama.cpp, and the gguf package.
#pragma once
#include "../../core/grids.h"
#include "../quant_blocks.h"
#include "../simd/int8.h"

namespace tl::TL_ISA {

// Whether code is to be small: then no format has kernels of its own.
#ifdef __OPTIMIZE_SIZE__
inline constexpr bool kSmall = true;
#else
inline constexpr bool kSmall = false;
#endif

// How a weight w comes from the bytes q of values(), its scale d and its minimum m.
enum class QuantScheme {
  shifted,  // w = d·(q + kShift), q from 0 to kTop
  minimum,  // w = d·q + m, q from 0 to kTop
  masked,   // w = d·q, or d·-q where the mask is set; q from 0 to kTop
  plain,    // w = d·q, q any int8
};

TL_INLINE float half_at(const uint8_t* p) {
  f16 h;
  memcpy(&h, p, 2);
  return to_float(h);
}
TL_INLINE uint16_t short_at(const uint8_t* p) {
  uint16_t w;
  memcpy(&w, p, 2);
  return w;
}
TL_INLINE uint32_t word_at(const uint8_t* p) {
  uint32_t w;
  memcpy(&w, p, 4);
  return w;
}
TL_INLINE uint64_t long_at(const uint8_t* p) {
  uint64_t w;
  memcpy(&w, p, 8);
  return w;
}

// 8 bytes, then zeros. (As a vector of 8 bytes GCC 12 would take them apart.)
TL_INLINE b16 load8(const uint8_t* p) { return (b16)Simd<uint64_t, 2>{long_at(p), 0}; }

// --- scales ------------------------------------------------------------------------------------
// f(i, at) for i = 0, 8, … up to n: at(j) is the place of number i + j, the last one repeated. So
// n is rounded up to 8, and a reader of whole vectors finds numbers there. (Zeros stored one by one
// would cost it dear: a load cannot be forwarded from several stores.)
template <int kStep, class F>
TL_INLINE void in_eights(const uint8_t* p, int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) f(i, [=](int j) { return p + (i + j) * kStep; });
  if (i < n) {
    const uint8_t* last = p + (n - 1) * kStep;
    f(i, [=](int j) { return p + (i + j) * kStep < last ? p + (i + j) * kStep : last; });
  }
}

// d[i] = the f16 at p + i·step.
template <int kStep>
TL_INLINE void halves_at(const uint8_t* p, int64_t n, float* d) {
  in_eights<kStep>(p, n, [&](int64_t i, auto at) {
    auto bits = [&](int j) { return short_at(at(j)); };
    store_at(d + i, from_halves(u16x8{bits(0), bits(1), bits(2), bits(3), bits(4), bits(5), bits(6),
                                      bits(7)}));
  });
}

// d[i], m[i] = the pair of f16 at p + i·step.
template <int kStep>
TL_INLINE void half_pairs_at(const uint8_t* p, int64_t n, float* d, float* m) {
  in_eights<kStep>(p, n, [&](int64_t i, auto at) {
    auto four = [&](int j) {  // d d d d m m m m
      auto bits = [&](int e) { return word_at(at(j + e)); };
      const u16x8 x = (u16x8)Simd<uint32_t, 4>{bits(0), bits(1), bits(2), bits(3)};
      return from_halves(__builtin_shufflevector(x, x, 0, 2, 4, 6, 1, 3, 5, 7));
    };
    const f32x8 low = four(0), high = four(4);
    store_at(d + i, join_low(low, high));
    store_at(m + i, join_high(low, high));
  });
}

// As halves_at, each number kTimes (2 or 4) in a row.
template <int kStep, int kTimes>
TL_INLINE void repeated_halves_at(const uint8_t* p, int64_t n, float* d) {
  for (int64_t i = 0; i < n; i += 8, p += 8 * kStep) {
    f32x8 x;
    const int64_t rest = n - i < 8 ? n - i : 8;
    halves_at<kStep>(p, rest, reinterpret_cast<float*>(&x));
    for (int64_t j = 0; j < rest * kTimes; j += 8, d += 8) {
      if constexpr (kTimes == 2) {
        store_at(d, __builtin_shufflevector(x, x, 0, 0, 1, 1, 2, 2, 3, 3));
        x = __builtin_shufflevector(x, x, 4, 5, 6, 7, 4, 5, 6, 7);
      } else {
        store_at(d, __builtin_shufflevector(x, x, 0, 0, 0, 0, 1, 1, 1, 1));
        x = __builtin_shufflevector(x, x, 2, 3, 4, 5, 6, 7, 6, 7);
      }
    }
  }
}

// The low and the high f16 of eight words.
TL_INLINE f32x8 low_halves(u32x8 x) { return from_halves(narrow(x & 0xffff)); }
TL_INLINE f32x8 high_halves(u32x8 x) { return from_halves(narrow(x >> 16)); }
// Small integers.
template <SimdVector V>
TL_INLINE f32x8 to_floats(V x) {
  return __builtin_convertvector((i32x8)x, f32x8);
}
// Eight rows' scales, the same for kCount groups.
template <int kCount>
TL_INLINE void each_same(f32x8 scale, float* d) {
  for (int g = 0; g < kCount; ++g) store_at(d + 8 * g, scale);
}

// All 8 scales of a block of 256 are the same.
TL_INLINE void repeat_scale(float scale, float* d) { store_at(d, scale - f32x8{}); }

// to[i] = scale · the i-th of 8 int8.
TL_INLINE void scale8(float scale, uint64_t bytes, float* to) {
  store_at(to, scale * __builtin_convertvector(signed8(bytes), f32x8));
}

inline constexpr uint64_t kEachByte = 0x0101010101010101;

// 8 nibbles, the low one of a byte first, as bytes.
TL_INLINE uint64_t nibbles8(uint32_t x) {
  uint64_t y = (x | static_cast<uint64_t>(x) << 16) & 0x0000ffff0000ffff;
  y = (y | y << 8) & 0x00ff00ff00ff00ff;
  return (y | y << 4) & 0x0f0f0f0f0f0f0f0f;
}
// 2x + 1 in each byte.
TL_INLINE uint64_t odd_bytes(uint64_t x) { return x << 1 | kEachByte; }
// x - 32 in each byte, for x from 0 to 63.
TL_INLINE uint64_t minus32(uint64_t x) {
  return ((x | 0x80 * kEachByte) - 0x20 * kEachByte) ^ 0x80 * kEachByte;
}

// --- formats -------------------------------------------------------------------------------------

// kBytes, kUnits: bytes and 32-weight units of a block; kGroup: weights that share a scale, 32 or
// 16 (a format with fewer scales repeats them).
template <DType kType, int kGroupSize, QuantScheme kSchemeOf, int kTopValue, int kShiftBy = 0>
struct Format {
  static constexpr DType kDType = kType;
  static constexpr int kBytes = bytes_of(kType), kUnits = block_of(kType) / 32, kGroup = kGroupSize;
  static constexpr int kGroups = kUnits * 32 / kGroup;  // in a block
  static constexpr QuantScheme kScheme = kSchemeOf;
  static constexpr int kTop = kTopValue, kShift = kShiftBy;
  static constexpr bool kMins = kScheme == QuantScheme::minimum;
  // The scales of n blocks, and minima: one f16 in front of each block, unless the format says
  // otherwise. Up to 7 places after the last may be written.
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    halves_at<kBytes>(b, n, d);
  }
  // Formats that models mostly come in: all their kernels unpack in registers.
  static constexpr bool kCommon = false;
  // half(a, b, j, i, h): 16 weights, the half h of unit kStep·j + i, of block a and then of block
  // b. Or half(w, p, h), for blocks of one unit: of blocks w[p] and w[p + 4].
  // row(b, j, i): unit kStep·j + i, in formats whose groups are half a unit. half_words(w, j, h,
  // raw): kHalf vectors of words of eight rows, from which half_word(raw, i, k) makes word k of
  // half h of unit kStep·j + i, up to four times as great; times(s, g) is what then belongs to
  // group g. raw_words(w, j, raw): kRaw vectors of words of eight rows, from which word(raw, i, k)
  // makes word k of unit kStep·j + i. For formats where that is less work than arranging what
  // half() gives.
  static constexpr int kStep = 1;
  // kNibblesAt: where 16 bytes begin that hold weights 0 to 15 in low nibbles, 16 to 31 in high
  // ones. A format may work something out for a whole block first; values() and mask() take the
  // result.
  static TL_INLINE const uint8_t* open(const uint8_t* b) { return b; }
};

// The scales of n blocks; a format of large blocks says what one block has. A function of its own:
// each of a format's kernels would have a copy.
template <class F>
void block_scales(const uint8_t* b, int64_t n, float* d, [[maybe_unused]] float* m) {
  if constexpr (requires { F::block_scales(b, d, m); }) {
    for (int64_t i = 0; i < n; ++i, b += F::kBytes, d += F::kGroups) {
      F::block_scales(b, d, m);
      if constexpr (F::kMins) m += F::kGroups;
    }
  } else {
    F::scales(b, n, d, m);
  }
}

// x[i] = word i of the 16 bytes at w[row] + at, of eight rows.
TL_INLINE void four_words(EightRows w, int64_t at, u32x8* x) {
  const uint8_t* const rows[8] = {w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]};
  four_words(rows, at, x);
}

// Words of nibbles, weights 0 to 15 in the low ones: word k of the unit.
TL_INLINE b32 nibble_word(const b32* words, int k) { return field(words[k % 4], k / 4 * 4, 15); }
TL_INLINE void four_words(EightRows w, int64_t at, b32* x) {
  four_words(w, at, reinterpret_cast<u32x8*>(x));
}

// What eight rows' blocks hold besides weights, where scales are small integers: these in the bytes
// of words, and the numbers d and m that they are to be multiplied by. Any product of such an
// integer and a sum is exact in float, so that it does not matter which two of three are multiplied
// first.
struct IntegerScales {
  u32x8 x[4];
  f32x8 d, m;
};
TL_INLINE i32x8 byte_of(u32x8 x, int e) { return (i32x8)(x >> 8 * e & 255); }
// Byte e of each word in all four places.
TL_INLINE u32x8 each_byte(u32x8 words, int e) {
  const b32 x = (b32)words;
  auto spread = [&]<int i>(std::integral_constant<int, i>) {
    return (u32x8)__builtin_shufflevector(
        x, x, i, i, i, i, 4 + i, 4 + i, 4 + i, 4 + i, 8 + i, 8 + i, 8 + i, 8 + i, 12 + i, 12 + i,
        12 + i, 12 + i, 16 + i, 16 + i, 16 + i, 16 + i, 20 + i, 20 + i, 20 + i, 20 + i, 24 + i,
        24 + i, 24 + i, 24 + i, 28 + i, 28 + i, 28 + i, 28 + i);
  };
  return e == 0   ? spread(std::integral_constant<int, 0>())
         : e == 1 ? spread(std::integral_constant<int, 1>())
         : e == 2 ? spread(std::integral_constant<int, 2>())
                  : spread(std::integral_constant<int, 3>());
}
TL_INLINE i32x8 signed_byte_of(u32x8 x, int e) { return (i32x8)(x << (24 - 8 * e)) >> 24; }

// The scales of n blocks of eight rows, and minima, eight to a group: d[8·group + c] is row c's, at
// w[c] + at. w: EightRows, or eight pointers.
template <class F, class W>
TL_INLINE void eight_scales_of(const W& w, int64_t at, int64_t n, float* d,
                               [[maybe_unused]] float* m) {
  if constexpr (requires { F::eight_scales(w, at, d, m); }) {
    for (int64_t i = 0; i < n; ++i, at += F::kBytes, d += 8 * F::kGroups) {
      F::eight_scales(w, at, d, m);
      if constexpr (F::kMins) m += 8 * F::kGroups;
    }
  } else if constexpr (requires { F::integer_scales(w, at); }) {
    for (int64_t i = 0; i < n; ++i, at += F::kBytes) {
      const IntegerScales s = F::integer_scales(w, at);
      constexpr int kSome = F::kGroups * F::kStep / F::kUnits;  // of a step
      for (int g = 0; g < F::kGroups; ++g, d += 8) {
        store_at(d, s.d * to_floats(F::scale(s, g / kSome, g % kSome)));
        if constexpr (F::kMins) {
          store_at(m, s.m * to_floats(F::minimum(s, g / kSome, g % kSome)));
          m += 8;
        }
      }
    }
  } else if constexpr (!requires { F::block_scales(w[0], d, m); }) {  // one f16 in front
    u32x8 x[4];
    for (int64_t i = 0; i < n; ++i, at += F::kBytes, d += 8 * F::kGroups) {
      four_words(w, at, x);
      each_same<F::kGroups>(low_halves(x[0]), d);
    }
  } else {
    static_assert(F::kGroups % 8 == 0 && !F::kMins);
    alignas(32) float rows[8][F::kGroups];
    for (int64_t i = 0; i < n; ++i, at += F::kBytes, d += 8 * F::kGroups) {
      for (int c = 0; c < 8; ++c) F::block_scales(w[c] + at, rows[c], m);
      for (int g = 0; g < F::kGroups; g += 8) {
        f32x8 column[8];
        load_transposed(rows[0] + g, F::kGroups, column);
        for (int e = 0; e < 8; ++e) store_at(d + 8 * (g + e), column[e]);
      }
    }
  }
}

// A function of its own, for formats with many scales.
template <class F, class W>
void eight_scales(W w, int64_t at, int64_t n, float* d, float* m) {
  eight_scales_of<F>(w, at, n, d, m);
}

// 32 integers of a codebook whose entries are 8 bytes.
template <class G, class I>
TL_INLINE b32 join_eights(const G& grid, const I* i) {
  return join32(grid[i[0]], grid[i[1]], grid[i[2]], grid[i[3]]);
}

}  // namespace tl::TL_ISA
