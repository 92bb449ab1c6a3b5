// One or two rows of int8 activations times the units of eight rows of weights. Lane c of a sum
// belongs to row c of weights.
#pragma once
#include "../simd/int8_tile.h"
#include "format.h"

namespace tl {

// Rounded activations, for each unit of 32 those of all rows: bytes, a scale, and for each of the
// weight's groups Σq as a float, or shift·Σq as an integer.
struct DotActivations {
  int8_t* q;
  float *d, *extra;
  int64_t rows;
  int per;  // groups to a unit

  static size_t bytes(int64_t rows, int64_t units, int per) {
    return rows * units * (32 + (1 + per) * sizeof(float));
  }
  DotActivations(void* memory, int64_t rows_, int64_t units, int per_) : rows(rows_), per(per_) {
    d = static_cast<float*>(memory);
    extra = d + rows * units;
    q = reinterpret_cast<int8_t*>(extra + rows * units * per);
  }
  int8_t* q_at(int64_t unit, int64_t row = 0) const { return q + (unit * rows + row) * 32; }
  float* d_at(int64_t unit, int64_t row = 0) const { return d + unit * rows + row; }
  // Those of a unit's groups are `rows` apart.
  float* extra_at(int64_t unit, int64_t row = 0) const { return extra + unit * rows * per + row; }
};

}  // namespace tl

namespace tl::TL_ISA {

template <class F>
inline constexpr bool kSigned = F::kScheme == QuantScheme::plain && !kAnyByte;
template <class F>
inline constexpr Extra kExtraOf =
    F::kMins                                                         ? Extra::minimum
    : F::kShift != 0 || F::kScheme == QuantScheme::plain && kAnyByte ? Extra::shift
                                                                     : Extra::none;
template <class F>
inline constexpr int kTopOf = F::kScheme == QuantScheme::plain && kAnyByte ? 255 : F::kTop;

// Sixteen weights of two rows, unsigned where products want them so.
template <class F>
TL_INLINE b32 weights_of(EightRows w, int p, int j, int i, int h) {
  b32 x;
  if constexpr (requires { F::half(w, p, h); })
    x = F::half(w, p, h);
  else
    x = F::half(w[p], w[p + 4], j, i, h);
  return F::kScheme == QuantScheme::plain && kAnyByte ? x ^ splat32(128) : x;
}

// What groups' sums of products are worth before the activations' scale. d and m are the rows'
// scales, `extra` is the activations' own.
template <class F, class V, class I>
TL_INLINE V worth(I sum, V d, V m, const float* extra) {
  if constexpr (kExtraOf<F> == Extra::shift) {
    int32_t shifted;
    memcpy(&shifted, extra, 4);
    sum += shifted;
  }
  V total{};
  if constexpr (F::kMins) total = *extra - V{};
  return group_value<kExtraOf<F>>(__builtin_convertvector(sum, V), d, m, total);
}
template <class F>
TL_INLINE f32x8 minima_at(const float* m) {
  if constexpr (F::kMins) return load_as<f32x8>(m);
  return f32x8{};
}

// Four bytes, eight times.
TL_INLINE b32 each_word(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return (b32)(i32x8{} + four);
}

// Where the scales of eight rows come from: memory, eight floats to a group of a block.
template <class F>
struct FloatScales {
  const float *d, *m;

  // What the sum of group g of step j is worth.
  TL_INLINE f32x8 value(int j, int g, i32x8 sum, const float* extra) const {
    const int at = 8 * (F::kStep * 32 / F::kGroup * j + g);
    return worth<F>(sum, load_as<f32x8>(d + at), minima_at<F>(m + at), extra);
  }
};
// Or registers. Integers meet before they become floats.
template <class F>
struct InRegisters {
  IntegerScales s;

  // What a sum times the scale is worth, d what it is to be multiplied by.
  TL_INLINE f32x8 of(int j, int g, i32x8 scaled, f32x8 d, const float* extra) const {
    const f32x8 x = to_floats(scaled);
    if constexpr (F::kMins)
      return group_value<Extra::minimum>(x, d, s.m, to_floats(F::minimum(s, j, g)) * *extra);
    else
      return group_value<kExtraOf<F>>(x, d, d, d);
  }
  TL_INLINE f32x8 value(int j, int g, i32x8 sum, const float* extra) const {
    if constexpr (kExtraOf<F> == Extra::shift) {
      int32_t shifted;
      memcpy(&shifted, extra, 4);
      sum += shifted;
    }
    return of(j, g, sum * F::scale(s, j, g), s.d, extra);
  }
  // Two parts of a sum in 16 bits.
  TL_INLINE f32x8 value(int j, int g, i16x16 parts, const float* extra) const {
    return of(j, g, dot2_words(parts, F::scale_twice(s, j, g)), F::times(s, g), extra);
  }
};

// The activations of a step's units, of kBatch rows.
template <class F, int kBatch>
struct StepOf {
  static constexpr int kPer = 32 / F::kGroup;
  const int8_t* q;
  const float *d, *extra;

