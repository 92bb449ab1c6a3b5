// Blocks of any format as floats.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

// The integers that the scales multiply, as int8 (Form::minimum: from 0 up).
template <class F, class B>
TL_INLINE b32 whole_values(const B& block, int unit) {
  b32 w = F::values(block, unit);
  if constexpr (F::kForm == Form::masked) w = negate32(w, F::mask(block, unit));
  if constexpr (F::kShift != 0) w = add32(w, splat32(F::kShift));
  return w;
}

// Weights of `blocks` blocks as floats. d·q and d·q + m are rounded once, as in the reference: in
// every format with minima d·q is exact in float, so a fused multiply-add changes nothing.
template <class F>
void unpack_blocks(const uint8_t* b, int64_t blocks, float* out) {
  constexpr int kRun = 8;  // blocks of 32, or 1 of 256: what the scales on the stack are for
  float d[kRun * F::kGroups + 8], m[kRun * F::kGroups + 8];
  for (int64_t i = 0; i < blocks; i += kRun) {
    int64_t run = blocks - i < kRun ? blocks - i : kRun;
    scales_of<F>(b, run, d, m);
    for (int64_t j = 0; j < run; ++j, b += F::kBytes) {
      const auto block = F::open(b);
#pragma GCC unroll 8
      for (int unit = 0; unit < F::kUnits; ++unit, out += 32) {
        b32 w = whole_values<F>(block, unit);
        const float* dg = d + (j * F::kUnits + unit) * (32 / F::kGroup);
        const float* mg = m + (j * F::kUnits + unit) * (32 / F::kGroup);
        each_float<F::kSigned>(w, [&](int e, vf v) {
          v = v * splat(dg[e / F::kGroup]);
          if constexpr (F::kMins) v = v + splat(mg[e / F::kGroup]);
          store(out + e, v);
        });
      }
    }
  }
}

}  // namespace tl::TL_ISA
