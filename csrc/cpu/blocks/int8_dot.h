// Few rows: dot products of int8 activations straight from the file's bytes.
#pragma once
#include "../gemm_linear.h"
#include "format.h"

namespace tl::TL_ISA {

// Rounded activations of up to 4 rows. Per group of the weight's format (32 or 16): d = the scale,
// s = d·Σq. Padded by zeros to whole vectors.
struct DotActivations {
  int8_t* q;
  float *d, *s;
  int64_t units, groups;  // of a row; groups padded

  static int64_t padded(int64_t groups) { return (groups + 7) / 8 * 8; }
  static size_t bytes(int64_t rows, int64_t units, int64_t groups) {
    return rows * (units * 32 + padded(groups) * 8);
  }
  DotActivations(void* memory, int64_t rows, int64_t units_, int64_t groups_)
      : units(units_), groups(padded(groups_)) {
    d = static_cast<float*>(memory);
    s = d + rows * groups;
    q = reinterpret_cast<int8_t*>(s + rows * groups);
  }
  int8_t* q_at(int64_t row) const { return q + row * units * 32; }
  float* d_at(int64_t row) const { return d + row * groups; }
  float* s_at(int64_t row) const { return s + row * groups; }
};

template <class F, class T>
void round_row(const T* x, const DotActivations& a, int64_t row) {
  constexpr int kPer = 32 / F::kGroup;
  int8_t* q = a.q_at(row);
  float *d = a.d_at(row), *s = a.s_at(row);
  for (int64_t u = 0; u < a.units; ++u, x += 32, q += 32) {
    int32_t sums[2];
    float scale = round_any32(x, q, sums);
    for (int g = 0; g < kPer; ++g) {
      *d++ = scale;
      *s++ = scale * static_cast<float>(kPer == 1 ? sums[0] + sums[1] : sums[g]);
    }
  }
  for (int64_t g = a.units * kPer; g < a.groups; ++g) *d++ = *s++ = 0;
}

// 32 weights · 32 activations of each row.
template <class F, int kBatch, class B, class Add>
TL_INLINE void dot_unit(const B& block, int unit, const int8_t* const* q, Add add) {
  b32 w = F::values(block, unit);
  b32 sign = w;
  if constexpr (F::kForm == Form::masked) sign = F::mask(block, unit);
  if constexpr (F::kForm == Form::plain) w = abs32(w);
#pragma GCC unroll 4
  for (int a = 0; a < kBatch; ++a) {
    b32 x = load32(q[a]);
    if constexpr (F::kForm == Form::masked) x = negate32(x, sign);
    if constexpr (F::kForm == Form::plain) x = sign32(x, sign);
    add(a, dot32(w, x));
  }
}

// Bytes that are asked for ahead of their use, in the order in which the rows lie in memory.
inline constexpr int kAhead = 2048;

// y[a·16 + r] = weight row r · activation row a. The scales of a run of blocks are multiplied
// first, 8 at a time, so that the main loop has one load for them.
template <class F, int kRows, int kBatch>
TL_INLINE void dot_rows(const uint8_t* const* w, int64_t blocks, const DotActivations& act,
                        float* y) {
  constexpr int kPer = 32 / F::kGroup, kRun = 64 / F::kUnits, kScales = kRun * F::kGroups;
  constexpr bool kLeast = F::kMins || F::kShift != 0;
  // One row alone would wait for each of its own additions.
  constexpr int kChains = kRows == 1 ? 2 : 1, kStep = F::kUnits % kChains == 0 ? 1 : kChains;
  vf sums[kRows][kBatch][kChains] = {}, least[kRows][kBatch] = {};
  alignas(32) float d[kScales], m[kScales], scale[kRows][kBatch][kScales];
  for (int64_t b0 = 0; b0 < blocks; b0 += kRun) {
    int run = static_cast<int>(min64(kRun, blocks - b0)), groups = run * F::kGroups;
    for (int r = 0; r < kRows; ++r) {
      F::scales(w[r] + b0 * F::kBytes, run, d, m);
      // A last part of a vector meets the zeros that pad the activations.
      for (int g = 0; g < groups; g += kLanes) {
        vf dv = load(d + g), mv = F::kMins ? load(m + g) : dv;
        for (int a = 0; a < kBatch; ++a) {
          int64_t at = b0 * F::kGroups + g;
          store(scale[r][a] + g, dv * load(act.d_at(a) + at));
          if constexpr (kLeast) least[r][a] = fma(mv, load(act.s_at(a) + at), least[r][a]);
        }
      }
    }
    for (int j0 = 0; j0 < run; j0 += kStep) {
#pragma GCC unroll 2
      for (int step = 0; step < kStep; ++step) {
        int j = j0 + step;
        if (kStep > 1 && j == run) break;
        if constexpr (kBatch == 1) {
          // A page holds one or two rows, and at its end the hardware stops looking ahead.
          const uint8_t* ahead = w[0] + (b0 + j) * F::kBytes + kAhead;
          for (int at = 0; at < F::kBytes; at += 64) __builtin_prefetch(ahead + at);
        }
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          const auto block = F::open(w[r] + (b0 + j) * F::kBytes);
#pragma GCC unroll 8
          for (int unit = 0; unit < F::kUnits; ++unit) {
            int64_t u = (b0 + j) * F::kUnits + unit;
            int g = (j * F::kUnits + unit) * kPer;
            const int8_t* q[kBatch];
            for (int a = 0; a < kBatch; ++a) q[a] = act.q_at(a) + u * 32;
            dot_unit<F, kBatch>(block, unit, q, [&](int a, vf part) {
              vf& sum = sums[r][a][(unit + step) % kChains];
              sum = fma(part, load_scale<F::kGroup>(scale[r][a] + g), sum);
            });
          }
        }
      }
    }
  }
  vf acc[kRows][kBatch];
  for (int a = 0; a < kBatch; ++a) {
    for (int r = 0; r < kRows; ++r) {
      vf& total = acc[r][a];
      total = sums[r][a][0];
      if constexpr (kChains == 2) total = total + sums[r][a][1];
      if constexpr (F::kMins)
        total = total + least[r][a];
      else if constexpr (F::kShift != 0)
        total = fma(least[r][a], splat(static_cast<float>(F::kShift)), total);
    }
    if constexpr (kRows == 4) {
      sum4(acc[0][a], acc[1][a], acc[2][a], acc[3][a], y + a * 16);
    } else {
      for (int r = 0; r < kRows; ++r) y[a * 16 + r] = sum(acc[r][a]);
    }
  }
}

