// RMS norm and layer norm: one row at a time, computed in float (f64 in double).
#include "norm.h"

namespace tl::TL_ISA {
namespace {

// Sum of f(x[i]) with four independent accumulators; f(0 lanes) of the tail must be masked by the
// caller through `fill`.
template <class T, class F>
TL_INLINE typename OpMath<T>::Scalar sum_of(const T* x, int64_t n, typename OpMath<T>::Scalar fill,
                                            const F& f) {
  constexpr int w = OpMath<T>::kWidth;
  typename OpMath<T>::Vector a{}, b{}, c{}, d{};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    a += f(load(x + i));
    b += f(load(x + i + w));
    c += f(load(x + i + 2 * w));
    d += f(load(x + i + 3 * w));
  }
  for (; i + w <= n; i += w) a += f(load(x + i));
  if (i < n) b += f(load_or(x + i, n - i, fill));
  return sum((a + b) + (c + d));
}

const char* check_norm(const char* kernel, const View& out, const View& x, const Arg* extras,
                       int n_extras) {
  if (x.ndim < 1) return fail("%s: expected at least one axis, got none", kernel);
  if (!same_shape(out, x) || out.dtype != x.dtype) return fail("%s: expected out like x", kernel);
  for (int i = 0; i < n_extras; ++i) {
    if (extras[i].kind == Arg::none) continue;
    const View& w = *extras[i].a;
    if (w.ndim != 1 || w.shape[0] != x.back(1)) {
      return fail("%s: expected weights of shape (%lld,), got %d axes ending in %lld", kernel,
                  static_cast<long long>(x.back(1)), w.ndim, static_cast<long long>(w.back(1)));
    }
    if (w.dtype != x.dtype && w.dtype != DType::f32) {
      return fail("%s: expected weights in f32 or x's dtype, got %s", kernel, row(w.dtype).name);
    }
  }
  return nullptr;
}

// x is rounded to its own dtype before the weight, as the models that were trained in half
// precision did.
template <class T>
TL_INLINE void rms_row(const T* x, T* out, const typename OpMath<T>::Scalar* weight, int64_t n,
                       double eps) {
  using W = typename OpMath<T>::Scalar;
  constexpr int w = OpMath<T>::kWidth;
  const W squares = sum_of(x, n, W(0), [](auto v) { return v * v; });
  const W scale = 1 / root(squares / static_cast<W>(n) + static_cast<W>(eps));
  auto rounded = [](typename OpMath<T>::Vector v) {
    if constexpr (sizeof(T) == 2) {
      T buffer[kLanes];
      store(buffer, v);
      return load(buffer);
    } else {
      return v;
    }
  };
  int64_t i = 0;
  if (weight) {
    for (; i + w <= n; i += w) store(out + i, rounded(load(x + i) * scale) * load(weight + i));
    if (i < n)
      store_first(out + i,
                  rounded(load_or(x + i, n - i, W(0)) * scale) * load_or(weight + i, n - i, W(0)),
                  n - i);
  } else {
    for (; i + w <= n; i += w) store(out + i, load(x + i) * scale);
    if (i < n) store_first(out + i, load_or(x + i, n - i, W(0)) * scale, n - i);
  }
}

const char* rms_norm(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const double eps = args[3].f;
  if (const char* error = check_norm("rms_norm", out, x, args + 2, 1)) return error;
  return for_float(x.dtype, "rms_norm", [&]<class T>() -> const char* {
    using W = typename OpMath<T>::Scalar;
    const int64_t n = x.back(1);
    const Weights<W> weight(args[2], n);
    if (!weight.ok) return "rms_norm: out of memory";
    return each_row<T>(out, x, x.ndim - 1, 200,
                       [&](const T* in, T* to) { rms_row(in, to, weight.data, n, eps); });
  });
}

// The mean is rounded to the wide type, which far from zero is coarse: what the deviations from it
// still have in common, `rest`, is taken off them and off their squares.
template <class T>
TL_INLINE void layer_row(const T* x, T* out, const typename OpMath<T>::Scalar* weight,
                         const typename OpMath<T>::Scalar* bias, int64_t n, double eps) {
  using W = typename OpMath<T>::Scalar;
  constexpr int w = OpMath<T>::kWidth;
  const W mean = sum_of(x, n, W(0), [](auto v) { return v; }) / static_cast<W>(n);
  typename OpMath<T>::Vector together{};
  const W squares = sum_of(x, n, mean, [&](auto v) {
    v = v - mean;
    together += v;
    return v * v;
  });
  const W rest = sum(together) / static_cast<W>(n);
  const W var = squares / static_cast<W>(n) - rest * rest;
  const W scale = 1 / root((var > 0 ? var : var * 0) + static_cast<W>(eps));
  auto finish = [&](auto v, int64_t i, auto get) {
    v = (v - mean - rest) * scale;
    if (weight) v = v * get(weight + i);
    if (bias) v = v + get(bias + i);
    return v;
  };
  int64_t i = 0;
  for (; i + w <= n; i += w)
    store(out + i, finish(load(x + i), i, [](const W* p) { return load(p); }));
  if (i < n) {
    const int64_t left = n - i;
    store_first(out + i,
                finish(load_or(x + i, left, W(0)), i,
                       [left](const W* p) { return load_or(p, left, W(0)); }),
                left);
  }
}

const char* layer_norm(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const double eps = args[4].f;
  if (const char* error = check_norm("layer_norm", out, x, args + 2, 2)) return error;
  return for_float(x.dtype, "layer_norm", [&]<class T>() -> const char* {
    using W = typename OpMath<T>::Scalar;
    const int64_t n = x.back(1);
    const Weights<W> weight(args[2], n), bias(args[3], n);
    if (!weight.ok || !bias.ok) return "layer_norm: out of memory";
    return each_row<T>(out, x, x.ndim - 1, 300, [&](const T* in, T* to) {
      layer_row(in, to, weight.data, bias.data, n, eps);
    });
  });
}

}  // namespace

void register_norm_backward(KernelTable& t);
void register_softmax(KernelTable& t);
void register_norm(KernelTable& t);
void register_norm(KernelTable& t) {
  t.add("rms_norm", "out:out x:in weight:in? eps:f", rms_norm);
  t.add("layer_norm", "out:out x:in weight:in? bias:in? eps:f", layer_norm);
#ifndef TL_INFERENCE
  register_norm_backward(t);
#endif
  register_softmax(t);
}

}  // namespace tl::TL_ISA
