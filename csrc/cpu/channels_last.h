// Images whose channels lie next to each other in memory: shape (N, C, H, W), strides
// (H·W·C, 1, W·C, C).
#pragma once
#include "../core/view.h"

namespace tl::TL_ISA {

// Of axes of length 1 the stride says nothing, nor any of an array without elements.
TL_INLINE bool is_channels_last(const View& v) {
  if (v.ndim != 4) return false;
  for (int axis = 0; axis < 4; ++axis) {
    if (v.shape[axis] == 0) return true;
  }
  const int order[] = {1, 3, 2, 0};
  int64_t want = 1;
  for (const int axis : order) {
    if (v.shape[axis] != 1 && v.strides[axis] != want) return false;
    want *= v.shape[axis];
  }
  return true;
}

}  // namespace tl::TL_ISA
