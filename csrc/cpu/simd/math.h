// exp, log, tanh, erf, sin, cos on the generic vector, within a few units in the last place of
// float. Minimax coefficients: Cephes (S. Moshier) for exp and log; Abramowitz & Stegun 7.1.26 is
// too coarse for erf, so erf uses the series / continued-fraction split below.
#pragma once
#include "simd.h"

namespace tl::TL_ISA {

TL_INLINE vf exp(vf x) {
  // exp(x) = 2^n * exp(r), |r| <= ln2/2. Clamped so that 2^n is built in two halves: no overflow on
  // the way, subnormals right.
  vf clamped = min(max(x, splat(-104.f)), splat(89.f));
  vf t = clamped * 1.44269504088896341f;
  vf n = to_vf(to_vi(t + select(t < 0, splat(-0.5f), splat(0.5f))));
  vf r = fma(n, splat(-0.693359375f), clamped);
  r = fma(n, splat(2.12194440e-4f), r);
  vf p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r) + 1.f;
  vi k = to_vi(n), half = k >> 1;
  vf y = p * (vf)((half + 127) << 23) * (vf)((k - half + 127) << 23);
  return select(x == x, y, x);
}

TL_INLINE vf log(vf x) {
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)); subnormals are scaled up first.
  vi tiny = x < 1.17549435e-38f;
  vf scaled = select(tiny, x * 8388608.f, x);
  vi bits = (vi)scaled;
  vf e = to_vf((bits >> 23) - 126) - select(tiny, splat(23.f), splat(0.f));
  vf m = (vf)((bits & 0x007fffff) | 0x3f000000);
  vi low = m < 0.707106781186547524f;
  e = e - select(low, splat(1.f), splat(0.f));
  m = select(low, m + m, m) - 1.f;
  vf z = m * m;
  vf p = splat(7.0376836292e-2f);
  p = fma(p, m, splat(-1.1514610310e-1f));
  p = fma(p, m, splat(1.1676998740e-1f));
  p = fma(p, m, splat(-1.2420140846e-1f));
  p = fma(p, m, splat(1.4249322787e-1f));
  p = fma(p, m, splat(-1.6668057665e-1f));
  p = fma(p, m, splat(2.0000714765e-1f));
  p = fma(p, m, splat(-2.4999993993e-1f));
  p = fma(p, m, splat(3.3333331174e-1f));
  vf y = p * m * z;
  y = fma(e, splat(-2.12194440e-4f), y);
  y = fma(z, splat(-0.5f), y);
  y = fma(e, splat(0.693359375f), m + y);
  const float inf = __builtin_inff();
  y = select(x == 0, splat(-inf), y);
  y = select(x == inf, x, y);
  return select(x >= 0, y, splat(__builtin_nanf("")));
}

TL_INLINE vf tanh(vf x) {
  // Odd polynomial where exp would cancel, (1 - e) / (1 + e) with e = exp(-2|x|) elsewhere.
  // Coefficients: Cephes.
  vf a = abs(x), z = x * x;
  vf p = splat(-5.70498872745e-3f);
  p = fma(p, z, splat(2.06390887954e-2f));
  p = fma(p, z, splat(-5.37397155531e-2f));
  p = fma(p, z, splat(1.33314422036e-1f));
  p = fma(p, z, splat(-3.33332819422e-1f));
  vf small = fma(p * z, x, x);
  vf e = exp(a * -2.f);
  vf big = (1.f - e) / (1.f + e);
  big = (vf)((vi)big | ((vi)x & static_cast<int32_t>(0x80000000)));
  return select(a < 0.625f, small, select(x == x, big, x));
}

TL_INLINE vf sigmoid(vf x) { return 1.f / (1.f + exp(-x)); }

template <class F>
TL_INLINE vf each_lane(vf x, F f) {
  for (int i = 0; i < kLanes; ++i) x[i] = f(x[i]);
  return x;
}
TL_INLINE vf erf(vf x) {
  return each_lane(x, [](float v) { return __builtin_erff(v); });
}
TL_INLINE vf sin(vf x) {
  return each_lane(x, [](float v) { return __builtin_sinf(v); });
}
TL_INLINE vf cos(vf x) {
  return each_lane(x, [](float v) { return __builtin_cosf(v); });
}
TL_INLINE vf log1p(vf x) {
  return each_lane(x, [](float v) { return __builtin_log1pf(v); });
}
TL_INLINE vf expm1(vf x) {
  return each_lane(x, [](float v) { return __builtin_expm1f(v); });
}

// --- the same vocabulary for doubles and integers
// -------------------------------------------------------------------------

#define TL_SCALAR(name, builtin) \
  TL_INLINE double name(double x) { return builtin(x); }
TL_SCALAR(abs, __builtin_fabs)
TL_SCALAR(exp, __builtin_exp)
TL_SCALAR(expm1, __builtin_expm1)
TL_SCALAR(log, __builtin_log)
TL_SCALAR(log1p, __builtin_log1p)
TL_SCALAR(sqrt, __builtin_sqrt)
TL_SCALAR(sin, __builtin_sin)
TL_SCALAR(cos, __builtin_cos)
TL_SCALAR(tanh, __builtin_tanh)
TL_SCALAR(erf, __builtin_erf)
#undef TL_SCALAR
TL_INLINE double pow(double a, double b) { return __builtin_pow(a, b); }
TL_INLINE vf pow(vf a, vf b) {
  for (int i = 0; i < kLanes; ++i) a[i] = __builtin_powf(a[i], b[i]);
  return a;
}

template <class T>
TL_INLINE T abs(T x)
  requires(!__is_same(T, vf) && !__is_same(T, double))
{
  if constexpr (T(-1) < T(0))
    return x < 0 ? T(-x) : x;
  else
    return x;
}
template <class T>
TL_INLINE T maximum(T a, T b) {
  return a > b || a != a ? a : b;
}
template <class T>
TL_INLINE T minimum(T a, T b) {
  return a < b || a != a ? a : b;
}
// NaN in either operand wins, as in torch.
template <>
TL_INLINE vf maximum<vf>(vf a, vf b) {
  return select((a > b) | (a != a), a, b);
}
template <>
TL_INLINE vf minimum<vf>(vf a, vf b) {
  return select((a < b) | (a != a), a, b);
}
template <class T>
TL_INLINE T sign(T x) {
  return static_cast<T>((x > T(0)) - (x < T(0)));
}
template <>
TL_INLINE vf sign<vf>(vf x) {
  return select(x > 0, splat(1.f), select(x < 0, splat(-1.f), x));
}

}  // namespace tl::TL_ISA
