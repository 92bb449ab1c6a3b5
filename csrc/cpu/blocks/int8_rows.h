// Few rows: dot products of int8 activations with eight rows of weights at a time, as they lie in
// memory. Lane c of a sum belongs to row c, and the groups are added one after the other: a result
// has the very bits that int8_panel.cpp gives it among many rows.
#pragma once
#include "../gemm_linear.h"
#include "../simd/int8_tile.h"
#include "format.h"

namespace tl::TL_ISA {

// Rounded activations of 1, 2 or 4 rows: bytes, a scale to 32 of them, and for each group of the
// weight's format Σq as a float, or shift·Σq as an integer.
struct DotActivations {
  int8_t* q;
  float *d, *extra;
  int64_t units, groups;  // of a row; groups with room for a vector that begins at the last one

  static int64_t padded(int64_t groups) { return groups + 8; }
  static size_t bytes(int64_t rows, int64_t units, int64_t groups) {
    return rows * (units * 32 + (units + padded(groups)) * sizeof(float));
  }
  DotActivations(void* memory, int64_t rows, int64_t units_, int64_t groups_)
      : units(units_), groups(padded(groups_)) {
    d = static_cast<float*>(memory);
    extra = d + rows * units;
    q = reinterpret_cast<int8_t*>(extra + rows * groups);
  }
  // Without the rows before `row`.
  DotActivations from(int64_t row) const {
    DotActivations rest = *this;
    rest.q = q_at(row), rest.d = d_at(row), rest.extra = extra_at(row);
    return rest;
  }
  int8_t* q_at(int64_t row) const { return q + row * units * 32; }
  float* d_at(int64_t row) const { return d + row * units; }
  float* extra_at(int64_t row) const { return extra + row * groups; }
};

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

// Up to 16 rows of weights, from their bytes: weight row c times activation row a to y[16·a + c].
struct WeightRows {
  const uint8_t* first;
  int64_t bytes, blocks;  // of a row
  int count;
};
using RowsKernel = void (*)(const WeightRows& w, const DotActivations& act, float* y);

// Unpacks in registers, for 1, 2 or 4 rows of activations; null where that is not worth its code.
RowsKernel direct_kernel(DType dtype, int64_t rows);

template <class F>
inline constexpr Extra kExtraOf = F::kMins         ? Extra::minimum
                                  : F::kShift != 0 ? Extra::shift
                                                   : Extra::none;

// Eight rows of weights; those that are missing repeat the last one.
struct EightRows {
  const uint8_t* row[8];
  int64_t bytes;  // of a row

  EightRows(const WeightRows& w, int from) : bytes(w.bytes) {
    for (int c = 0; c < 8; ++c)
      row[c] = w.first + (from + c < w.count ? from + c : w.count - 1) * w.bytes;
  }

