// exp, log, tanh, erf, sin, cos on the generic vector, within a few units in the last place of
// float, and the same vocabulary for doubles and integers. Minimax coefficients: Cephes (S.
// Moshier) where none of our own are given.
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

#if defined(__AVX2__)
TL_INLINE vf floor(vf x) { return (vf)_mm256_floor_ps((__m256)x); }
TL_INLINE vf ceil(vf x) { return (vf)_mm256_ceil_ps((__m256)x); }
TL_INLINE vf trunc(vf x) { return (vf)_mm256_round_ps((__m256)x, 0x0b); }
TL_INLINE vf round(vf x) { return (vf)_mm256_round_ps((__m256)x, 0x08); }  // ties to even
#else
TL_INLINE vf floor(vf x) {
  return each_lane(x, [](float v) { return __builtin_floorf(v); });
}
TL_INLINE vf ceil(vf x) {
  return each_lane(x, [](float v) { return __builtin_ceilf(v); });
}
TL_INLINE vf trunc(vf x) {
  return each_lane(x, [](float v) { return __builtin_truncf(v); });
}
TL_INLINE vf round(vf x) {
  return each_lane(x, [](float v) { return __builtin_rintf(v); });
}
#endif

TL_INLINE vf copy_sign(vf x, vf sign) {
  return (vf)(((vi)x & 0x7fffffff) | ((vi)sign & static_cast<int32_t>(0x80000000)));
}

TL_INLINE vf erf(vf x) {
  // Up to 1 an odd polynomial; above, 1 - exp(q(|x|)) with q fitted to log(erfc) up to 4, where
  // float's erf is 1. Both fits are our own (least maximum of the relative error).
  vf a = abs(x), z = x * x;
  vf p = splat(7.8538610283e-05f);
  p = fma(p, z, splat(-8.0101935263e-04f));
  p = fma(p, z, splat(5.1883276744e-03f));
  p = fma(p, z, splat(-2.6853811929e-02f));
  p = fma(p, z, splat(1.1283585148e-01f));
  p = fma(p, z, splat(-3.7612625824e-01f));
  p = fma(p, z, splat(1.1283791657e+00f)) * x;
  vf t = min(a, splat(4.f));
  vf q = splat(-2.1697589407e-05f);
  q = fma(q, t, splat(4.4147232679e-04f));
  q = fma(q, t, splat(-4.2052829659e-03f));
  q = fma(q, t, splat(2.5210334414e-02f));
  q = fma(q, t, splat(-1.0842209025e-01f));
  q = fma(q, t, splat(-6.3321640637e-01f));
  q = fma(q, t, splat(-1.1295803062e+00f));
  q = fma(q, t, splat(1.8846660737e-04f));
  vf large = copy_sign(1.f - exp(q), x);
  return select(a < 1.f, p, select(x == x, large, x));
}

