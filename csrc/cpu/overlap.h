// Whether two arrays may share memory: kernels that check their indices and then write ask it,
// since a write into the indices would undo the check.
#pragma once
#include "../core/view.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

// By the lowest and highest byte that each reaches.
TL_INLINE bool may_overlap(const View& a, const View& b) {
  const View* both[2] = {&a, &b};
  uintptr_t low[2], high[2];
  for (int k = 0; k < 2; ++k) {
    const View& v = *both[k];
    int64_t first = 0, last = 0;
    for (int i = 0; i < v.ndim; ++i) {
      if (v.shape[i] == 0) return false;
      const int64_t reach = (v.shape[i] - 1) * v.strides[i];
      (reach < 0 ? first : last) += reach;
    }
    const int block = block_of(v.dtype);
    if (block != 1) first /= block, last /= block;
    const auto at = reinterpret_cast<uintptr_t>(v.data);
    low[k] = at + static_cast<uintptr_t>(first * bytes_of(v.dtype));
    high[k] = at + static_cast<uintptr_t>((last + 1) * bytes_of(v.dtype));
  }
  return low[0] < high[1] && low[1] < high[0];
}

}  // namespace tl::TL_ISA
