// What is compiled for each block format: its bytes as small integers and scales, and from these,
// for all alike, its floats.
#pragma once
#include "../quant_blocks.h"
#include "format.h"

namespace tl::TL_ISA {

template <class F>
void block_values(const uint8_t* b, int64_t blocks, uint8_t* q) {
  for (int64_t i = 0; i < blocks; ++i, b += F::kBytes) {
    const auto block = F::open(b);
#pragma GCC unroll 8
    for (int unit = 0; unit < F::kUnits; ++unit, q += 32) {
      b32 w = F::values(block, unit);
      if constexpr (F::kForm == Form::masked)
        w = negate32(w, F::mask(block, unit)) + splat32(F::kTop);
      store32(q, w);
    }
  }
}

// The scales of n blocks; a format of large blocks says what one block has.
template <class F>
void block_scales(const uint8_t* b, int64_t n, float* d, [[maybe_unused]] float* m) {
  if constexpr (requires { F::block_scales(b, d, m); }) {
    for (int64_t i = 0; i < n; ++i, b += F::kBytes, d += F::kGroups) {
      F::block_scales(b, d, m);
      if constexpr (F::kMins) m += F::kGroups;
    }
  } else {
    F::scales(b, n, d, m);
  }
}

// d·q and d·q + m are rounded once, as in the reference: in every format with minima d·q is exact
// in float, so a fused multiply-add changes nothing.
void block_floats(const BlockFormat& format, const uint8_t* blocks, int64_t count, float* out);

template <class F>
constexpr BlockFormat format_of() {
  BlockFormat f;
  f.bytes = F::kBytes;
  if constexpr (requires { F::floats; }) {
    f.unpack = F::floats;
  } else {
    constexpr bool kMasked = F::kForm == Form::masked;
    f.kind = F::kMins                  ? BlockFormat::minimum
             : F::kForm == Form::plain ? BlockFormat::plain
                                       : BlockFormat::shifted;
    f.top = F::kTop * (kMasked ? 2 : 1);
    f.shift = kMasked ? -F::kTop : F::kShift;
    f.units = F::kUnits;
    f.group = F::kGroup;
    f.unpack = block_floats;
    f.values = block_values<F>;
    f.scales = block_scales<F>;
  }
  return f;
}

}  // namespace tl::TL_ISA
