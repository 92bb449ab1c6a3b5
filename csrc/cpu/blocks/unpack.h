// What is compiled for each block format: its bytes as small integers and scales, and from these,
// for all alike, its floats.
#pragma once
#include "../quant_blocks.h"
#include "../simd/int8_tile.h"
#include "format.h"

namespace tl::TL_ISA {

// The integers of a unit.
template <class F>
TL_INLINE b32 values_of(const auto& block, int unit) {
  if constexpr (requires { F::row(block, 0, 0); })
    return F::row(block, unit / F::kStep, unit % F::kStep);
  else
    return F::values(block, unit);
}

template <class F>
void block_values(const uint8_t* b, int64_t blocks, uint8_t* q) {
  for (int64_t i = 0; i < blocks; ++i, b += F::kBytes) {
    const auto block = F::open(b);
#pragma GCC unroll 8
    for (int unit = 0; unit < F::kUnits; ++unit, q += 32) {
      b32 w = values_of<F>(block, unit);
      if constexpr (F::kScheme == QuantScheme::masked)
        w = negate32(w, F::mask(block, unit)) + splat32(F::kTop);
      store32(q, w);
    }
  }
}

template <class F>
void block_words(const uint8_t* const* rows, int64_t blocks, int64_t step, uint8_t* to) {
  for (int64_t i = 0; i < blocks; ++i) {
    decltype(F::open(rows[0])) block[8];
    for (int c = 0; c < 8; ++c) block[c] = F::open(rows[c] + i * F::kBytes);
#pragma GCC unroll 2
    for (int unit = 0; unit < F::kUnits; ++unit, to += 8 * step) {
      b32 v[8];
#pragma GCC unroll 8
      for (int c = 0; c < 8; ++c) v[c] = values_of<F>(block[c], unit);
      transpose_units(v, to, step);
    }
  }
}

// d·q and d·q + m are rounded once, as in the reference: in every format with minima d·q is exact
// in float, so a fused multiply-add changes nothing.
void block_floats(const BlockFormat& format, const uint8_t* blocks, int64_t count, float* out);

// The same in registers, for a common format.
template <class F>
void common_floats(const BlockFormat&, const uint8_t* b, int64_t blocks, float* out) {
  constexpr int kRun = 8;  // blocks of 32, or 1 of 256: what the scales on the stack are for
  float d[kRun * F::kGroups + 8], m[kRun * F::kGroups + 8];
  for (int64_t i = 0; i < blocks; i += kRun) {
    const int64_t run = blocks - i < kRun ? blocks - i : kRun;
    block_scales<F>(b, run, d, m);
    for (int64_t j = 0; j < run; ++j, b += F::kBytes) {
      const auto block = F::open(b);
#pragma GCC unroll 8
      for (int unit = 0; unit < F::kUnits; ++unit, out += 32) {
        b32 w = values_of<F>(block, unit);
        if constexpr (F::kShift != 0) w = w + splat32(F::kShift);
        const float* dg = d + (j * F::kUnits + unit) * (32 / F::kGroup);
        const float* mg = m + (j * F::kUnits + unit) * (32 / F::kGroup);
        each_float<F::kScheme == QuantScheme::plain || F::kShift != 0>(w, [&](int e, f32x8 v) {
          v = v * dg[e / F::kGroup];
          if constexpr (F::kMins) v = v + mg[e / F::kGroup];
          store_at(out + e, v);
        });
      }
    }
  }
}

template <class F>
constexpr BlockFormat format_of() {
  BlockFormat f;
  f.bytes = F::kBytes;
  if constexpr (requires { F::floats; }) {
    f.unpack = F::floats;
  } else {
    constexpr bool kMasked = F::kScheme == QuantScheme::masked;
    f.kind = F::kMins                           ? BlockFormat::minimum
             : F::kScheme == QuantScheme::plain ? BlockFormat::plain
                                                : BlockFormat::shifted;
    f.top = F::kTop * (kMasked ? 2 : 1);
    static_assert(!F::kMins || F::kTop <= 32);  // what the kernels of many rows are made for
    f.shift = kMasked ? -F::kTop : F::kShift;
    f.units = F::kUnits;
    f.group = F::kGroup;
    f.unpack = block_floats;
    f.values = block_values<F>;
    f.scales = block_scales<F>;
    f.eight_scales = eight_scales<F>;
    if constexpr (F::kCommon && !kSmall) {
      f.unpack = common_floats<F>;
      if constexpr (F::kScheme != QuantScheme::plain) f.words = block_words<F>;
    }
  }
  return f;
}

}  // namespace tl::TL_ISA
