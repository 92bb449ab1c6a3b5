// Reductions and matrix products that settle dtypes, shapes and memory themselves.
#pragma once
#include "views.h"

namespace tl {

// "sum", "mean", "prod", "amax", "amin", "any" or "all" over the axes; no axes: over all of them.
// As in torch sums and products of integers are i64, means are of floats. Complex numbers have
// neither an order nor, here, a product.
Array reduce(const char* name, const Array& x, IntList axes, bool keepdim, Error& error);

// (…, m, k) x (…, k, n) of promoted operands, leading axes broadcast; of one axis they are vectors.
Array matmul(const Array& a, const Array& b, Error& error);

}  // namespace tl