template <class F, int kBatch>
void decode(const Linear& l, const DotActivations& act) {
  int64_t blocks = l.k / block_of(F::kDType), row_bytes = l.weight_row(1) - l.weight_row(0);
  constexpr int kRows = kBatch > 1 ? 2 : 1;
  parallel_for(l.n, decode_grain(l.n, blocks * F::kBytes), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i += 16) {
      int columns = static_cast<int>(min64(16, end - i));
      float y[kBatch * 16];
      const uint8_t* first = l.weight_row(i);
      for (int c = 0; c < columns; c += kRows) {
        const uint8_t* w[kRows];
        for (int r = 0; r < kRows; ++r) w[r] = first + (c + r < columns ? c + r : c) * row_bytes;
        dot_rows<F, kRows, kBatch>(w, blocks, act, y + c);
      }
      write_tile(l, 0, kBatch, i, columns, y, 16);
    }
  });
}

template <class F>
const char* decode_rows(const Linear& l) {
  int64_t units = l.k / 32, groups = units * (32 / F::kGroup);
  Scratch memory(DotActivations::bytes(l.m, units, groups));
  if (!memory.as<char>()) return "linear: out of memory";
  DotActivations act(memory.as<char>(), l.m, units, groups);
  with_float(l.x.dtype, [&]<class T>(T) {
    for (int64_t r = 0; r < l.m; ++r) round_row<F>(l.x_row<T>(r), act, r);
  });
  switch (l.m) {
    case 1:
      decode<F, 1>(l, act);
      break;
    case 2:
      decode<F, 2>(l, act);
      break;
    case 3:
      decode<F, 3>(l, act);
      break;
    default:
      decode<F, 4>(l, act);
  }
  return nullptr;
}

}  // namespace tl::TL_ISA
