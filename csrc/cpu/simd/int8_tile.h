// Tiles of 8 columns × 32 weights against many rows of int8 activations.
#pragma once
#include "int8.h"

namespace tl::TL_ISA {

// Columns of a tile lie so that one broadcast of activations meets the same weights of 8 columns: 4
// bytes, or 2 numbers of 16 bits where weights need 8 bits and a sign.
inline constexpr int kTileColumns = 8;

#ifdef __AVX2__
// An 8 × 8 transpose of 32-bit units.
TL_INLINE void transpose_units(const __m256i* w, __m256i* to) {
  __m256i a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_epi32(w[i], w[i + 1]);
    a[i + 1] = _mm256_unpackhi_epi32(w[i], w[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    to[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
    to[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
  }
}
#endif

// What belongs to a group's sum w·a besides: nothing; a multiple of the activations' sum; or m
// times that sum.
enum class Extra { none, shift, minimum };

TL_INLINE float fma(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

// The arithmetic of one group of weights, the same wherever activations are int8, so that a row
// gets the same bits from the kernels for few rows and for many: the sum of w·a (and of a shift) in
// integers, times d, plus m·Σa; then that, times da, onto the result, one group after the other.
template <Extra kExtra, class V>
TL_INLINE V group_value(V sum, V d, V m, V total) {
  if constexpr (kExtra == Extra::minimum)
    return fma(sum, d, m * total);
  else
    return sum * d;
}

template <bool kWide>
struct ActivationOf {
  typedef int8_t type;
};
template <>
struct ActivationOf<true> {
  typedef int16_t type;
};

// kTop: the greatest weight, in unsigned bytes; it says how many products of two with activations
// of up to 127 a 16-bit sum can take. 255: signed weights, multiplied in 16 bits. kGroup:
// weights to a scale.
template <int kTop, int kGroup, Extra kExtra>
struct Tile {
  static constexpr bool kWide = kTop == 255;
  static constexpr int kBytes = 32 * kTileColumns * (kWide ? 2 : 1), kGroups = 32 / kGroup;
  typedef typename ActivationOf<kWide>::type Activation;
  static_assert(!kWide || (kGroup == 32 && kExtra == Extra::none));

  // Rows of activations, 32 in each, one unit of the depth: scales da, and `extra` for each group
  // at a distance of `stride`: int32 multiples of Σa (shift), or Σa as floats (minimum).
  struct Rows {
    const Activation* q;
    const float* da;
    const void* extra;
    int64_t stride;
    int count;
  };

  static TL_INLINE void pack(const b32* w, uint8_t* tile) {
#ifdef __AVX2__
    __m256i t[8];
    if constexpr (kWide) {
      for (int half = 0; half < 2; ++half) {
        for (int i = 0; i < 8; ++i) {
          t[i] = _mm256_cvtepi8_epi16(half ? _mm256_extracti128_si256(w[i], 1)
                                           : _mm256_castsi256_si128(w[i]));
        }
        transpose_units(t, t);
        for (int i = 0; i < 8; ++i) store32(tile + 256 * half + 32 * i, t[i]);
      }
    } else {
      transpose_units(w, t);
      for (int i = 0; i < 8; ++i) store32(tile + 32 * i, t[i]);
    }
#else
    for (int c = 0; c < kTileColumns; ++c) store32(tile + 32 * c, w[c]);
#endif
  }

  // c[r][column] += the products; d and m hold 8 columns for each group.
  static TL_INLINE void times_rows(const uint8_t* tile, const float* d, const float* m,
                                   const Rows& rows, float* c) {
#ifdef __AVX2__
    if constexpr (kWide)
      wide(tile, d, rows, c);
    else
      narrow(tile, d, m, rows, c);
#else
    for (int r = 0; r < rows.count; ++r) {
      for (int g = 0; g < kGroups; ++g) {
        for (int column = 0; column < kTileColumns; ++column) {
          const uint8_t* w = tile + 32 * column + kGroup * g;
          const Activation* a = rows.q + 32 * r + kGroup * g;
          int32_t sum = 0;
          for (int i = 0; i < kGroup; ++i)
            sum += (kWide ? static_cast<int8_t>(w[i]) : static_cast<int>(w[i])) * a[i];
          int64_t at = g * rows.stride + r;
          if constexpr (kExtra == Extra::shift) sum += static_cast<const int32_t*>(rows.extra)[at];
          float least = 0, total = 0, &y = c[8 * r + column];
          if constexpr (kExtra == Extra::minimum) {
            least = m[8 * g + column];
            total = static_cast<const float*>(rows.extra)[at];
          }
          y = fma(group_value<kExtra>(static_cast<float>(sum), d[8 * g + column], least, total),
                  rows.da[r], y);
        }
      }
    }
#endif
  }

#ifdef __AVX2__
 private:
  template <class T>
  static TL_INLINE __m256i broadcast4(const T* p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
  }

  static TL_INLINE void narrow(const uint8_t* tile, const float* d, const float* m,
                               const Rows& rows, float* c) {
    constexpr int kFit = 32767 / (2 * 127 * kTop), kUnits = kGroup / 4;
    constexpr int kRun = kFit >= kUnits ? kUnits : kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
    static_assert(kFit >= 1);
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i w[8];
    vf dv[kGroups], mv[kGroups] = {};
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) w[i] = load32(tile + 32 * i);
#pragma GCC unroll 2
    for (int g = 0; g < kGroups; ++g) {
      dv[g] = load(d + 8 * g);
      if constexpr (kExtra == Extra::minimum) mv[g] = load(m + 8 * g);
    }
    // Copies: what `rows` points to could change with each store to c.
    const Activation* q = rows.q;
    const float* da = rows.da;
    const void* extra = rows.extra;
    const int64_t stride = rows.stride;
    for (int r = 0, count = rows.count; r < count; ++r, q += 32) {
      vf acc = load(c + 8 * r);
#pragma GCC unroll 2
      for (int g = 0; g < kGroups; ++g) {
        __m256i sum;
#pragma GCC unroll 8
        for (int i = 0; i < kUnits; i += kRun) {
          __m256i part;
#pragma GCC unroll 8
          for (int j = 0; j < kRun; ++j) {
            int unit = g * kUnits + i + j;
            __m256i p = _mm256_maddubs_epi16(w[unit], broadcast4(q + 4 * unit));
            part = j == 0 ? p : _mm256_add_epi16(part, p);
          }
          part = _mm256_madd_epi16(part, ones);
          sum = i == 0 ? part : _mm256_add_epi32(sum, part);
        }
        int64_t at = g * stride + r;
        if constexpr (kExtra == Extra::shift)
          sum = _mm256_add_epi32(sum, broadcast4(static_cast<const int32_t*>(extra) + at));
        vf total{};
        if constexpr (kExtra == Extra::minimum) total = splat(static_cast<const float*>(extra)[at]);
        const vf value = group_value<kExtra>((vf)_mm256_cvtepi32_ps(sum), dv[g], mv[g], total);
        acc = fma(value, splat(da[r]), acc);
      }
      store(c + 8 * r, acc);
    }
  }

  // Written out, or GCC 12 would multiply everything first and keep it on the stack.
  static TL_INLINE void add_products(__m256i& sum, __m256i w, const Activation* q) {
    __m256i p = _mm256_madd_epi16(w, broadcast4(q));
    asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(p));
  }

  // The weights of a tile do not fit in the registers: four rows share a load of them.
  static TL_INLINE void wide(const uint8_t* tile, const float* d, const Rows& rows, float* c) {
    const vf dv = load(d);
    const Activation* q = rows.q;
    const float* da = rows.da;
    auto finish = [&](__m256i sum, int r) {
      const vf value = group_value<kExtra>((vf)_mm256_cvtepi32_ps(sum), dv, vf{}, vf{});
      store(c + 8 * r, fma(value, splat(da[r]), load(c + 8 * r)));
    };
    int r = 0;
    const int count = rows.count;
    for (; r + 4 <= count; r += 4, q += 4 * 32) {
      // By name: an array of them lands on the stack as well.
      __m256i s0{}, s1{}, s2{}, s3{};
      for (int i = 0; i < 16; ++i) {
        __m256i w = load32(tile + 32 * i);
        add_products(s0, w, q + 2 * i);
        add_products(s1, w, q + 32 + 2 * i);
        add_products(s2, w, q + 64 + 2 * i);
        add_products(s3, w, q + 96 + 2 * i);
      }
      finish(s0, r);
      finish(s1, r + 1);
      finish(s2, r + 2);
      finish(s3, r + 3);
    }
    for (; r < count; ++r, q += 32) {
      __m256i sum{};
      for (int i = 0; i < 16; ++i) add_products(sum, load32(tile + 32 * i), q + 2 * i);
      finish(sum, r);
    }
  }
#endif
};

}  // namespace tl::TL_ISA
