// What the row kernels (norm, softmax, rope, embedding, reduce…) share: dtype dispatch, iteration
// over the outer axes of strided arrays, a double vector beside the float one, error texts with
// numbers in them.
#pragma once
#include <cstdarg>
#include <cstdio>

#include "../core/alloc.h"
#include "../core/kernel.h"
#include "../core/parallel.h"
#include "simd/simd.h"
#include "strided.h"

namespace tl::TL_ISA {

// Doubles in a register of the same size, with the operations that the row kernels use.
inline constexpr int kLanes64 = kLanes / 2;

TL_INLINE vd load(const double* p) { return load_as<vd>(p); }
TL_INLINE void store(double* p, vd v) { store_at(p, v); }
TL_INLINE vd splat(double x) { return vd{} + x; }
TL_INLINE double sum(vd v) {
  double s = 0;
  for (int i = 0; i < kLanes64; ++i) s += v[i];
  return s;
}
TL_INLINE double max_lane(vd v) {
  double m = v[0];
  for (int i = 1; i < kLanes64; ++i) m = v[i] > m ? v[i] : m;
  return m;
}

// What a float dtype is computed in (opmath of PyTorch): double for f64, float for the others.
template <class T>
struct OpMath {
  using Scalar = float;
  using Vector = vf;
  static constexpr int kWidth = kLanes;
};
template <>
struct OpMath<double> {
  using Scalar = double;
  using Vector = vd;
  static constexpr int kWidth = kLanes64;
};

TL_INLINE double to_opmath(double x) { return x; }
TL_INLINE float to_opmath(float x) { return x; }
TL_INLINE float to_opmath(f16 x) { return to_float(x); }
TL_INLINE float to_opmath(bf16 x) { return to_float(x); }
template <class T>
TL_INLINE T from_opmath(typename OpMath<T>::Scalar x) {
  if constexpr (__is_same(T, double))
    return x;
  else
    return from_float<T>(x);
}

// The first n lanes; the others read as `fill`.
template <class T>
TL_INLINE typename OpMath<T>::Vector load_or(const T* p, int64_t n,
                                             typename OpMath<T>::Scalar fill) {
  auto v = splat(fill);
  if constexpr (__is_same(T, float) && kLanes >= 8) {
    const vi there = lanes_between(0, n);
    return blend(there, load_masked(p, there), v);
  }
  for (int64_t i = 0; i < n; ++i) v[i] = to_opmath(p[i]);
  return v;
}
template <class T>
TL_INLINE void store_first(T* p, typename OpMath<T>::Vector v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = from_opmath<T>(v[i]);
}

// A text with numbers in it; it lives until the thread's next error.
[[maybe_unused, gnu::format(printf, 1, 2), gnu::cold]] static const char* fail(const char* format,
                                                                               ...) {
  static thread_local char text[200];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  return text;
}

// f.operator()<T>() for the float dtype d, or the error text of a kernel that has no code for it.
template <class F>
TL_INLINE const char* for_float(DType d, const char* kernel, const F& f) {
  switch (d) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::f16:
      return f.template operator()<f16>();
    case DType::bf16:
      return f.template operator()<bf16>();
#ifndef TL_HOT
    case DType::f64:
      return f.template operator()<double>();
#endif
    default:
      return fail("%s: expected a float dtype, got %s", kernel, row(d).name);
  }
}
template <class F>
TL_INLINE const char* for_float32(DType d, const char* kernel, const F& f) {
  switch (d) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::f16:
      return f.template operator()<f16>();
    case DType::bf16:
      return f.template operator()<bf16>();
    default:
      return fail("%s: expected f32, f16 or bf16, got %s", kernel, row(d).name);
  }
}

// All axes but `skip` of two arrays of one shape.
TL_INLINE StridedIterator<2> row_iterator(const View& a, const View& b, int skip) {
  StridedIterator<2> it;
  for (int i = 0; i < a.ndim; ++i) {
    if (i != skip) it.axis(a.shape[i], {a.strides[i], b.strides[i]});
  }
  return it;
}

template <class T>
__attribute__((noinline)) void copy_words(const T* from, int64_t fs, T* to, int64_t ts, int64_t n) {
  for (int64_t j = 0; j < n; ++j) to[j * ts] = from[j * fs];
}

// Rows of length n along an axis of x and out, handed to fn(in, result) as contiguous memory:
// directly where the stride is 1, through a copy elsewhere. `cost` is the rough number of
// nanoseconds per thousand elements, for the grain.
template <class T, class F>
inline const char* each_row(const View& out, const View& x, int axis, int64_t cost, const F& fn) {
  const int64_t n = x.ndim ? x.shape[axis] : 1;
  const int64_t xs = x.ndim ? x.strides[axis] : 1, os = out.ndim ? out.strides[axis] : 1;
  const StridedIterator<2> rows = row_iterator(out, x, axis);
  if (n == 0 || rows.count == 0) return nullptr;
  const bool direct_x = xs == 1 || n == 1, direct_out = os == 1 || n == 1;
  const int64_t work = 1 + n * cost / 1000 + (direct_x && direct_out ? 0 : n);
  const int64_t grain = 4000 / work + 1;
  bool ok = true;
  parallel_for(rows.count, grain, [&](int64_t begin, int64_t end, int) {
    StridedIterator<2> it = rows;
    it.seek(begin);
    const bool copies = !(direct_x && direct_out);
    Scratch copy(copies ? 2 * n * sizeof(T) : 0);
    T* in = copy.template as<T>();
    if (copies && !in) {
      __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i, it.next()) {
      const T* from = x.ptr<T>() + it.offset[1];
      T* to = out.ptr<T>() + it.offset[0];
      if (copies) copy_words(from, xs, in, 1, n);
      fn(copies ? in : from, copies ? in + n : to);  // compiled once: rows are long programs
      if (copies) copy_words(in + n, 1, to, os, n);
    }
  });
  return ok ? nullptr : "out of memory for a row's copy";
}

}  // namespace tl::TL_ISA
