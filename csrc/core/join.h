// Joining arrays along an axis: a new array.
#pragma once
#include "call.h"

namespace tl {

// Arrays one after the other along an axis, converted to `dtype`. Those of shape (0,) are left out,
// whatever the shape of the others.
Array cat(const Array* const* arrays, int64_t count, int64_t axis, DType dtype, Error& error);

}  // namespace tl
