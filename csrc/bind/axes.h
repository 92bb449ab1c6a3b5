// What views, indexing and joining share: counting, cutting, adding and removing axes of a view.
#pragma once
#include "bind.h"

namespace tl::bind {

inline int axis_of(int64_t axis, int ndim, const char* where) {
  if (axis < -ndim || axis >= ndim) {
    raise("IndexRangeError", where,
          "expected an axis in [" + std::to_string(-ndim) + ", " + std::to_string(ndim - 1) +
              "], got " + std::to_string(axis));
  }
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

inline void shift(View& v, int64_t elements) {
  v.data += elements / block_of(v.dtype) * bytes_of(v.dtype);
}

// In block dtypes the last axis is stored in blocks and stays where it is.
inline void keep_blocks(const View& v, bool ok, const char* where) {
  if (is_block(v.dtype) && !ok)
    raise("DTypeError", where,
          std::string("the last axis of ") + row(v.dtype).name +
              " is stored in blocks and cannot be cut, moved or repeated");
}

inline void remove_axis(View& v, int axis) {
  for (int i = axis; i + 1 < v.ndim; ++i) {
    v.shape[i] = v.shape[i + 1];
    v.strides[i] = v.strides[i + 1];
  }
  --v.ndim;
}

inline void insert_axis(View& v, int axis, const char* where) {
  if (v.ndim == kMaxDims)
    raise("ShapeError", where, "expected at most " + std::to_string(kMaxDims) + " axes, got more");
  for (int i = v.ndim; i > axis; --i) {
    v.shape[i] = v.shape[i - 1];
    v.strides[i] = v.strides[i - 1];
  }
  v.shape[axis] = 1;
  v.strides[axis] = 0;
  ++v.ndim;
}

}  // namespace tl::bind