  TL_INLINE StepOf(const DotActivations& act, int64_t unit)
      : q(act.q + 32 * kBatch * unit),
        d(act.d + kBatch * unit),
        extra(act.extra + kBatch * kPer * unit) {}
  TL_INLINE const int8_t* unit(int i, int a) const { return q + 32 * (kBatch * i + a); }
  TL_INLINE const float* group(int g, int a) const { return extra + kBatch * g + a; }
};

// value[a][g] = what group g of step j is worth. A vector holds halves of two rows.
template <class F, int kBatch>
TL_INLINE void values_by_halves(EightRows w, int j, const auto& scales, const auto& step,
                                auto& value) {
  constexpr int kPer = 32 / F::kGroup, kHalves = 2 / kPer;  // groups of a unit, halves of a group
  // Groups outside: the units of a step share the loads of a half.
#pragma GCC unroll 2
  for (int g = 0; g < kPer; ++g) {
#pragma GCC unroll 4
    for (int i = 0; i < F::kStep; ++i) {
      b32 x[4 * kHalves];
#pragma GCC unroll 8
      for (int p = 0; p < 4 * kHalves; ++p)
        x[p] = weights_of<F>(w, p / kHalves, j, i, g + p % kHalves);
#pragma GCC unroll 2
      for (int a = 0; a < kBatch; ++a) {
        const int8_t* q = step.unit(i, a) + 16 * g;
        const b32 halves[] = {twice16(q), twice16(q + 16 * (kHalves - 1))};
        const i32x8 sum = dot_rows<kSigned<F>, kTopOf<F>, kHalves>(x, halves);
        const int at = i * kPer + g;
        value[a][at] = scales.value(j, at, sum, step.group(at, a));
      }
    }
  }
}

// The same where groups are half a unit. A vector holds a unit of one row, so that nothing has to
// be put together, and the sums of two groups of four rows change places at the end.
template <class F, int kBatch>
TL_INLINE void values_by_rows(EightRows w, int j, const auto& scales, const auto& step,
                              auto& value) {
#pragma GCC unroll 4
  for (int i = 0; i < F::kStep; ++i) {
    i32x8 four[kBatch][2];
#pragma GCC unroll 2
    for (int r = 0; r < 2; ++r) {
      b32 x[4];
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) x[p] = F::row(w[4 * r + p], j, i);
#pragma GCC unroll 2
      for (int a = 0; a < kBatch; ++a) {
        const b32 q = load32(step.unit(i, a));
        four[a][r] = dot_rows<kSigned<F>, kTopOf<F>, 1>(x, &q);
      }
    }
#pragma GCC unroll 2
    for (int a = 0; a < kBatch; ++a) {
      const i32x8 x = four[a][0], y = four[a][1],
                  first = __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11),
                  second = __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
      value[a][2 * i] = scales.value(j, 2 * i, first, step.group(2 * i, a));
      value[a][2 * i + 1] = scales.value(j, 2 * i + 1, second, step.group(2 * i + 1, a));
    }
  }
}

// The same where a group's products fit into 16 bits, from words of eight rows: sums need no
// additions across lanes.
template <class F, int kBatch>
TL_INLINE void values_by_words(EightRows w, int j, const auto& scales, const auto& step,
                               auto& value) {
  static_assert(F::kGroup == 16 && 16 * 127 * 4 * F::kTop <= 32767);
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    b32 raw[F::kHalf];
    F::half_words(w, j, h, raw);
#pragma GCC unroll 4
    for (int i = 0; i < F::kStep; ++i) {
#pragma GCC unroll 2
      for (int a = 0; a < kBatch; ++a) {
        i16x16 p[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k)
          p[k] = dot2(F::half_word(raw, i, k), each_word(step.unit(i, a) + 16 * h + 4 * k));
        const int g = 2 * i + h;
        value[a][g] = scales.value(j, g, (p[0] + p[1]) + (p[2] + p[3]), step.group(g, a));
      }
    }
  }
}

// One or two rows of activations. acc[a] += the groups of the units of step j of a block, one after
// the other; `unit` is the block's first one in the row.
template <class F, int kBatch>
TL_INLINE void add_units(EightRows w, int j, const auto& scales, const DotActivations& act,
                         int64_t unit, f32x8* acc) {
  constexpr int kPer = 32 / F::kGroup;
  const StepOf<F, kBatch> step(act, unit + F::kStep * j);
  f32x8 value[kBatch][F::kStep * kPer];
  if constexpr (requires { F::kHalf; })
    values_by_words<F, kBatch>(w, j, scales, step, value);
  else if constexpr (requires { F::row; })
    values_by_rows<F, kBatch>(w, j, scales, step, value);
  else
    values_by_halves<F, kBatch>(w, j, scales, step, value);
#pragma GCC unroll 2
  for (int a = 0; a < kBatch; ++a) {
#pragma GCC unroll 8
    for (int i = 0; i < F::kStep * kPer; ++i)
      acc[a] = fma(value[a][i], step.d[kBatch * (i / kPer) + a] - f32x8{}, acc[a]);
  }
}

}  // namespace tl::TL_ISA
