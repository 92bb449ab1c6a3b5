// RMS norm, layer norm and softmax: one row at a time, computed in float (f64 in double).
#include "norm_rows.h"
#include "simd/math.h"

namespace tl::TL_ISA {

TL_INLINE vd exp(vd x) {
  for (int i = 0; i < kLanes64; ++i) x[i] = __builtin_exp(x[i]);
  return x;
}

namespace {

TL_INLINE float log1(float x) { return __builtin_logf(x); }
TL_INLINE double log1(double x) { return __builtin_log(x); }
TL_INLINE float root(float x) { return __builtin_sqrtf(x); }
TL_INLINE double root(double x) { return __builtin_sqrt(x); }

// Sum of f(x[i]) with four independent accumulators; f(0 lanes) of the tail must be masked by the
// caller through `fill`.
template <class T, class F>
TL_INLINE typename Wide<T>::Scalar sum_of(const T* x, int64_t n, typename Wide<T>::Scalar fill,
                                          const F& f) {
  constexpr int w = Wide<T>::kWidth;
  typename Wide<T>::Vector a{}, b{}, c{}, d{};
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

// The weights of a norm as contiguous values of W (the row's wide type), whatever their dtype and
// stride; null when absent.
template <class W>
struct Weights {
  Scratch copy;
  const W* data = nullptr;
  bool ok = true;
  Weights(const Arg& arg, int64_t n) : copy(needs_copy(arg) ? n * sizeof(W) : 0) {
    if (arg.kind == Arg::none) return;
    const View& v = *arg.a;
    if (!needs_copy(arg)) {
      data = v.ptr<W>();
      return;
    }
    W* to = copy.template as<W>();
    ok = to != nullptr && !for_float(v.dtype, "norm", [&]<class T>() -> const char* {
           const int64_t s = v.back_stride(1);
           for (int64_t i = 0; i < n; ++i) to[i] = static_cast<W>(to_wide(v.ptr<T>()[i * s]));
           return nullptr;
         });
    data = to;
  }
  static bool needs_copy(const Arg& arg) {
    return arg.kind != Arg::none &&
           (arg.a->dtype != dtype_of<W>() || (arg.a->back_stride(1) != 1 && arg.a->size() != 1));
  }
};

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
TL_INLINE void rms_row(const T* x, T* out, const typename Wide<T>::Scalar* weight, int64_t n,
                       double eps) {
  using W = typename Wide<T>::Scalar;
  constexpr int w = Wide<T>::kWidth;
  const W squares = sum_of(x, n, W(0), [](auto v) { return v * v; });
  const W scale = 1 / root(squares / static_cast<W>(n) + static_cast<W>(eps));
  auto rounded = [](typename Wide<T>::Vector v) {
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
    using W = typename Wide<T>::Scalar;
    const int64_t n = x.back(1);
    const Weights<W> weight(args[2], n);
    if (!weight.ok) return "rms_norm: out of memory";
    return each_row<T>(out, x, x.ndim - 1, 200,
                       [&](const T* in, T* to) { rms_row(in, to, weight.data, n, eps); });
  });
}

template <class T>
TL_INLINE void layer_row(const T* x, T* out, const typename Wide<T>::Scalar* weight,
                         const typename Wide<T>::Scalar* bias, int64_t n, double eps) {
  using W = typename Wide<T>::Scalar;
  constexpr int w = Wide<T>::kWidth;
  const W mean = sum_of(x, n, W(0), [](auto v) { return v; }) / static_cast<W>(n);
  const W squares = sum_of(x, n, mean, [mean](auto v) { return (v - mean) * (v - mean); });
  const W scale = 1 / root(squares / static_cast<W>(n) + static_cast<W>(eps));
  auto finish = [&](auto v, int64_t i, auto get) {
    v = (v - mean) * scale;
    if (weight) v = v * get(weight + i);
    if (bias) v = v + get(bias + i);
    return v;
  };
  int64_t i = 0;
  for (; i + w <= n; i += w)
    store(out + i, finish(load(x + i), i, [](const W* p) { return load(p); }));
  if (i < n) {
    const int64_t rest = n - i;
    store_first(out + i,
                finish(load_or(x + i, rest, W(0)), i,
                       [rest](const W* p) { return load_or(p, rest, W(0)); }),
                rest);
  }
}

const char* layer_norm(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const double eps = args[4].f;
  if (const char* error = check_norm("layer_norm", out, x, args + 2, 2)) return error;
  return for_float(x.dtype, "layer_norm", [&]<class T>() -> const char* {
    using W = typename Wide<T>::Scalar;
    const int64_t n = x.back(1);
    const Weights<W> weight(args[2], n), bias(args[3], n);
    if (!weight.ok || !bias.ok) return "layer_norm: out of memory";
    return each_row<T>(out, x, x.ndim - 1, 300, [&](const T* in, T* to) {
      layer_row(in, to, weight.data, bias.data, n, eps);
    });
  });
}

// --- softmax
// -------------------------------------------------------------------------------------------------------------

template <class W>
constexpr W kInfinity = static_cast<W>(__builtin_inf());

template <class T>
TL_INLINE typename Wide<T>::Scalar max_of(const T* x, int64_t n) {
  using W = typename Wide<T>::Scalar;
  constexpr int w = Wide<T>::kWidth;
  auto a = splat(-kInfinity<W>), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    a = max(load(x + i), a);
    b = max(load(x + i + w), b);
    c = max(load(x + i + 2 * w), c);
    d = max(load(x + i + 3 * w), d);
  }
  for (; i + w <= n; i += w) a = max(load(x + i), a);
  if (i < n) b = max(load_or(x + i, n - i, -kInfinity<W>), b);
  return max_lane(max(max(a, b), max(c, d)));
}

// `powers` holds n wide values: the output itself where it is as wide as the computation. A NaN or
// a row of -inf gives NaN everywhere, as in torch.
template <class T>
TL_INLINE void softmax_row(const T* x, T* out, typename Wide<T>::Scalar* powers, int64_t n) {
  using W = typename Wide<T>::Scalar;
  constexpr int w = Wide<T>::kWidth;
  const W top = max_of(x, n);
  typename Wide<T>::Vector a{}, b{};
  int64_t i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    auto p = exp(load(x + i) - top), q = exp(load(x + i + w) - top);
    a += p;
    b += q;
    store(powers + i, p);
    store(powers + i + w, q);
  }
  for (; i < n; i += w) {
    const int64_t k = n - i < w ? n - i : w;
    auto p = exp(load_or(x + i, k, -kInfinity<W>) - top);
    store_first(powers + i, p, k);
    for (int64_t j = k; j < w; ++j) p[j] = 0;
    b += p;
  }
  const W scale = 1 / sum(a + b);
  for (i = 0; i + w <= n; i += w) store(out + i, load(powers + i) * scale);
  for (; i < n; ++i) out[i] = from_wide<T>(powers[i] * scale);
}