  // Asks for as much of the next eight rows as `size` bytes at `at` of these are: eight short
  // streams side by side are too many for the hardware to follow. Short rows are asked for as they
  // lie in memory, twice: long before their use into the second-level cache, then into the first.
  // Long ones are asked for as they will be read. The distances are measured (docs/log.md).
  TL_INLINE void fetch_ahead(int64_t at, int size) const {
    if (bytes < kLongRow) {
      const uint8_t* next = row[0] + 8 * (bytes + at);
      for (int i = 0; i < 8 * size; i += 64) {
        __builtin_prefetch(next + kFarAhead + i, 0, 2);
        __builtin_prefetch(next + i, 0, 3);
      }
      return;
    }
    if (at % 64 >= size) return;
    for (int i = 0; i < size; i += 64) {
      for (int c = 0; c < 8; ++c) __builtin_prefetch(row[c] + 8 * bytes + at + i + 2048, 0, 2);
    }
  }
  static constexpr int64_t kLongRow = 2048, kFarAhead = 4096;  // bytes
};

// A group of eight rows times 16 or 32 activations at q: before the activations' scale. d and m
// hold the rows' scales, `extra` is the activations' own.
template <class F>
TL_INLINE f32x8 group_of_rows(const b32* x, const int8_t* q, const float* d, const float* m,
                              const float* extra) {
  i32x8 sum = dot_rows<F::kScheme == QuantScheme::plain, F::kTop, F::kGroup / 16>(x, q);
  if constexpr (kExtraOf<F> == Extra::shift) {
    int32_t shifted;
    memcpy(&shifted, extra, 4);
    sum += shifted;
  }
  f32x8 least{}, total{};
  if constexpr (F::kMins) least = load_as<f32x8>(m), total = *extra - f32x8{};
  return group_value<kExtraOf<F>>(to_floats(sum), load_as<f32x8>(d), least, total);
}

// acc[a] += the groups of the units of step j of a block at w[c] + at, one after the other; d and m
// hold eight rows' scales to a group of the block, `unit` is the block's first one in the row.
template <class F, int kBatch>
TL_INLINE void add_units(const uint8_t* const* w, int64_t at, int j, const float* d, const float* m,
                         const DotActivations& act, int64_t unit, f32x8* acc) {
  constexpr int kPer = 32 / F::kGroup, kHalves = 2 / kPer;  // groups of a unit, halves of a group
  const int64_t first = F::kStep * j;
  f32x8 value[kBatch][F::kStep * kPer];
  // Groups outside: the units of a step share the loads of a half.
#pragma GCC unroll 2
  for (int g = 0; g < kPer; ++g) {
#pragma GCC unroll 4
    for (int i = 0; i < F::kStep; ++i) {
      b32 x[4 * kHalves];
#pragma GCC unroll 8
      for (int p = 0; p < 4 * kHalves; ++p)
        x[p] = F::half(w[p / kHalves] + at, w[p / kHalves + 4] + at, j, i, g + p % kHalves);
      const int64_t group = (first + i) * kPer + g;
#pragma GCC unroll 4
      for (int a = 0; a < kBatch; ++a)
        value[a][i * kPer + g] =
            group_of_rows<F>(x, act.q_at(a) + 32 * (unit + first + i) + 16 * g, d + 8 * group,
                             m + 8 * group, act.extra_at(a) + unit * kPer + group);
    }
  }
#pragma GCC unroll 4
  for (int a = 0; a < kBatch; ++a) {
#pragma GCC unroll 8
    for (int i = 0; i < F::kStep * kPer; ++i)
      acc[a] = fma(value[a][i], act.d_at(a)[unit + first + i / kPer] - f32x8{}, acc[a]);
  }
}

// The same for `count` blocks; d and m begin with the first one's.
template <class F, int kBatch, bool kFetch>
TL_INLINE void add_blocks(const EightRows& w, int64_t at, int64_t count, const float* d,
                          const float* m, const DotActivations& act, int64_t unit, f32x8* acc) {
  for (int64_t b = 0; b < count; ++b, at += F::kBytes, unit += F::kUnits) {
    for (int j = 0; j < F::kUnits / F::kStep; ++j) {
      constexpr int kBytes = F::kBytes * F::kStep / F::kUnits;
      if constexpr (kFetch) w.fetch_ahead(at + j * kBytes, kBytes);
      add_units<F, kBatch>(w.row, at, j, d, m, act, unit, acc);
    }
    d += 8 * F::kGroups;
    if constexpr (F::kMins) m += 8 * F::kGroups;
  }
}

// A RowsKernel: rows of models with few blocks would spend a good part on calls by address.
template <class F, int kBatch>
void direct_rows(const WeightRows& rows, const DotActivations& activations, float* y) {
  constexpr int kRun = 64 / F::kUnits, kScales = kRun * F::kGroups * 8;
  const DotActivations act = activations;  // a copy: it could change with each store
  alignas(32) float d[kScales], m[F::kMins ? kScales : 1];
  for (int c = 0; c < rows.count; c += 8) {
    const EightRows w(rows, c);
    f32x8 acc[kBatch] = {};
    for (int64_t b = 0; b < rows.blocks; b += kRun) {
      const int64_t here = min64(kRun, rows.blocks - b), at = b * F::kBytes;
      eight_scales<F>(w.row, at, here, d, m);
      add_blocks<F, kBatch, true>(w, at, here, d, m, act, b * F::kUnits, acc);
    }
    for (int a = 0; a < kBatch; ++a) store_at(y + 16 * a + c, acc[a]);
  }
}

}  // namespace tl::TL_ISA
