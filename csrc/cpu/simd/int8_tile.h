// Tiles of some columns × 32 weights against many rows of int8 activations.
#pragma once
#include "int8.h"

namespace tl::TL_ISA {

// Columns of a tile lie so that one broadcast of activations meets the same weights of all columns:
// 4 bytes, or 2 numbers of 16 bits where weights need 8 bits and a sign.
inline constexpr int kTileColumns = kLanes < 8 ? 8 : kLanes;
typedef Simd<float, kTileColumns> tf;
typedef Simd<int32_t, kTileColumns> ti;
// How far loops over rows and tiles are written out.
#ifdef __OPTIMIZE_SIZE__
inline constexpr int kTileUnroll = 1;
#else
inline constexpr int kTileUnroll = 4;
#endif
// Rows of activations that lie side by side, and are multiplied with two tiles at once.
inline constexpr int kTileRows = 4;

// Eight columns of 32 bytes, to every `step`-th eight words.
TL_INLINE void transpose_units(const b32* w, uint8_t* to, int64_t step) {
  f32x8 r[8];
  for (int i = 0; i < 8; ++i) r[i] = (f32x8)w[i];
  transpose(r);
  for (int i = 0; i < 8; ++i) store32(to + step * i, (b32)r[i]);
}

// What belongs to a group's sum w·a besides: nothing; a multiple of the activations' sum; or m
// times that sum.
enum class Extra { none, shift, minimum };

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

TL_INLINE i16x16 two_everywhere(const int16_t* q) {
  int32_t two;
  memcpy(&two, q, 4);
  return (i16x16)(i32x8{} + two);
}
// sums[r][t] += Σ (u + b)·(v + a) over halves u and v of two tiles of 16-bit weights, `tile` bytes
// apart, and a and b of each row of q: u·a + v·b, and u·v and a·b, which come off once a unit. That
// is half the multiplications for two additions of 16 bits, which more ports take.
template <int kRows>
TL_INLINE void wide_dots(std::integral_constant<int, kRows>, const uint8_t* w, int64_t tile,
                         const int16_t* q, i32x8 (*sums)[2]) {
  for (int i = 0; i < 8; ++i, w += 32, q += 2) {
#pragma GCC unroll kTileUnroll
    for (int r = 0; r < kRows; ++r) {
      const i16x16 a = two_everywhere(q + 32 * r), b = two_everywhere(q + 32 * r + 16);
#pragma GCC unroll kTileUnroll
      for (int t = 0; t < 2; ++t) {
        const uint8_t* half = w + tile * t;
        sums[r][t] =
            add_dot2(sums[r][t], load_as<i16x16>(half) + b, load_as<i16x16>(half + 256) + a);
      }
    }
  }
}

// kTop: the greatest weight, in unsigned bytes. kWide: signed weights in 16 bits, where the set has
// no products of any byte. kGroup: weights to a scale.
template <int kTop, int kGroup, Extra kExtra, bool kWide>
struct Tile {
  static constexpr int kGroups = 32 / kGroup;
  static constexpr int kBytes = 32 * kTileColumns * (kWide ? 2 : 1);
  typedef std::conditional_t<kWide, int16_t, int8_t> Activation;
  static_assert(!kWide || (kGroup == 32 && kExtra == Extra::none && kTileColumns == 8));

  // One unit of the depth of some rows of activations: 32 in each row, scales da, and `extra` for
  // each row of a group: int32 multiples of Σa (shift), or Σa as floats (minimum), or what wide
  // products add (int32).
  struct Rows {
    const Activation* q;
    const float* da;
    const void* extra;

    TL_INLINE void next() {
      q += 32 * kTileRows, da += kTileRows;
      extra = static_cast<const float*>(extra) + kTileRows * kGroups;
    }
  };
  // Two tiles, and a tile's columns of d and m for each group; the second's `tile_step` bytes and
  // `scale_step` floats behind the first's. Wide tiles have own_products (int32) in place of m.
  struct Weights {
    const uint8_t* tile;
    const float *d, *m;
    int64_t tile_step, scale_step;

    TL_INLINE void next() {
      tile += kBytes, d += kTileColumns * kGroups, m += kTileColumns * kGroups;
    }
  };

