// Tiles of some columns × 32 weights against many rows of int8 activations.
#pragma once
#include "int8.h"

namespace tl::TL_ISA {

// Columns of a tile lie so that one broadcast of activations meets the same weights of all columns:
// 4 bytes, or 2 numbers of 16 bits where weights need 8 bits and a sign.
inline constexpr int kTileColumns = kLanes < 8 ? 8 : kLanes;
typedef Simd<float, kTileColumns> tf;
typedef Simd<int32_t, kTileColumns> ti;
typedef Simd<uint8_t, 4 * kTileColumns> tb;

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

// kTop: the greatest weight, in unsigned bytes. kWide: signed weights in 16 bits, where the set has
// no products of any byte. kGroup: weights to a scale.
template <int kTop, int kGroup, Extra kExtra, bool kWide>
struct Tile {
  static constexpr int kGroups = 32 / kGroup;
  static constexpr int kBytes = 32 * kTileColumns * (kWide ? 2 : 1);
  typedef std::conditional_t<kWide, int16_t, int8_t> Activation;
  static_assert(!kWide || (kGroup == 32 && kExtra == Extra::none && kTileColumns == 8));

  // Rows of activations, 32 in each, one unit of the depth: scales da, and `extra` for each group
  // at a distance of `stride`: int32 multiples of Σa (shift), or Σa as floats (minimum).
  struct Rows {
    const Activation* q;
    const float* da;
    const void* extra;
    int64_t stride;
    int count;
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

  // c[r][column] += the products; d and m hold a tile's columns for each group.
  static TL_INLINE void times_rows(const uint8_t* tile, const float* d, const float* m,
                                   const Rows& rows, float* c) {
    if constexpr (kWide)
      wide(tile, d, rows, c);
    else
      narrow(tile, d, m, rows, c);
  }

 private:
  static TL_INLINE void narrow(const uint8_t* tile, const float* d, const float* m,
                               const Rows& rows, float* c) {
    constexpr int kUnits = kGroup / 4;
    tb w[8];
    tf dv[kGroups], mv[kGroups] = {};
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) w[i] = load_as<tb>(tile + 4 * kTileColumns * i);
#pragma GCC unroll 2
    for (int g = 0; g < kGroups; ++g) {
      dv[g] = load_as<tf>(d + kTileColumns * g);
      if constexpr (kExtra == Extra::minimum) mv[g] = load_as<tf>(m + kTileColumns * g);
    }
    // Copies: what `rows` points to could change with each store to c.
    const int8_t* q = rows.q;
    const float* da = rows.da;
    const void* extra = rows.extra;
    const int64_t stride = rows.stride;
    for (int r = 0, count = rows.count; r < count; ++r, q += 32, c += kTileColumns) {
      tf acc = load_as<tf>(c);
#pragma GCC unroll 2
      for (int g = 0; g < kGroups; ++g) {
        ti sum = dots<kTop, kUnits>(w + g * kUnits, q + 4 * g * kUnits);
        const int64_t at = g * stride + r;
        if constexpr (kExtra == Extra::shift) sum += static_cast<const int32_t*>(extra)[at];
        tf total{};
        if constexpr (kExtra == Extra::minimum) total = static_cast<const float*>(extra)[at] - tf{};
        const tf value = group_value<kExtra>(__builtin_convertvector(sum, tf), dv[g], mv[g], total);
        acc = fma(value, da[r] - tf{}, acc);
      }
      store_at(c, acc);
    }
  }

  // The weights of a tile do not fit in the registers: four rows share a load of them.
  static TL_INLINE void wide(const uint8_t* tile, const float* d, const Rows& rows, float* c) {
    const f32x8 dv = load_as<f32x8>(d);
    const int16_t* q = rows.q;
    const float* da = rows.da;
    auto finish = [&](i32x8 sum, int r) {
      const f32x8 value =
          group_value<kExtra>(__builtin_convertvector(sum, f32x8), dv, f32x8{}, f32x8{});
      store_at(c + 8 * r, fma(value, da[r] - f32x8{}, load_as<f32x8>(c + 8 * r)));
    };
    int r = 0;
    const int count = rows.count;
    for (; r + 4 <= count; r += 4, q += 4 * 32) {
      // By name: an array of them lands on the stack as well.
      i32x8 s0{}, s1{}, s2{}, s3{};
      for (int i = 0; i < 16; ++i) {
        const i16x16 w = load_as<i16x16>(tile + 32 * i);
        add_dot2(s0, w, q + 2 * i);
        add_dot2(s1, w, q + 32 + 2 * i);
        add_dot2(s2, w, q + 64 + 2 * i);
        add_dot2(s3, w, q + 96 + 2 * i);
      }
      finish(s0, r);
      finish(s1, r + 1);
      finish(s2, r + 2);
      finish(s3, r + 3);
    }
    for (; r < count; ++r, q += 32) {
      i32x8 sum{};
      for (int i = 0; i < 16; ++i) add_dot2(sum, load_as<i16x16>(tile + 32 * i), q + 2 * i);
      finish(sum, r);
    }
  }
};

}  // namespace tl::TL_ISA
