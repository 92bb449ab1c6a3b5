// `linear` with activations rounded to int8 blocks of 32: what its files know of each other.
#pragma once
#include "../gemm_linear.h"

namespace tl {
struct DotActivations;
}

namespace tl::TL_ISA {

// Up to this many rows of activations weights are unpacked in registers, for all of them. Panels
// for more rows meet four at once, which pays early where vectors are short (docs/log.md).
inline constexpr int64_t kFewRows = 16;
TL_INLINE int64_t few_rows(const BlockFormat& f) {
  return kLanes > 8 || f.kind == BlockFormat::plain ? kFewRows : 5;
}

// Few rows of x, rounded; and columns [begin, end) of their products, which may be asked for by any
// thread.
void int8_round_few(const Linear& l, const BlockFormat& format, const DotActivations& act);
void int8_few_rows(const Linear& l, const BlockFormat& format, const DotActivations& act,
                   int64_t begin, int64_t end);

// More rows.
const char* int8_many_rows(const Linear& l, const BlockFormat& format);

}  // namespace tl::TL_ISA
