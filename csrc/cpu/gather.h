// Moving along one axis, for kernels that have found and checked the positions.
#pragma once
#include "../core/view.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

// The kernels `gather` and `scatter_add` or `scatter` in place, with an i64 index of one axis.
const char* gather_along(const View& out, const View& x, int64_t axis, const View& index);
const char* scatter_along(const View& out, const View& values, int64_t axis, const View& index,
                          bool add);

}  // namespace tl::TL_ISA
