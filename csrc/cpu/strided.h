// Walks over arrays of one shape and any strides, with axes merged where possible.
#pragma once
#include "../core/array.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

// The coordinates of up to N arrays of one shape, walked in row-major order, neighbouring axes
// merged where the strides of all arrays allow it. Offsets are in elements.
template <int N>
struct Walk {
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

// Length and stride of a walk's nearest axis, taken off it.
template <int N>
struct Inner {
  int64_t length = 1;
  int64_t strides[N] = {};
  explicit Inner(Walk<N>& walk) {
    if (walk.ndim == 0) return;
    const int d = --walk.ndim;
    length = walk.shape[d];
    for (int k = 0; k < N; ++k) strides[k] = walk.strides[k][d];
    walk.count = 1;
    for (int i = 0; i < d; ++i) walk.count *= walk.shape[i];
  }
};

// In bytes and from the first elements on; axes go by the strides of views[0], far to near, so that
// writes run through memory in order. Arrays beyond `count` stay where they are.
template <int N>
TL_INLINE Walk<N> walk_by_stride(const View* const* views, int count) {
  Walk<N> walk;
  int order[kMaxDims];
  const int axes = axes_by_stride(*views[0], order);
  for (int i = 0; i < axes; ++i) {
    int64_t steps[N] = {};
    for (int k = 0; k < count; ++k)
      steps[k] = views[k]->strides[order[i]] * bytes_of(views[k]->dtype);
    walk.axis(views[0]->shape[order[i]], steps);
  }
  return walk;
}

}  // namespace tl::TL_ISA
