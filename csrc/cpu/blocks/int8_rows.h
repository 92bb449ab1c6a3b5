// Few rows: dot products of int8 activations with eight rows of weights at a time, as they lie in
// memory. Lane c of a sum belongs to row c, and the groups are added one after the other: a result
// has the very bits that int8_panel.cpp gives it among many rows.
#pragma once
#include "../gemm_linear.h"
#include "../simd/int8_tile.h"
#include "format.h"
#include "int8_linear.h"

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

// Up to 16 rows of weights, from their bytes: weight row c times activation row a to y[16·a + c].
struct WeightRows {
  const uint8_t* first;
  int64_t bytes, blocks;  // of a row
  int count;
};
using RowsKernel = void (*)(const WeightRows& w, const DotActivations& act, float* y);

}  // namespace tl

#ifdef TL_BELOW
namespace tl::TL_BELOW {
RowsKernel direct_kernel(DType dtype, int64_t rows);
}
#endif

namespace tl::TL_ISA {

// Where products take any byte, weights with a sign become unsigned by a shift.
TL_INLINE int shift_of(const BlockFormat& f) {
  return f.kind == BlockFormat::plain && kAnyByte ? -128 : f.shift;
}

// Writes what belongs to the sums of a unit's rounded halves: to[group · step].
TL_INLINE void write_extra(const BlockFormat& f, int shift, const int32_t* sums, float* to,
                           int64_t step) {
  const int per = f.per_unit();
  for (int g = 0; g < per; ++g, to += step) {
    int32_t total = per == 1 ? sums[0] + sums[1] : sums[g];
    if (f.kind == BlockFormat::minimum) {
      *to = static_cast<float>(total);
    } else {
      total *= shift;
      memcpy(to, &total, 4);
    }
  }
}

// Unpacks in registers; null where that is not worth its code.
RowsKernel direct_kernel(DType dtype, int64_t rows);

// Calls tile(w, to) for kEights eights of rows of weights at a time, which adds up their products
// in to[16·a …]. What is left over is an eight twice, then eight times the same row.
template <int kEights, class F>
TL_INLINE void each_tile(const WeightRows& rows, float* y, int64_t m, const F& tile) {
  for (int c = 0; c < rows.count;) {
    const int left = rows.count - c;
    const bool whole = left >= 8 * kEights;
    const int width = whole ? 8 * kEights : left >= 8 ? 8 : 1;
    alignas(64) float part[16 * kFewRows];
    EightRows w[kEights];
    for (int e = 0; e < kEights; ++e)
      w[e] = {rows.first + (c + (whole ? 8 * e : 0)) * rows.bytes, width > 1 ? rows.bytes : 0};
    tile(w, whole ? y + c : part);
    for (int64_t a = 0; a < m && !whole; ++a)
      memcpy(y + 16 * a + c, part + 16 * a, width * sizeof(float));
    c += width;
  }
}

// Asks for as much of the next kCount rows as `size` bytes of each of these are, `from` bytes from
// w on; `at` are before. Eight short streams side by side are too many for the hardware to follow.
// Short rows are asked for as they lie in memory, twice: long before their use into the
// second-level cache, then into the first. Long ones are asked for as they will be read. The
// distances are measured (docs/log.md).
constexpr int64_t kLongRow = 2048, kFarAhead = 4096;  // bytes
template <int kCount>
TL_INLINE void fetch_ahead(EightRows w, int64_t at, int64_t from, int size) {
  const uint8_t* next = w.first + kCount * w.bytes + from;
  if (w.bytes < kLongRow) {
    next += (kCount - 1) * at;
    for (int i = 0; i < kCount * size; i += 64) {
      __builtin_prefetch(next + kFarAhead + i, 0, 2);
      __builtin_prefetch(next + i, 0, 3);
    }
    return;
  }
  if (at % 64 >= size) return;
  const EightRows later{next + 2048, w.bytes};
  for (int i = 0; i < size; i += 64) {
    for (int c = 0; c < kCount; ++c) __builtin_prefetch(later[c] + i, 0, 2);
  }
}

// --- arithmetic ----------------------------------------------------------------------------------

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

