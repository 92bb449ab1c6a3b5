// What puts a convolution's input into an order that its kernels read well.
#pragma once
#include "conv.h"
#include "transpose.h"

namespace tl::TL_ISA {

// Images one pixel wide are lines, whose outputs are to be neighbours along the last axis.
inline void lay_down(Conv* v) {
  View* const views[] = {&v->out, &v->x, &v->weight};
  for (int turn = 0; turn < 2; ++turn) {
    for (const View* view : views)
      if (view->shape[4] != 1) return;
    if (v->offset[2] != 0 || v->x.shape[2] * v->x.shape[3] <= 1) return;
    for (View* view : views) {
      for (int i = 4; i > 2; --i) {
        view->shape[i] = view->shape[i - 1];
        view->strides[i] = view->strides[i - 1];
      }
      view->shape[2] = 1;
      view->strides[2] = 0;
      if (view->shape[4] == 1) view->strides[4] = 1;  // what is said of every line of one element
    }
    for (int i = 2; i > 0; --i) {
      v->stride[i] = v->stride[i - 1];
      v->offset[i] = v->offset[i - 1];
      v->dilation[i] = v->dilation[i - 1];
    }
    v->stride[0] = v->dilation[0] = 1;
    v->offset[0] = 0;
  }
}

// Whether lines of an image would be gathered from as many cache lines as they have pixels.
TL_INLINE bool channels_are_neighbours(const View& x) {
  return x.dtype == DType::f32 && x.strides[1] == 1 && x.strides[4] >= 16 && x.shape[1] >= 8 &&
         x.shape[4] >= 8 && x.shape[2] == 1 &&
         (x.shape[3] == 1 || x.strides[3] == x.shape[4] * x.strides[4]);
}

// The convolution of a copy of x in which lines are contiguous: matrices of channels and pixels,
// transposed.
inline const char* with_lines(const Conv& v, const char* (*convolution)(const Conv&)) {
  Conv copied = v;
  Scratch memory(v.x.size() * sizeof(float));
  if (!memory.as<char>()) return "conv: out of memory";
  copied.x.data = memory.as<std::byte>();
  set_strides(copied.x);
  View to = copied.x, from = v.x;
  for (View* view : {&to, &from}) {
    view->ndim = 3;
    view->shape[2] = view->shape[3] * view->shape[4];
    view->strides[2] = view->strides[4];
  }
  transpose<uint32_t>(to, from);
  return convolution(copied);
}

}  // namespace tl::TL_ISA
