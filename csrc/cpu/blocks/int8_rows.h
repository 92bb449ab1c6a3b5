// Few rows: dot products of int8 activations with one weight row after the other, as they lie in
// memory. Each leaves a line of floats, one for each group of 32 (or 16) weights; then 16 such
// lines are added up side by side, group after group. So a result has the very bits that
// int8_panel.cpp gives it among many rows.
#pragma once
#include "../gemm_linear.h"
#include "../simd/int8_tile.h"
#include "format.h"

namespace tl::TL_ISA {

// Rounded activations of up to 4 rows: bytes, a scale to 32 of them, and for each group of the
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

// Units whose scales are read at once.
inline constexpr int kRunUnits = 64;

// The value of each group of one run of units · each activation row: to[a·stride + group], before
// the activations' scales. d and m are the run's scales; `unit` is its place in the row. Up to 8
// places after the last may be written.
using RunKernel = void (*)(const uint8_t* w, int64_t blocks, const float* d, const float* m,
                           const DotActivations& act, int64_t unit, float* to, int64_t stride);

// Up to 16 rows of weights, from their bytes: row c, activation row a to[(16·a + c)·stride +
// group].
struct WeightRows {
  const uint8_t* first;
  int64_t bytes, blocks;  // of a row
  int count;
};
using RowsKernel = void (*)(const WeightRows& w, const DotActivations& act, float* to,
                            int64_t stride);

// Reads scales and unpacks in registers, for some rows of activations; null where that is not worth
// its code.
RowsKernel direct_kernel(DType dtype, int64_t rows);

template <class F>
inline constexpr Extra kExtraOf = F::kMins         ? Extra::minimum
                                  : F::kShift != 0 ? Extra::shift
                                                   : Extra::none;

// The blocks that are opened together: as many as make 8 groups, or one.
template <class F>
struct Step {
  static constexpr int kUnits = F::kGroup == 32 ? 8 : 4;  // units to 8 groups
  static constexpr int kBlocks = F::kUnits < kUnits ? kUnits / F::kUnits : 1;
  static constexpr int kTimes = F::kUnits < kUnits ? 1 : F::kUnits / kUnits;
};

// Sums of the groups of kCount units from kFrom on, for each activation row; `left` blocks are
// there. Added pairwise on the way, so that few vectors are alive.
template <class F, int kBatch, int kFrom, int kCount, bool kPart, class B>
TL_INLINE void add_units(const B* blocks, int left, const int8_t* const* q, i32x8* to) {
  if constexpr (kCount == 1) {
    constexpr int kBlock = kFrom / F::kUnits;
    if (kPart && kBlock >= left) {
      for (int a = 0; a < kBatch; ++a) to[a] = i32x8{};
      return;
    }
    b32 w = F::values(blocks[kBlock], kFrom % F::kUnits), sign = w;
    // The signs of weights go to the activations.
    if constexpr (F::kForm == Form::plain) w = abs32(w);
    if constexpr (F::kForm == Form::masked) sign = F::mask(blocks[kBlock], kFrom % F::kUnits);
#pragma GCC unroll 4
    for (int a = 0; a < kBatch; ++a) {
      b32 x = load32(q[a] + 32 * kFrom);
      if constexpr (F::kForm == Form::plain) x = sign32(x, sign);
      if constexpr (F::kForm == Form::masked) x = negate32(x, sign);
      to[a] = dot4(w, x);
    }
  } else {
    i32x8 x[kBatch], y[kBatch];
    add_units<F, kBatch, kFrom, kCount / 2, kPart>(blocks, left, q, x);
    add_units<F, kBatch, kFrom + kCount / 2, kCount / 2, kPart>(blocks, left, q, y);
#pragma GCC unroll 4
    for (int a = 0; a < kBatch; ++a) {
      if constexpr (kCount == 8) {
        to[a] = join_low(x[a], y[a]) + join_high(x[a], y[a]);
      } else {
        to[a] = add_pairs(x[a], y[a]);
        // Two groups to a unit: first halves, then second halves; in order, then.
        if constexpr (kCount == 4 && F::kGroup == 16) to[a] = zip_halves(to[a]);
      }
    }
  }
}

template <class F, int kBatch, int kTime, bool kPart, class B>
TL_INLINE void step_values(const B* blocks, int left, const DotActivations& act, int64_t unit,
                           const float* d, const float* m, float* const* to) {
  constexpr int kPer = 32 / F::kGroup, kUnits = Step<F>::kUnits;
  const int8_t* q[kBatch];
  for (int a = 0; a < kBatch; ++a) q[a] = act.q_at(a) + 32 * unit;
  i32x8 sums[kBatch];
  add_units<F, kBatch, kTime * kUnits, kUnits, kPart>(blocks, left, q, sums);
  constexpr int kSkip = kTime * kUnits * kPer;
  for (int a = 0; a < kBatch; ++a) {
    const float* extra = act.extra_at(a) + unit * kPer + kSkip;
    if constexpr (kExtraOf<F> == Extra::shift) sums[a] += load_as<i32x8>(extra);
    f32x8 least{}, total{};
    if constexpr (F::kMins) least = load_as<f32x8>(m + kSkip), total = load_as<f32x8>(extra);
    store_at(to[a] + kSkip, group_value<kExtraOf<F>>(__builtin_convertvector(sums[a], f32x8),
                                                     load_as<f32x8>(d + kSkip), least, total));
  }
  if constexpr (kTime + 1 < Step<F>::kTimes)
    step_values<F, kBatch, kTime + 1, kPart>(blocks, left, act, unit, d, m, to);
}

// Bytes that are asked for ahead of their use, in the order in which the rows lie in memory.
inline constexpr int kAhead = 2048;

// The blocks of a step, of which `left` are there.
template <class F, int kBatch, bool kPart>
TL_INLINE void step_at(const uint8_t* w, int64_t j, int left, const float* d, const float* m,
                       const DotActivations& act, int64_t unit, float* to, int64_t stride) {
  constexpr int kBlocks = Step<F>::kBlocks, kPer = 32 / F::kGroup;
  decltype(F::open(w)) block[kBlocks];
  for (int i = 0; i < kBlocks; ++i) {
    block[i] = F::open(w + (j + i) * F::kBytes);
    // A page holds one or two rows, and at its end the hardware stops looking ahead.
    if constexpr (kBatch == 1) {
      for (int at = 0; at < F::kBytes && (!kPart || i < left); at += 64)
        __builtin_prefetch(w + (j + i) * F::kBytes + kAhead + at);
    }
  }
  const int64_t here = unit + j * F::kUnits;
  float* line[kBatch];
  for (int a = 0; a < kBatch; ++a) line[a] = to + a * stride + here * kPer;
  step_values<F, kBatch, 0, kPart>(block, left, act, here, d + j * F::kGroups, m + j * F::kGroups,
                                   line);
}

// A RunKernel.
template <class F, int kBatch>
TL_INLINE void run_values(const uint8_t* w, int64_t count, const float* d, const float* m,
                          const DotActivations& act, int64_t unit, float* to, int64_t stride) {
  constexpr int kBlocks = Step<F>::kBlocks;
  int64_t j = 0;
  for (; j + kBlocks <= count; j += kBlocks)
    step_at<F, kBatch, false>(w, j, kBlocks, d, m, act, unit, to, stride);
  if (kBlocks > 1 && j < count)
    step_at<F, kBatch, true>(w, j, static_cast<int>(count - j), d, m, act, unit, to, stride);
}

// A RowsKernel: rows of models with few blocks would spend a good part on calls by address.
template <class F, int kBatch>
void direct_rows(const WeightRows& rows, const DotActivations& activations, float* to,
                 int64_t stride) {
  constexpr int kRun = kRunUnits / F::kUnits, kScales = kRun * F::kGroups + 8;
  const DotActivations act = activations;  // a copy: it could change with each store to `to`
  alignas(32) float d[kScales], m[F::kMins ? kScales : 1];
  const uint8_t* row = rows.first;
  for (int c = 0; c < rows.count; ++c, row += rows.bytes, to += stride) {
    const uint8_t* w = row;
    for (int64_t b = 0; b < rows.blocks; b += kRun, w += kRun * F::kBytes) {
      const int64_t here = min64(kRun, rows.blocks - b);
      block_scales<F>(w, here, d, m);
      run_values<F, kBatch>(w, here, d, m, act, b * F::kUnits, to, 16 * stride);
    }
  }
}

}  // namespace tl::TL_ISA