// x - n * pi / 2 in three parts, n the nearest integer; good while n has no more than 13 bits.
TL_INLINE vf quarter_turns(vf x, vi* n) {
  vf turns = round(x * 0.636619772367581343f);
  *n = to_vi(turns);
  vf r = fma(turns, splat(-1.5703125f), x);
  r = fma(turns, splat(-4.837512969970703125e-4f), r);
  return fma(turns, splat(-7.549789948768648e-8f), r);
}
// The sine of r + n quarter turns. Coefficients: Cephes.
TL_INLINE vf sine_of(vf r, vi n) {
  vf z = r * r;
  vf s = splat(-1.9515295891e-4f);
  s = fma(s, z, splat(8.3321608736e-3f));
  s = fma(s, z, splat(-1.6666654611e-1f));
  s = fma(s * z, r, r);
  vf c = splat(2.443315711809948e-5f);
  c = fma(c, z, splat(-1.388731625493765e-3f));
  c = fma(c, z, splat(4.166664568298827e-2f));
  c = fma(c, z * z, fma(z, splat(-0.5f), splat(1.f)));
  vf y = select(-(n & 1), c, s);
  return (vf)((vi)y ^ ((n & 2) << 30));
}
TL_INLINE bool any(vi mask) {
  int32_t found = 0;
  for (int i = 0; i < kLanes; ++i) found |= mask[i];
  return found != 0;
}
TL_INLINE vf sin(vf x) {
  vi n;
  // Beyond the reduction's reach, and for NaN: the library's.
  if (any(~(abs(x) < 8000.f))) return each_lane(x, [](float v) { return __builtin_sinf(v); });
  vf r = quarter_turns(x, &n);
  return select(x == 0, x, sine_of(r, n));
}
TL_INLINE vf cos(vf x) {
  vi n;
  if (any(~(abs(x) < 8000.f))) return each_lane(x, [](float v) { return __builtin_cosf(v); });
  vf r = quarter_turns(x, &n);
  return sine_of(r, n + 1);
}
TL_INLINE vf log1p(vf x) {
  // What 1 + x loses is put back as the logarithm's derivative.
  vf u = x + 1.f, lost = x - (u - 1.f);
  vf y = log(u) + lost / u;
  y = select(abs(x) < 1e-4f, fma(x * x, fma(x, splat(0.33333333f), splat(-0.5f)), x), y);
  const float inf = __builtin_inff();
  return select(u == 0, splat(-inf), select(x == inf, x, y));
}
TL_INLINE vf expm1(vf x) {
  // As exp, but 1 is taken from the power of two before the polynomial is added.
  vf clamped = min(max(x, splat(-20.f)), splat(89.f));
  vf n = round(clamped * 1.44269504088896341f);
  vf r = fma(n, splat(-0.693359375f), clamped);
  r = fma(n, splat(2.12194440e-4f), r);
  vf p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r);
  vi k = to_vi(n), half = k >> 1;
  vf first = (vf)((half + 127) << 23), second = (vf)((k - half + 127) << 23);
  vf scale = first * second;
  // 2^128 itself is no float: its two halves are applied one after the other.
  vf y = select(k > 126, (p + 1.f) * first * second, fma(p, scale, scale - 1.f));
  return select(x == x, select(x == 0, x, y), x);
}
TL_INLINE vf exp2(vf x) {
  vf clamped = min(max(x, splat(-151.f)), splat(129.f));
  vf n = round(clamped);
  vf y = exp((clamped - n) * 0.693147180559945309f);
  vi k = to_vi(n), half = k >> 1;
  y = y * (vf)((half + 127) << 23) * (vf)((k - half + 127) << 23);
  return select(x == x, y, x);
}
TL_INLINE vf log2(vf x) {
  // The exponent is taken out first, so that powers of two come out whole.
  vi tiny = x < 1.17549435e-38f;
  vf scaled = select(tiny, x * 8388608.f, x);
  vi bits = (vi)scaled;
  vi plain = (scaled >= 1.17549435e-38f) & (scaled < __builtin_inff());
  vi low = (bits & 0x007fffff) < 0x3504f3;
  vf e = to_vf((bits >> 23) - 126 + low) - select(tiny, splat(23.f), splat(0.f));
  vf m = (vf)((bits & 0x007fffff) | 0x3f000000);
  m = select(low, m + m, m);
  return select(plain, fma(log(m), splat(1.44269504088896341f), e), log(x));
}
TL_INLINE vf log10(vf x) {
  return each_lane(x, [](float v) { return __builtin_log10f(v); });
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
TL_SCALAR(exp2, __builtin_exp2)
TL_SCALAR(log2, __builtin_log2)
TL_SCALAR(log10, __builtin_log10)
TL_SCALAR(floor, __builtin_floor)
TL_SCALAR(ceil, __builtin_ceil)
TL_SCALAR(trunc, __builtin_trunc)
TL_SCALAR(round, __builtin_rint)
#undef TL_SCALAR
TL_INLINE double pow(double a, double b) { return __builtin_pow(a, b); }
TL_INLINE vf pow(vf a, vf b) {
  for (int i = 0; i < kLanes; ++i) a[i] = __builtin_powf(a[i], b[i]);
  return a;
}

TL_INLINE float abs(float x) { return __builtin_fabsf(x); }
template <class T>
TL_INLINE T select(bool mask, T a, T b) {
  return mask ? a : b;
}
// Rounding leaves integers as they are.
#define TL_WHOLE(name)              \
  template <class T>                \
  TL_INLINE T name(T x)             \
    requires((T(1) / T(2) == T(0))) \
  {                                 \
    return x;                       \
  }
TL_WHOLE(floor)
TL_WHOLE(ceil)
TL_WHOLE(trunc)
TL_WHOLE(round)
#undef TL_WHOLE

template <class T>
TL_INLINE T abs(T x)
  requires(!__is_same(T, vf) && !__is_same(T, double) && !__is_same(T, float))
{
  if constexpr (T(-1) < T(0))
    return x < 0 ? T(-x) : x;
  else
    return x;
}
template <class T>
TL_INLINE T maximum(T a, T b) {
  return a >= b || a != a ? a : b;  // of two zeros the first, as in torch
}
template <class T>
TL_INLINE T minimum(T a, T b) {
  return a <= b || a != a ? a : b;
}
// NaN in either operand wins, as in torch.
template <>
TL_INLINE vf maximum<vf>(vf a, vf b) {
  return select((a >= b) | (a != a), a, b);
}
template <>
TL_INLINE vf minimum<vf>(vf a, vf b) {
  return select((a <= b) | (a != a), a, b);
}
template <class T>
TL_INLINE T sign(T x) {
  return static_cast<T>((x > T(0)) - (x < T(0)));
}
template <>
TL_INLINE vf sign<vf>(vf x) {
  return select(x > 0, splat(1.f), select(x < 0, splat(-1.f), vf{}));
}

}  // namespace tl::TL_ISA
