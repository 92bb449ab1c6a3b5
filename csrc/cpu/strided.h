// Iterators over arrays of one shape and any strides, with axes merged where possible.
#pragma once
#include "../core/view.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

// The offsets of up to N arrays of one shape in row-major order, as TensorIterator has,
// neighbouring axes merged where the strides of all arrays allow it. Offsets are in elements.
template <int N>
struct StridedIterator {
  int ndim = 0;
  int64_t count = 1;
  int64_t shape[kMaxDims];
  int64_t strides[N][kMaxDims];
  int64_t at[kMaxDims];
  int64_t offset[N];

  // An axis of length 0 leaves one empty axis, whatever comes before and after it: nobody then
  // divides an index by a length of 0.
  TL_INLINE void axis(int64_t length, const int64_t (&s)[N]) {
    if (length == 1 || count == 0) return;
    count *= length;
    if (length == 0) {
      ndim = 1;
      shape[0] = 0;
      for (int k = 0; k < N; ++k) strides[k][0] = 0;
      return;
    }
    if (ndim > 0) {
      bool merge = true;
      for (int k = 0; k < N; ++k) merge = merge && strides[k][ndim - 1] == s[k] * length;
      if (merge) {
        shape[ndim - 1] *= length;
        for (int k = 0; k < N; ++k) strides[k][ndim - 1] = s[k];
        return;
      }
    }
    shape[ndim] = length;
    for (int k = 0; k < N; ++k) strides[k][ndim] = s[k];
    ++ndim;
  }

  TL_INLINE void seek(int64_t index) {
    for (int k = 0; k < N; ++k) offset[k] = 0;
    for (int d = ndim - 1; d >= 0; --d) {
      at[d] = d == 0 ? index : index % shape[d];
      if (d > 0) index /= shape[d];
      for (int k = 0; k < N; ++k) offset[k] += at[d] * strides[k][d];
    }
  }
  TL_INLINE void next() {
    for (int d = ndim - 1; d >= 0; --d) {
      for (int k = 0; k < N; ++k) offset[k] += strides[k][d];
      if (++at[d] < shape[d] || d == 0) return;
      for (int k = 0; k < N; ++k) offset[k] -= at[d] * strides[k][d];
      at[d] = 0;
    }
  }
};

// Length and strides of an iterator's innermost axis, taken off it.
template <int N>
struct InnerAxis {
  int64_t length = 1;
  int64_t strides[N] = {};
  explicit InnerAxis(StridedIterator<N>& it) {
    if (it.ndim == 0) return;
    const int d = --it.ndim;
    length = it.shape[d];
    for (int k = 0; k < N; ++k) strides[k] = it.strides[k][d];
    it.count = 1;
    for (int i = 0; i < d; ++i) it.count *= it.shape[i];
  }
};

// In bytes and from the first elements on; axes go by the strides of views[0], far to near, so that
// writes run through memory in order. Arrays beyond `count` stay where they are.
template <int N>
TL_INLINE StridedIterator<N> iterator_by_stride(const View* const* views, int count) {
  StridedIterator<N> it;
  int order[kMaxDims];
  const int axes = axes_by_stride(*views[0], order);
  for (int i = 0; i < axes; ++i) {
    int64_t steps[N] = {};
    for (int k = 0; k < count; ++k)
      steps[k] = views[k]->strides[order[i]] * bytes_of(views[k]->dtype);
    it.axis(views[0]->shape[order[i]], steps);
  }
  return it;
}

}  // namespace tl::TL_ISA