  // Eight columns from `column` on.
  static TL_INLINE void pack(const b32* w, int column, uint8_t* tile) {
    if constexpr (kWide) {
      b32 t[8];
      for (int half = 0; half < 2; ++half) {
        for (int i = 0; i < 8; ++i) {
          b16 part[2];
          memcpy(part, &w[i], 32);
          t[i] = (b32)signed16(part[half]);
        }
        transpose_units(t, tile + 256 * half, 32);
      }
    } else {
      transpose_units(w, tile + 4 * column, 4 * kTileColumns);
    }
  }

  // -Σ u·v of halves u and v of a unit: what belongs to each sum of wide products besides.
  static TL_INLINE int32_t own_products(i16x16 u, i16x16 v) {
    const i32x8 two = add_dot2(i32x8{}, u, v), four = add_pairs(two, two),
                all = add_pairs(four, four);
    return -(all[0] + all[4]);
  }
  // The same of each column of a tile.
  static TL_INLINE i32x8 own_products(const uint8_t* tile) {
    i32x8 sum{};
    for (int i = 0; i < 256; i += 32)
      sum = add_dot2(sum, load_as<i16x16>(tile + i), load_as<i16x16>(tile + 256 + i));
    return -sum;
  }

  // c[r][column] += the products of kRows rows with both tiles. Each word of weights meets four
  // rows and each of activations two tiles: loads are what limits it where every row reads by
  // itself.
  template <int kRows>
  static TL_INLINE void times_rows(const Weights& w, const Rows& rows, float* c) {
    if constexpr (kWide)
      wide<kRows>(w, rows, c);
    else
      narrow<kRows>(w, rows, c);
  }

 private:
  static constexpr int kAcross = 2 * kTileColumns;

  static TL_INLINE void add_to(float* c, tf value, float da) {
    store_at(c, fma(value, da - tf{}, load_as<tf>(c)));
  }

  template <int kRows>
  static TL_INLINE void narrow(const Weights& w, const Rows& rows, float* c) {
    constexpr int kSteps = kGroup / 4;
#pragma GCC unroll kTileUnroll
    for (int g = 0; g < kGroups; ++g) {
      ti sums[kRows][2];
      tile_dots<kTop, kSteps, kRows>(w.tile + 4 * kTileColumns * kSteps * g, w.tile_step,
                                     rows.q + kGroup * g, sums);
#pragma GCC unroll kTileUnroll
      for (int r = 0; r < kRows; ++r) {
        const int at = kTileRows * g + r;
#pragma GCC unroll kTileUnroll
        for (int t = 0; t < 2; ++t) {
          const int64_t scale = t * w.scale_step + kTileColumns * g;
          tf m{}, total{};
          if constexpr (kExtra == Extra::shift)
            sums[r][t] += static_cast<const int32_t*>(rows.extra)[at];
          if constexpr (kExtra == Extra::minimum) {
            m = load_as<tf>(w.m + scale);
            total = static_cast<const float*>(rows.extra)[at] - tf{};
          }
          const tf value = group_value<kExtra>(__builtin_convertvector(sums[r][t], tf),
                                               load_as<tf>(w.d + scale), m, total);
          add_to(c + kAcross * r + kTileColumns * t, value, rows.da[r]);
        }
      }
    }
  }

  template <int kRows>
  static TL_INLINE void wide(const Weights& w, const Rows& rows, float* c) {
    i32x8 sums[kRows][2];
#pragma GCC unroll kTileUnroll
    for (int r = 0; r < kRows; ++r) {
      const i32x8 own = static_cast<const int32_t*>(rows.extra)[r] + i32x8{};
      sums[r][0] = own + load_as<i32x8>(w.m);
      sums[r][1] = own + load_as<i32x8>(w.m + w.scale_step);
    }
    wide_dots(std::integral_constant<int, kRows>(), w.tile, w.tile_step, rows.q, sums);
#pragma GCC unroll kTileUnroll
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll kTileUnroll
      for (int t = 0; t < 2; ++t)
        add_to(c + kAcross * r + kTileColumns * t,
               __builtin_convertvector(sums[r][t], tf) * load_as<tf>(w.d + t * w.scale_step),
               rows.da[r]);
    }
  }
};

}  // namespace tl::TL_ISA
