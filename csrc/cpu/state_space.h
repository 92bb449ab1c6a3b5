// What kernels of recurrences over a state share: rows of positions, counts of the batch's rows.
#pragma once
#include "norm.h"

namespace tl::TL_ISA {

// Floats (batch, steps, …) whose last axis is contiguous; the others lie anywhere.
struct Positions {
  const float* data = nullptr;
  int64_t batch = 0, step = 0, part = 0;  // strides; `part` is of the axis behind the steps

  Positions() = default;
  explicit Positions(const View& v)
      : data(v.ptr<float>()), batch(v.strides[0]), step(v.strides[1]), part(v.strides[2]) {}
  TL_INLINE const float* at(int64_t b, int64_t t) const { return data + b * batch + t * step; }
  TL_INLINE const float* at(int64_t b, int64_t t, int64_t g) const {
    return data + b * batch + t * step + g * part;
  }
};

// Whether it is f32 of this shape, its last axis contiguous; `whole`: all of it.
inline bool fits(const View& v, std::initializer_list<int64_t> shape, bool whole = false) {
  if (v.dtype != DType::f32 || v.ndim != static_cast<int>(shape.size())) return false;
  int i = 0;
  for (const int64_t n : shape)
    if (v.shape[i++] != n) return false;
  return whole ? v.contiguous() : v.shape[v.ndim - 1] <= 1 || v.strides[v.ndim - 1] == 1;
}
inline bool fits_if(const Arg& arg, std::initializer_list<int64_t> shape, bool whole = false) {
  return arg.kind == Arg::none || fits(*arg.a, shape, whole);
}
inline float* floats(const Arg& arg) {
  return arg.kind == Arg::none ? nullptr : arg.a->ptr<float>();
}

// How many of the steps count in each row of the batch: all, or what `counts` (batch,) says.
struct Counts {
  const int64_t* data = nullptr;
  int64_t stride = 0, steps = 0;
  bool good = true;

  Counts(const Arg& arg, int64_t batch, int64_t n) : steps(n) {
    if (arg.kind == Arg::none) return;
    const View& v = *arg.a;
    good = v.dtype == DType::i64 && v.ndim == 1 && v.shape[0] == batch;
    data = v.ptr<int64_t>(), stride = v.strides[0];
  }
  TL_INLINE int64_t of(int64_t b) const {
    const int64_t n = data ? data[b * stride] : steps;
    return n < 0 ? 0 : n < steps ? n : steps;
  }
};

}  // namespace tl::TL_ISA