  TL_INLINE f32x8 value(int j, int g, i32x8 sum, const float* extra) const {
    if constexpr (kExtraOf<F> == Extra::shift) {
      int32_t shifted;
      memcpy(&shifted, extra, 4);
      sum += shifted;
    }
    const f32x8 scaled = to_floats(sum * F::scale(s, j, g));
    if constexpr (F::kMins)
      return group_value<Extra::minimum>(scaled, s.d, s.m, to_floats(F::minimum(s, j, g)) * *extra);
    else
      return group_value<kExtraOf<F>>(scaled, s.d, s.d, s.d);
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

// One or two rows of activations. acc[a] += the groups of the units of step j of a block, one after
// the other; `unit` is the block's first one in the row.
template <class F, int kBatch>
TL_INLINE void add_units(EightRows w, int j, const auto& scales, const DotActivations& act,
                         int64_t unit, f32x8* acc) {
  constexpr int kPer = 32 / F::kGroup;
  const StepOf<F, kBatch> step(act, unit + F::kStep * j);
  f32x8 value[kBatch][F::kStep * kPer];
  if constexpr (requires { F::row; })
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

// x: the same half of rows p and p + 4. to[i] = word i of it, of all eight.
TL_INLINE void words_of_rows(const b32* x, b32* to) {
  u32x8 r[4];
#pragma GCC unroll 4
  for (int p = 0; p < 4; p += 2) {
    const u32x8 a = (u32x8)x[p], b = (u32x8)x[p + 1];
    r[p] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
    r[p + 1] = __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    to[2 * i] = (b32)__builtin_shufflevector(r[i], r[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    to[2 * i + 1] = (b32)__builtin_shufflevector(r[i], r[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
  }
}

// The words of a unit of eight rows.
template <class F>
TL_INLINE void unit_words(EightRows w, int j, int i, b32* x) {
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    b32 rows[4];
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) rows[p] = weights_of<F>(w, p, j, i, h);
    words_of_rows(rows, x + 4 * h);
  }
}

// Eights of rows beside each other fill a tile's vectors.
inline constexpr int kEights = kTileColumns / 8;
template <class V, class E>
TL_INLINE V beside(const E& eight) {
  if constexpr (kEights == 1)
    return (V)eight(0);
  else
    return (V)__builtin_shufflevector((u32x8)eight(0), (u32x8)eight(1), 0, 1, 2, 3, 4, 5, 6, 7, 8,
                                      9, 10, 11, 12, 13, 14, 15);
}

// Only where products do not take any byte.
template <class B>
TL_INLINE B size_of(B x) {
  return abs32(x);
}
template <int count, class B>
TL_INLINE ti signed_dots(const B* size, const B* x, const int8_t* q) {
  ti sum{};
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) {
    int32_t four;
    memcpy(&four, q + 4 * k, 4);
    sum += dot4(size[k], sign32((B)(ti{} + four), x[k]));
  }
  return sum;
}

// Several rows of activations, to each of which a unit's words are broadcast: sums are complete
// without additions across lanes. y[16·a …] += the groups of a unit, whose word k of the e-th eight
// rows is word(e, k). d and m hold its scales, and those of the next eight rows kNext further on.
template <class F, int kNext, class Word>
TL_INLINE void add_unit_of_rows(const Word& word, const float* d, const float* m,
                                const DotActivations& act, int64_t unit, float* y) {
  constexpr int kPer = 32 / F::kGroup, kWords = 8 / kPer;
  typedef Simd<uint8_t, 4 * kTileColumns> tb;
  tb x[8], size[8];
#pragma GCC unroll 8
  for (int k = 0; k < 8; ++k) {
    x[k] = beside<tb>([&](int e) { return word(e, k); });
    if constexpr (kSigned<F>) size[k] = size_of(x[k]);
  }
  tf scale[kPer], least[kPer];
#pragma GCC unroll 2
  for (int g = 0; g < kPer; ++g) {
    scale[g] = beside<tf>([&](int e) { return load_as<f32x8>(d + kNext * e + 8 * g); });
    least[g] = beside<tf>([&](int e) { return minima_at<F>(m + kNext * e + 8 * g); });
  }
  // Copies: what `act` points to could change with each store to y.
  const int64_t count = act.rows;
  const int8_t* q = act.q_at(unit);
  const float *da = act.d_at(unit), *extra = act.extra_at(unit);
  for (int64_t a = 0; a < count; ++a, q += 32) {
    tf acc = load_as<tf>(y + 16 * a);
#pragma GCC unroll 2
    for (int g = 0; g < kPer; ++g) {
      ti sum{};
      if constexpr (kSigned<F>) {
        sum = signed_dots<kWords>(size + g * kWords, x + g * kWords, q + 4 * g * kWords);
      } else {
        ti sums[1][2];  // the second is of the same tile, and nobody asks for it
        tile_dots<kTopOf<F>, kWords, 1>(reinterpret_cast<const uint8_t*>(x + g * kWords), 0,
                                        q + 4 * g * kWords, sums);
        sum = sums[0][0];
      }
      acc = fma(worth<F>(sum, scale[g], least[g], extra + g * count + a), da[a] - tf{}, acc);
    }
    store_at(y + 16 * a, acc);
  }
}

// `size` bytes further on, by one addition: GCC would keep the address of each row.
TL_INLINE void advance(EightRows& w, int64_t size) {
  w.first += size;
  asm("" : "+r"(w.first));
}

// The units of step j of a block, of several rows.
template <class F, int kNext>
TL_INLINE void add_step_of_rows(const EightRows* w, int j, const float* d, const float* m,
                                const DotActivations& act, int64_t unit, float* y) {
  constexpr int kUnit = 8 * 32 / F::kGroup;  // scales
  const int first = F::kStep * j;
  if constexpr (requires { F::kRaw; }) {
    b32 raw[kEights][F::kRaw];
    for (int e = 0; e < kEights; ++e) F::raw_words(w[e], j, raw[e]);
#pragma GCC unroll 4
    for (int i = 0; i < F::kStep; ++i) {
      const int u = first + i;
      auto word = [&](int e, int k) { return F::word(raw[e], i, k); };
      add_unit_of_rows<F, kNext>(word, d + kUnit * u, m + kUnit * u, act, unit + u, y);
    }
  } else {
#pragma GCC unroll 4
    for (int i = 0; i < F::kStep; ++i) {
      const int u = first + i;
      b32 words[kEights][8];
      for (int e = 0; e < kEights; ++e) unit_words<F>(w[e], j, i, words[e]);
      auto word = [&](int e, int k) { return words[e][k]; };
      add_unit_of_rows<F, kNext>(word, d + kUnit * u, m + kUnit * u, act, unit + u, y);
    }
  }
}

// kBatch: rows of activations that a kernel is compiled for; 0: any number, by tiles.
template <int kBatch>
inline constexpr int kEightsOf = kBatch > 0 ? 1 : kEights;

// Whether few rows take scales from registers.
template <class F, int kBatch>
inline constexpr bool kIntegers = kBatch > 0 && requires(EightRows w) { F::integer_scales(w, 0); };

// Of `count` blocks, whose scales d and m begin with: the products onto acc (of one or two rows of
// activations) or y[16·a …]. at: what has been read of the rows before.
template <class F, int kBatch, int kNext, bool kFetch>
TL_INLINE void add_blocks(EightRows* w, int64_t at, int64_t count, const float* d, const float* m,
                          const DotActivations& act, int64_t unit, f32x8* acc, float* y) {
  constexpr int kBytes = F::kBytes * F::kStep / F::kUnits, kCount = kEightsOf<kBatch>;  // of a step
  for (int64_t b = 0; b < count; ++b, at += F::kBytes, unit += F::kUnits) {
    const auto scales = [&] {
      if constexpr (kIntegers<F, kBatch>)
        return InRegisters<F>{F::integer_scales(w[0], 0)};
      else
        return FloatScales<F>{d, m};
    }();
    for (int j = 0; j < F::kUnits / F::kStep; ++j) {
      if constexpr (kFetch) fetch_ahead<8 * kCount>(w[0], at + j * kBytes, j * kBytes, kBytes);
      if constexpr (kBatch > 0)
        add_units<F, kBatch>(w[0], j, scales, act, unit, acc);
      else
        add_step_of_rows<F, kNext>(w, j, d, m, act, unit, y);
    }
    for (int e = 0; e < kCount; ++e) advance(w[e], F::kBytes);
    d += 8 * F::kGroups;
    if constexpr (F::kMins) m += 8 * F::kGroups;
  }
}

// Sums begin with nothing, and end in y[16·a …].
template <int kBatch>
TL_INLINE void begin_sums(int64_t rows, f32x8* acc, float* y) {
  for (int64_t a = 0; kBatch == 0 && a < rows; ++a) store_at(y + 16 * a, tf{});
  for (int a = 0; a < kBatch; ++a) acc[a] = f32x8{};
}
template <int kBatch>
TL_INLINE void end_sums(const f32x8* acc, float* y) {
  for (int a = 0; a < kBatch; ++a) store_at(y + 16 * a, acc[a]);
}

// A RowsKernel: rows of models with few blocks would spend a good part on calls by address.
template <class F, int kBatch>
void direct_rows(const WeightRows& rows, const DotActivations& activations, float* y) {
  // Single scales are cheaper made anew than kept.
  constexpr bool kKept = F::kGroups > 1 && !kIntegers<F, kBatch>;
  constexpr int kRun = kKept ? 64 / F::kUnits : 1, kScales = kRun * F::kGroups * 8;
  constexpr int kCount = kEightsOf<kBatch>;
  const DotActivations act = activations;  // a copy: it could change with each store
  const int64_t blocks = rows.blocks;
  alignas(64) float d[kCount * kScales], m[F::kMins ? kCount * kScales : 1];
  each_tile<kCount>(rows, y, act.rows, [&](EightRows* w, float* to) __attribute__((always_inline)) {
    f32x8 acc[kBatch > 0 ? kBatch : 1];
    begin_sums<kBatch>(act.rows, acc, to);
    for (int64_t b = 0; b < blocks; b += kRun) {
      const int64_t here = kKept ? min64(kRun, blocks - b) : 1;
      for (int e = 0; e < kCount; ++e) {
        float *de = d + e * kScales, *me = F::kMins ? m + e * kScales : m;
        if constexpr (kIntegers<F, kBatch>)
          continue;
        else if constexpr (kKept)
          eight_scales<F>(w[e], 0, here, de, me);
        else
          eight_scales_of<F>(w[e], 0, 1, de, me);
      }
      add_blocks<F, kBatch, kScales, true>(w, b * F::kBytes, here, d, m, act, b * F::kUnits, acc,
                                           to);
    }
    end_sums<kBatch>(acc, to);
  });
}

}  // namespace tl::TL_ISA
