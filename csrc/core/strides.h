// The order in memory of new arrays, as torch chooses it.
#pragma once
#include "array.h"

namespace tl {

// Whether the strides are those of a new array, also where an axis of length 1 has one.
inline bool in_order(const View& v) {
  int64_t want = 1;
  for (int i = v.ndim - 1; i >= 0; --i) {
    if (v.strides[i] != want) return false;
    want *= v.shape[i] > 1 ? v.shape[i] : 1;
  }
  return true;
}

// Whether elements fill memory without gaps or overlaps, in whatever order of axes.
bool is_dense(const View& x);

// Gives a new array the order of axes that its operands, broadcast to its shape, ask for; called
// when one of them is not `in_order`. `same`: all of them had that shape before.
void follow_strides(const View* const* operands, int n, bool same, View& out);

// Gives a new array of x's shape the order of x's axes: torch's preserve_format.
void keep_strides(const View& x, View& out);

// The first and the last element that the strides reach; false when these or their bytes cannot be
// counted.
bool find_reach(DType dtype, const int64_t* shape, const int64_t* strides, int ndim, int64_t& low,
                int64_t& high);

}  // namespace tl
