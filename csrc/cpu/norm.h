// What norms, softmax and the backward pass of attention share: the exponential of what is not
// positive, walks over a row vector by vector, a norm's weights.
#pragma once
#include "norm_rows.h"
#include "simd/math.h"

namespace tl::TL_ISA {

template <class T>
using Scalar = typename OpMath<T>::Scalar;
template <class T>
using Vector = typename OpMath<T>::Vector;

// exp(x) for x <= 0 to 3e-7; zero from -88 on, where 2^n has no exponent left; NaN stays NaN.
TL_INLINE vf exp_negative(vf x) {
  vi n;
  const vf p = expm1_short(split_exponent<127>(max(splat(-88.f), x), &n)), scale = (vf)(n << 23);
  return fma(p, scale, scale);
}
TL_INLINE vd exp_negative(vd x) {
  for (int i = 0; i < kLanes64; ++i) x[i] = __builtin_exp(x[i]);
  return x;
}
// f(i, load, store) for i in steps of a vector up to n; the last step may be a part of one, in
// which missing lanes read as `fill` and are not stored.
template <class W, class F>
TL_INLINE void vectors(int64_t n, W fill, const F& f) {
  constexpr int w = OpMath<W>::kWidth;
  int64_t i = 0;
  for (; i + w <= n; i += w)
    f(i, [](const auto* p) { return load(p); }, [](auto* p, auto v) { store(p, v); });
  if (i < n) {
    const int64_t rest = n - i;
    f(
        i, [=](const auto* p) { return load_or(p, rest, fill); },
        [=](auto* p, auto v) { store_first(p, v, rest); });
  }
}

// Sum of f(i) over the vectors of n elements, with four chains.
template <class W, class F>
TL_INLINE W sum_over(int64_t n, W fill, const F& f) {
  constexpr int w = OpMath<W>::kWidth;
  typename OpMath<W>::Vector a{}, b{}, c{}, d{};
  auto whole = [](const auto* p) { return load(p); };
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    a += f(i, whole);
    b += f(i + w, whole);
    c += f(i + 2 * w, whole);
    d += f(i + 3 * w, whole);
  }
  for (; i + w <= n; i += w) a += f(i, whole);
  if (i < n) {
    const int64_t rest = n - i;
    b += f(i, [=](const auto* p) { return load_or(p, rest, fill); });
  }
  return sum((a + b) + (c + d));
}

TL_INLINE float root(float x) { return __builtin_sqrtf(x); }
TL_INLINE double root(double x) { return __builtin_sqrt(x); }

// The weights of a norm as contiguous values of W (the row's wide type), whatever their dtype and
// stride; null when absent.
template <class W>
struct Weights {
  Scratch copy;
  const W* data = nullptr;
  bool ok = true;
  __attribute__((noinline)) Weights(const Arg& arg, int64_t n)
      : copy(needs_copy(arg) ? n * sizeof(W) : 0) {
    if (arg.kind == Arg::none) return;
    const View& v = *arg.a;
    if (!needs_copy(arg)) {
      data = v.ptr<W>();
      return;
    }
    W* to = copy.template as<W>();
    ok = to != nullptr && !for_float(v.dtype, "norm", [&]<class T>() -> const char* {
           const int64_t s = v.back_stride(1);
           for (int64_t i = 0; i < n; ++i) to[i] = static_cast<W>(to_opmath(v.ptr<T>()[i * s]));
           return nullptr;
         });
    data = to;
  }
  static bool needs_copy(const Arg& arg) {
    return arg.kind != Arg::none &&
           (arg.a->dtype != dtype_of<W>() || (arg.a->back_stride(1) != 1 && arg.a->size() != 1));
  }
};

}  // namespace tl::TL_ISA
