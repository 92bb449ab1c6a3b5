// Indexing by integers, slices, new axes and an ellipsis: a view.
#pragma once
#include "views.h"

namespace tl {

// One item of an index. A slice is Python's: any step but 0, negative bounds count from the end,
// what is outside is cut off; kOmitted bounds are those of a slice without them.
struct IndexItem {
  enum Kind : uint8_t { integer, slice, new_axis, ellipsis };
  static constexpr int64_t kOmitted = INT64_MIN;
  Kind kind;
  int64_t start;  // the index itself, of an integer
  int64_t stop, step;
};

Array index(const Array& x, const IndexItem* items, int n, Error& error);

}  // namespace tl
