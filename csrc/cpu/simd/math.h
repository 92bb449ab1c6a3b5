// exp, log, tanh, erf, sin, cos on the generic vector, within a few units in the last place of
// float, and the same vocabulary for doubles and integers. Minimax coefficients: Cephes (S.
// Moshier) where none of our own are given.
#pragma once
#include "simd.h"

namespace tl::TL_ISA {

template <class F>
TL_INLINE vf each_lane(vf x, F f) {
  for (int i = 0; i < kLanes; ++i) x[i] = f(x[i]);
  return x;
}

// exp(r) - 1 for |r| <= ln(2) / 2. Pairs of terms rather than one after the other: as many
// operations, half the wait.
TL_INLINE vf expm1_near(vf r) {
  const vf z = r * r;
  const vf low = fma(splat(1.6666665459e-1f), r, splat(5.0000001201e-1f));
  const vf middle = fma(splat(8.3334519073e-3f), r, splat(4.1665795894e-2f));
  const vf high = fma(splat(1.9875691500e-4f), r, splat(1.3981999507e-3f));
  return fma(fma(fma(high, z, middle), z, low), z, r);
}
// The same to 1.1e-7 of exp(r), our own fit (least maximum of the relative error).
TL_INLINE vf expm1_short(vf r) {
  const vf z = r * r;
  const vf low = fma(splat(1.6667118169e-1f), r, splat(4.9999225850e-1f));
  const vf high = fma(splat(8.3124303551e-3f), r, splat(4.1890987448e-2f));
  return fma(fma(high, z, low), z, r);
}
// x as n ln(2) + r; the lowest 9 bits of *n are n + bias. A sum with 1.5 * 2^23 rounds, and leaves
// the integer in its bits. One step takes ln(2) as one float: r is out by up to 2e-9 n.
template <int kBias, int kSteps = 2>
TL_INLINE vf split_exponent(vf x, vi* n) {
  constexpr float kRound = 12582912.f + kBias;
  const vf sum = fma(x, splat(1.44269504088896341f), splat(kRound));
  const vf turns = sum - kRound;
  *n = (vi)sum;
  if constexpr (kSteps == 1) return fma(turns, splat(-0.693147180559945309f), x);
  return fma(turns, splat(2.12194440e-4f), fma(turns, splat(-0.693359375f), x));
}

TL_INLINE vf exp(vf x) {
  // Clamped so that 2^n is built in two halves: no overflow on the way, subnormals right. NaN
  // comes through.
  vi n;
  const vf p = expm1_near(split_exponent<254>(between(x, -104.f, 89.f), &n));
  const vi half = n >> 1;
  const vf first = (vf)(half << 23);
  return fma(p, first, first) * (vf)((n - half) << 23);
}
// For x in [-87, 0].
TL_INLINE vf exp_inside(vf x) {
  vi n;
  const vf p = expm1_near(split_exponent<127>(x, &n)), scale = (vf)(n << 23);
  return fma(p, scale, scale);
}
// exp(x) - 1 for x in [-87, 87] where it need be no nearer than float is to 1.
TL_INLINE vf expm1_inside(vf x) {
  vi n;
  const vf p = expm1_near(split_exponent<127, 1>(x, &n)), scale = (vf)(n << 23);
  return fma(p, scale, scale - 1.f);
}
// a / (1 + exp(x)): sigmoid and its kin. Half the exponential is taken: it is finite as far as
// the clamp, and twice it infinite there.
TL_INLINE vf over_one_plus_exp(vf a, vf x) {
  vi n;
  const vf p = expm1_short(split_exponent<126>(between(x, -80.f, 89.f), &n));
  const vf scale = (vf)(n << 23), half = fma(p, scale, scale);
  return a / (half + half + 1.f);
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
  // An odd function over an even one, our own fit (2e-8 of the result) up to where float's tanh is
  // 1. Dividing once costs less than a polynomial that reaches as far, or exp.
  const vf a = between(x, -9.1f, 9.1f), z = a * a;
  vf p = fma(splat(1.3402028961e-08f), z, splat(2.0648528109e-05f));
  vf q = fma(splat(7.7974797384e-07f), z, splat(3.2897766139e-04f));
  p = fma(p, z, splat(3.4982261905e-03f));
  q = fma(q, z, splat(2.5887281212e-02f));
  p = fma(p, z, splat(1.3383333244e-01f));
  q = fma(q, z, splat(4.6716654610e-01f));
  p = fma(p, z, splat(1.f)) * a;
  q = fma(q, z, splat(1.f));
  return between(p / q, -1.f, 1.f);
}

TL_INLINE vf sigmoid(vf x) { return over_one_plus_exp(splat(1.f), -x); }

TL_INLINE vf copy_sign(vf x, vf sign) {
  return (vf)(((vi)x & 0x7fffffff) | ((vi)sign & static_cast<int32_t>(0x80000000)));
}

TL_INLINE vf erf(vf x) {
  // 1 - exp(a q(a)) with a = |x| and a q(a) fitted to log(erfc) up to 4, where float's erf is 1.
  // What q is out by counts in erf at most as much, so one fit (our own, 4e-9 of the result) is
  // good from 0 on.
  const vf a = min(splat(4.f), abs(x)), z = a * a;
  const vf q0 = fma(splat(-6.3661938197e-01f), a, splat(-1.1283791716e+00f));
  const vf q2 = fma(splat(1.9153063882e-02f), a, splat(-1.0277783050e-01f));
  const vf q4 = fma(splat(-1.6670274479e-03f), a, splat(1.6039607812e-04f));
  const vf q6 = fma(splat(-1.1764126253e-04f), a, splat(6.3283683511e-04f));
  const vf high = fma(fma(splat(9.2562638708e-06f), z, q6), z, q4);
  const vf q = fma(high, z * z, fma(q2, z, q0));
  return copy_sign(expm1_inside(q * a), x);
}

// x Phi(x) as max(x, 0) - a erfc(a / sqrt(2)) / 2 with a = |x|; the logarithm of erfc is a
// polynomial without a constant, our own fit of the least absolute error (2.5e-7 of the result, as
// little relative to a positive one). Beyond 10 the rest is 0 to floats.
TL_INLINE vf gelu(vf x) {
  const vf a = min(splat(10.f), abs(x));
  vf q = splat(-1.3183761211621459e-06f);
  q = fma(q, a, splat(1.9447099475655705e-05f));
  q = fma(q, a, splat(-9.112758561968803e-05f));
  q = fma(q, a, splat(-1.8859628285205215e-04f));
  q = fma(q, a, splat(5.022155120968819e-03f));
  q = fma(q, a, splat(-3.6478690803050995e-02f));
  q = fma(q, a, splat(-3.1826692819595337e-01f));
  q = fma(q, a, splat(-7.978893518447876e-01f));
  // x - x: 0, but NaN for -inf, as -inf times 0 is.
  return fma(a * -0.5f, exp_inside(q * a), blend(x < 0, x - x, x));
}

// The derivative of gelu, Phi(x) + x phi(x), which is h(|x|) on the left and 1 - h(|x|) on the
// right with h(a) = exp(-a² / 2) g(a); g is a polynomial, our own fit of the least absolute error
// of h.
TL_INLINE vf gelu_slope(vf x) {
  const vf a = between(abs(x), 0.f, 13.f);
  vf g = splat(-3.1554401816e-07f);
  g = fma(g, a, splat(7.7087989038e-06f));
  g = fma(g, a, splat(-8.4771169356e-05f));
  g = fma(g, a, splat(5.6365360559e-04f));
  g = fma(g, a, splat(-2.5900930281e-03f));
  g = fma(g, a, splat(9.0038526534e-03f));
  g = fma(g, a, splat(-2.5471823793e-02f));
  g = fma(g, a, splat(6.1923937026e-02f));
  g = fma(g, a, splat(-1.3280578866e-01f));
  g = fma(g, a, splat(2.4997257334e-01f));
  g = fma(g, a, splat(-7.9788288268e-01f));
  g = fma(g, a, splat(0.5f));
  const vf h = exp_inside(a * a * -0.5f) * g;
  return blend(x > 0, 1.f - h, h);
}

// x - n * pi / 2 in three parts, n the nearest integer; good while n has no more than 13 bits.
TL_INLINE vf reduce_half_pi(vf x, vi* n) {
  vf turns = round(x * 0.636619772367581343f);
  *n = to_vi(turns);
  vf r = fma(turns, splat(-1.5703125f), x);
  r = fma(turns, splat(-4.837512969970703125e-4f), r);
  return fma(turns, splat(-7.549789948768648e-8f), r);
}
// The sine of r + n quarter turns. Coefficients: Cephes.
TL_INLINE vf sin_reduced(vf r, vi n) {
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
TL_INLINE vf sin(vf x) {
  vi n;
  // Beyond the reduction's reach, and for NaN: the library's.
  if (any(~(abs(x) < 8000.f))) return each_lane(x, [](float v) { return __builtin_sinf(v); });
  vf r = reduce_half_pi(x, &n);
  return select(x == 0, x, sin_reduced(r, n));
}
TL_INLINE vf cos(vf x) {
  vi n;
  if (any(~(abs(x) < 8000.f))) return each_lane(x, [](float v) { return __builtin_cosf(v); });
  vf r = reduce_half_pi(x, &n);
  return sin_reduced(r, n + 1);
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
  vi n;
  vf p = expm1_near(split_exponent<254>(between(x, -20.f, 89.f), &n));
  vi half = n >> 1;
  vf first = (vf)(half << 23), second = (vf)((n - half) << 23);
  vf scale = first * second;
  // 2^128 itself is no float: its two halves are applied one after the other.
  vf y = select(x > 87.f, fma(p, first, first) * second, fma(p, scale, scale - 1.f));
  return select(x == 0, x, y);
}
TL_INLINE vf exp2(vf x) {
  vf clamped = between(x, -151.f, 129.f), n = round(clamped);
  vf y = expm1_near((clamped - n) * 0.693147180559945309f) + 1.f;
  vi k = to_vi(n), half = k >> 1;
  return y * (vf)((half + 127) << 23) * (vf)((k - half + 127) << 23);
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
TL_INLINE double gelu_slope(double x) {
  return 0.5 * (1 + erf(x * 0.70710678118654752440)) +
         x * exp(x * x * -0.5) * 0.39894228040143267794;
}
TL_INLINE double over_one_plus_exp(double a, double x) { return a / (1 + exp(x)); }
TL_INLINE double gelu(double x) { return 0.5 * x * (1 + erf(x * 0.70710678118654752440)); }
TL_INLINE double pow(double a, double b) { return __builtin_pow(a, b); }

// 2^(b log2(a)) in double, for positive normal a: what float needs and more.
TL_INLINE Simd<float, kLanes / 2> power_near(Simd<float, kLanes / 2> base,
                                             Simd<float, kLanes / 2> exponent) {
  vd x = __builtin_convertvector(base, vd), y = __builtin_convertvector(exponent, vd);
  // m in [sqrt(1/2), sqrt(2)); an integer below 2^51 becomes a double by its bits, of which a NaN's
  // may wrap around.
  vw bits = (vw)x + ((uint64_t{0x3ff0} << 48) - 0x3fe6a09e667f3bcd);
  vd e = (vd)(bits >> 52 | 0x4330000000000000) - (0x1p52 + 1023.);
  vd m = (vd)((bits & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd);
  vd s = (m - 1.) / (m + 1.), z = s * s;
  vd p = z * (2.8853900817779268 / 15) + 2.8853900817779268 / 13;
  p = p * z + 2.8853900817779268 / 11;
  p = p * z + 2.8853900817779268 / 9;
  p = p * z + 2.8853900817779268 / 7;
  p = p * z + 2.8853900817779268 / 5;
  p = p * z + 2.8853900817779268 / 3;
  p = p * z + 2.8853900817779268;
  vd t = between((e + s * p) * y, -200., 200.);
  vd n = (t + 0x1.8p52) - 0x1.8p52, r = (t - n) * 0.69314718055994530942;
  vd q = r * (1. / 362880) + 1. / 40320;
  q = q * r + 1. / 5040;
  q = q * r + 1. / 720;
  q = q * r + 1. / 120;
  q = q * r + 1. / 24;
  q = q * r + 1. / 6;
  q = q * r + 0.5;
  q = q * r + 1.;
  q = q * r + 1.;
  vl scale = ((vl)(n + (0x1.8p52 + 1023.)) << 52);
  return __builtin_convertvector(q * (vd)scale, Simd<float, kLanes / 2>);
}
TL_INLINE vf pow(vf a, vf b) {
  const float inf = __builtin_inff();
  const vf size = abs(a), base = between(size, 1e-37f, 3e38f);
  Simd<float, kLanes / 2> bases[2], exponents[2];
  memcpy(bases, &base, sizeof base);
  memcpy(exponents, &b, sizeof b);
  for (int i = 0; i < 2; ++i) bases[i] = power_near(bases[i], exponents[i]);
  vf y = load_as<vf>(bases);
  // A negative base has a power when the exponent is whole: negative when that is odd.
  vf whole = trunc(b);
  vi odd = (abs(b) < 16777216.f) & -(to_vi(between(whole, -16777216.f, 16777216.f)) & 1);
  vf negative = blend(whole == b, (vf)((vi)y ^ (odd & INT32_MIN)), splat(__builtin_nanf("")));
  y = blend(a < 0.f, negative, y);
  // Zeros, infinities, NaN and what lies near them: the library's.
  vi plain = (size >= 1e-37f) & (size <= 3e38f) & (abs(b) < inf);
  if (any(~plain)) {
    for (int i = 0; i < kLanes; ++i) {
      if (!plain[i]) y[i] = __builtin_powf(a[i], b[i]);
    }
  }
  return y;
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
    requires(std::is_integral_v<T>) \
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
    return x < 0 ? static_cast<T>(0 - static_cast<uint64_t>(x)) : x;  // the lowest one stays
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
// NaN in either operand wins, as in torch: max and min give their second one unless the first is
// nearer.
template <>
TL_INLINE vf maximum<vf>(vf a, vf b) {
  return blend(b != b, b, max(b, a));
}
template <>
TL_INLINE vf minimum<vf>(vf a, vf b) {
  return blend(b != b, b, min(b, a));
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
