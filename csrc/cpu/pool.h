// Windows over the spatial axes of images: what maxima and averages of them share.
#pragma once
#include "conv.h"
#include "reduce.h"

namespace tl::TL_ISA {

struct Windows {
  View out, x;  // (batch, channels, depth, height, width)
  int64_t kernel[3], stride[3], padding[3], dilation[3];

  // Elements first, first + dilation, … below `end` of axis for output o; a kernel of 0 cuts the
  // axis into equal parts instead.
  TL_INLINE void window(int axis, int64_t o, int64_t* first, int64_t* end) const {
    const int64_t length = x.shape[2 + axis];
    if (kernel[axis] == 0) {
      const int64_t parts = out.shape[2 + axis];
      *first = o * length / parts;
      *end = ((o + 1) * length + parts - 1) / parts;
      return;
    }
    *first = o * stride[axis] - padding[axis];
    *end = min64(*first + (kernel[axis] - 1) * dilation[axis] + 1, length);
    if (*first < 0) *first += ceil_div(-*first, dilation[axis]) * dilation[axis];
  }
  // Rows of results.
  TL_INLINE int64_t lines() const {
    return out.shape[0] * out.shape[1] * out.shape[2] * out.shape[3];
  }
};

// A row of results; the next one without divisions, which cost as much as a short row.
struct PoolRow {
  int64_t n, c, z, y;

  PoolRow(const Windows& w, int64_t i) {
    const int64_t rest = i / w.out.shape[3], plane = rest / w.out.shape[2];
    y = i % w.out.shape[3], z = rest % w.out.shape[2];
    c = plane % w.out.shape[1], n = plane / w.out.shape[1];
  }
  void next(const Windows& w) {
    if (++y < w.out.shape[3]) return;
    y = 0;
    if (++z < w.out.shape[2]) return;
    z = 0;
    if (++c < w.out.shape[1]) return;
    c = 0, ++n;
  }
};

// What a row of results costs: elements of the line that its windows lie on, padding included and
// some more, and of all windows together.
struct PoolCost {
  int64_t line, work;
};

// As (batch, channels, depth, height, width), missing axes of length 1.
View widened(const View& x);

// `numbers`: kernel, stride, padding and dilation, three each. An error where they do not fit.
const char* read_windows(const char* kernel, const View& out, const View& x, const Arg* numbers,
                         Windows* w, PoolCost* cost);

// Maxima of f32 by vectors, where rows of the image lie in one piece.
bool max_lines_fit(const Windows& w);
const char* max_lines(const Windows& w);

// Images in f32 whose channels lie next to each other, and results that lie so. Averages are over
// the product of two numbers, of the result's row and of its column.
bool pool_last_fits(const Windows& w);
const char* max_pool_last(const Windows& w);
const char* avg_pool_last(const Windows& w, const float* rows, const float* columns);

}  // namespace tl::TL_ISA
