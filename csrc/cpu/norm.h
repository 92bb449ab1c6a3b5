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

// exp(x) for x <= 0 to 3e-7; zero where the result would be subnormal; NaN stays NaN. Shorter than
// exp: nothing can overflow, so 2^n is one shift.
TL_INLINE vf exp_negative(vf x) {
  const vf shifted = fma(x, splat(1.44269504f), splat(12582912.f));  // 1.5 * 2^23 + n
  const vf n = shifted - 12582912.f;
  vf r = fma(n, splat(-0.693359375f), x);  // x - n * ln 2, ln 2 in two parts
  r = fma(n, splat(2.12194440e-4f), r);
  vf p = splat(8.3124303551e-3f);  // our own fit, least maximum of the relative error: 1.1e-7
  p = fma(p, r, splat(4.1890987448e-2f));
  p = fma(p, r, splat(1.6667118169e-1f));
  p = fma(p, r, splat(4.9999225850e-1f));
  p = fma(p, r, splat(1.f));
  p = fma(p, r, splat(1.f));
  const vf y = select(x < -87.f, vf{}, (vf)((vu)p + ((vu)shifted << 23)));
  return select(x == x, y, x);
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
