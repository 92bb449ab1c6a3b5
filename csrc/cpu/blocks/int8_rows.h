// Few rows: dot products of int8 activations with eight rows of weights at a time, as they lie in
// memory. Lane c of a sum belongs to row c, and the groups are added one after the other: a result
// has the very bits that int8_panel.cpp gives it among many rows.
#pragma once
#include "../gemm_linear.h"
#include "int8_linear.h"
#include "int8_units.h"

namespace tl {

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
// w on; `at` are before. Eight short streams side by side are too many for the hardware to follow,
// so rows are asked for as they lie in memory, twice: long before their use into the second-level
// cache, then into the first. The distance is measured (docs/log.md).
constexpr int64_t kFarAhead = 8192;  // bytes
template <int kCount>
TL_INLINE void fetch_ahead(EightRows w, int64_t at, int64_t from, int size) {
  const uint8_t* next = w.first + kCount * w.bytes + from + (kCount - 1) * at;
  for (int i = 0; i < kCount * size; i += 64) {
    __builtin_prefetch(next + kFarAhead + i, 0, 2);
    __builtin_prefetch(next + i, 0, 3);
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