template <class T>
TL_INLINE void log_softmax_row(const T* x, T* out, int64_t n) {
  using W = typename Wide<T>::Scalar;
  constexpr int w = Wide<T>::kWidth;
  const W top = max_of(x, n);
  const W total = sum_of(x, n, -kInfinity<W>, [top](auto v) { return exp(v - top); });
  const W shift = log1(total);
  int64_t i = 0;
  for (; i + w <= n; i += w) store(out + i, (load(x + i) - top) - shift);
  for (; i < n; ++i) out[i] = from_wide<T>((to_wide(x[i]) - top) - shift);
}

const char* softmax(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const bool log = args[3].i != 0;
  if (!same_shape(out, x) || out.dtype != x.dtype) return "softmax: expected out like x";
  int64_t axis = args[2].i < 0 ? args[2].i + x.ndim : args[2].i;
  if (x.ndim == 0)
    axis = 0;
  else if (axis < 0 || axis >= x.ndim)
    return fail("softmax: axis %lld of %d axes", static_cast<long long>(args[2].i), x.ndim);
  return for_float(x.dtype, "softmax", [&]<class T>() -> const char* {
    using W = typename Wide<T>::Scalar;
    const int64_t n = x.ndim ? x.shape[axis] : 1;
    const int64_t cost = sizeof(W) == 8 ? 8000 : 1000;
    if (log) {
      return each_row<T>(out, x, static_cast<int>(axis), cost,
                         [&](const T* in, T* to) { log_softmax_row(in, to, n); });
    }
    if constexpr (sizeof(T) == sizeof(W)) {
      return each_row<T>(out, x, static_cast<int>(axis), cost,
                         [&](const T* in, T* to) { softmax_row(in, to, to, n); });
    } else {
      bool ok = true;
      const char* error =
          each_row<T>(out, x, static_cast<int>(axis), cost, [&](const T* in, T* to) {
            Scratch powers(n * sizeof(W));
            if (powers.as<W>())
              softmax_row(in, to, powers.as<W>(), n);
            else
              ok = false;
          });
      return ok ? error : "softmax: out of memory";
    }
  });
}

}  // namespace

void register_norm(KernelTable& t);
void register_norm(KernelTable& t) {
  t.add("rms_norm", "out:A x:A weight:A? eps:f", rms_norm);
  t.add("layer_norm", "out:A x:A weight:A? bias:A? eps:f", layer_norm);
  t.add("softmax", "out:A x:A axis:i log:i", softmax);
}

}  // namespace tl::TL_ISA
