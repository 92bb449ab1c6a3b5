// Functions of doubles that no C library has: quantiles, gamma and Bessel functions.
#pragma once
#include <math.h>  // lgamma_r is no builtin

#include "../core/kernel.h"

namespace tl::TL_ISA {

inline constexpr double kPi = 3.14159265358979323846, kInf = __builtin_inf(),
                        kNan = __builtin_nan("");

// The standard normal quantile by P. Acklam's rational approximation, then one step of Halley's
// method, which makes it exact to a few units in the last place.
inline double normal_quantile(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -kInf : p == 1 ? kInf : kNan;
  static constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,
                                 -2.759285104469687e+02, 1.383577518672690e+02,
                                 -3.066479806614716e+01, 2.506628277459239e+00};
  static constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02,
                                 -1.556989798598866e+02, 6.680131188771972e+01,
                                 -1.328068155288572e+01};
  static constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01,
                                 -2.400758277161838e+00, -2.549732539343734e+00,
                                 4.374664141464968e+00,  2.938163982698783e+00};
  static constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01,
                                 2.445134137142996e+00, 3.754408661907416e+00};
  double x, small = p < 0.5 ? p : 1 - p;
  if (small < 0.02425) {
    double q = __builtin_sqrt(-2 * __builtin_log(small));
    x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
        ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    if (p >= 0.5) x = -x;
  } else {
    double q = p - 0.5, r = q * q;
    x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
        (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
  }
  double e = x < 0 ? 0.5 * __builtin_erfc(-x * 0.70710678118654752) - p
                   : (1 - p) - 0.5 * __builtin_erfc(x * 0.70710678118654752);
  double u = e * __builtin_sqrt(2 * kPi) * __builtin_exp(x * x / 2);
  return x - u / (1 + x * u / 2);
}

inline double erfinv(double y) {
  if (!(y > -1 && y < 1)) return y == 1 ? kInf : y == -1 ? -kInf : kNan;
  // Near 0 the quantile of (1 + y) / 2 would have lost y's last digits: two steps of Newton's
  // method on erf itself.
  double x = y == 0 ? y : normal_quantile(0.5 * (1 + y)) * 0.70710678118654752;
  for (int i = 0; i < 2 && y != 0; ++i) {
    double error = y > 0.5    ? (1 - y) - __builtin_erfc(x)
                   : y < -0.5 ? __builtin_erfc(-x) - (1 + y)
                              : __builtin_erf(x) - y;
    double slope = 1.1283791670955126 * __builtin_exp(-x * x);
    if (slope > 0) x -= error / slope;
  }
  return x;
}

inline double log_gamma(double x) {
#ifdef __wasm__
  return __builtin_lgamma(x);
#else
  int sign;  // lgamma keeps it in a global, which threads would share
  return ::lgamma_r(x, &sign);
#endif
}

// Upwards by recurrence, then the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18).
inline double digamma(double x) {
  if (x == 0) return __builtin_copysign(kInf, -x);
  if (x < 0) {
    double whole = __builtin_rint(x);  // of the nearest one the distance is exact
    if (x == whole) return kNan;
    return digamma(1 - x) - kPi / __builtin_tan(kPi * (x - whole));
  }
  double sum = 0;
  for (; x < 10; x += 1) sum -= 1 / x;
  double z = 1 / (x * x);
  double series =
      z * (1. / 12 -
           z * (1. / 120 -
                z * (1. / 252 - z * (1. / 240 - z * (1. / 132 - z * (691. / 32760 - z / 12))))));
  return sum + __builtin_log(x) - 0.5 / x - series;
}

// The Hurwitz zeta function: the first terms, then the Euler-Maclaurin sum of the rest (Abramowitz
// & Stegun 23.2.9 with 23.1.30; the Bernoulli numbers over factorials).
inline double hurwitz_zeta(double s, double q) {
  if (s == 1) return kInf;
  if (!(s > 1)) return kNan;
  if (q <= 0) {
    if (q == __builtin_floor(q)) return kInf;
    if (s != __builtin_floor(s)) return kNan;
  }
  double sum = 0, x = q;
  for (int k = 0; k < 10 || x <= 9; ++k, x += 1) {
    double term = __builtin_pow(x, -s);
    sum += term;
    if (x > 0 && term < sum * 1e-17) return sum;
  }
  double power = __builtin_pow(x, -s);
  sum += power * x / (s - 1) + power / 2;
  static constexpr double kBernoulli[] = {1. / 12,           -1. / 720,
                                          1. / 30240,        -1. / 1209600,
                                          1. / 47900160,     -691. / 1307674368000.,
                                          1. / 74724249600., -3617. / 10670622842880000.};
  double factor = s * power / x;
  for (int k = 0; k < 8; ++k) {
    double term = kBernoulli[k] * factor;
    sum += term;
    if (__builtin_fabs(term) < __builtin_fabs(sum) * 1e-17) break;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2) / (x * x);
  }
  return sum;
}

// exp(-|x|) I_n(x): the power series, whose terms are all positive, then the asymptotic one
// (9.7.1).
inline double bessel_scaled(double x, int order) {
  double a = x < 0 ? -x : x;
  if (!(a < kInf)) return a == kInf ? 0 : x;
  double y;
  if (a < 30) {
    double z = a * a / 4, term = order ? a / 2 : 1, sum = term;
    for (int k = 1; k < 200 && term > sum * 1e-17; ++k) sum += term *= z / (k * (k + order));
    y = sum * __builtin_exp(-a);
  } else {
    double term = 1, sum = 1;
    for (int k = 1; k < 30; ++k) {
      double odd = 2 * k - 1, next = -term * (4. * order * order - odd * odd) / (8 * a * k);
      if (next * next >= term * term) break;
      sum += term = next;
    }
    y = sum / __builtin_sqrt(2 * kPi * a);
  }
  return order && x < 0 ? -y : y;
}
inline double unscaled(double x, int order) {
  double a = __builtin_fabs(x);
  // exp in two halves: the result may be a float where exp(a) is none.
  double half = __builtin_exp(a / 2);
  return bessel_scaled(x, order) * half * half;
}
inline double bessel_i0e(double x) { return bessel_scaled(x, 0); }
inline double bessel_i1e(double x) { return bessel_scaled(x, 1); }
inline double bessel_i0(double x) {
  return __builtin_fabs(x) < kInf ? unscaled(x, 0) : __builtin_fabs(x);
}
inline double bessel_i1(double x) { return __builtin_fabs(x) < kInf ? unscaled(x, 1) : x; }

// exp(x²) erfc(x): directly while erfc is a normal number, else its continued fraction (7.1.14).
inline double scaled_erfc(double x) {
  if (x < 25) return x < -26.7 ? kInf : __builtin_exp(x * x) * __builtin_erfc(x);
  double f = x;
  for (int k = 20; k > 0; --k) f = x + 0.5 * k / f;
  return x == kInf ? 0 : 0.56418958354775628695 / f;
}
// The logarithm of the standard normal distribution function.
inline double log_normal(double x) {
  double t = -x * 0.70710678118654752440;
  if (x < -1) return __builtin_log(scaled_erfc(t) / 2) - t * t;
  return __builtin_log1p(-__builtin_erfc(-t) / 2);
}

// x^a e^-x / Gamma(a + 1), from the distance of x to a by Stirling's series where a is large.
inline double gamma_density(double a, double x) {
  if (a < 20) return __builtin_exp(a * __builtin_log(x) - x - log_gamma(a + 1));
  double d = (x - a) / a, z = 1 / (a * a);
  double rest = (1. / 12 - z * (1. / 360 - z * (1. / 1260 - z / 1680))) / a;
  double power = a * (__builtin_log1p(d) - d) - rest;
  return __builtin_exp(power) / __builtin_sqrt(2 * kPi * a);
}
// The regularised lower incomplete gamma function by its power series (6.5.29).
inline double lower_gamma_series(double a, double x) {
  double term = 1, sum = 1;
  for (double n = a + 1; term > sum * 1e-17; n += 1) {
    term *= x / n;
    sum += term;
  }
  return gamma_density(a, x) * sum;
}
// The upper one by its continued fraction (6.5.31) in Lentz's form, for x beyond a.
inline double upper_gamma_fraction(double a, double x) {
  double b = x + 1 - a, c = 1e300, d = 1 / b, f = d;
  for (int n = 1; n < 100000; ++n) {
    double an = n * (a - n);
    b += 2;
    d = an * d + b;
    d = 1 / (d == 0 ? 1e-300 : d);
    c = b + an / c;
    c = c == 0 ? 1e-300 : c;
    f *= c * d;
    if (__builtin_fabs(c * d - 1) < 1e-16) break;
  }
  return gamma_density(a, x) * a * f;
}
// The upper one near 0, where 1 minus the lower one would leave nothing: 1 - x^a / Gamma(a + 1)
// apart from the other terms of the series 6.5.29.
inline double upper_gamma_near_zero(double a, double x) {
  double factor = 1, sum = 0;
  for (int n = 1; n < 200; ++n) {
    factor *= -x / n;
    double term = factor / (a + n);
    sum += term;
    if (__builtin_fabs(term) < __builtin_fabs(sum) * 1e-17) break;
  }
  double power = a * __builtin_log(x) - log_gamma(a + 1);
  return -__builtin_expm1(power) - a * __builtin_exp(power) * sum;
}
// What both are at the borders; false inside.
inline bool gamma_border(double a, double x, double& lower) {
  if (a != a || x != x || a < 0 || x < 0 || (a == 0 && x == 0) || (a == kInf && x == kInf))
    lower = kNan;
  else if (a == 0 || x == kInf)
    lower = 1;
  else if (x == 0 || a == kInf)
    lower = 0;
  else
    return false;
  return true;
}
inline double upper_gamma(double a, double x) {
  double lower;
  if (gamma_border(a, x, lower)) return 1 - lower;
  if (x <= 1.1 && (x <= 0.5 ? a * -__builtin_log(x) <= 0.4 : a <= 1.1 * x))
    return upper_gamma_near_zero(a, x);
  return x <= 1.1 || x < a ? 1 - lower_gamma_series(a, x) : upper_gamma_fraction(a, x);
}
inline double lower_gamma(double a, double x) {
  double lower;
  if (gamma_border(a, x, lower)) return lower;
  return x > 1 && x > a ? 1 - upper_gamma(a, x) : lower_gamma_series(a, x);
}

inline double log_add_exp(double a, double b) {
  if (a == b && (a == kInf || a == -kInf)) return a;
  double top = a > b ? a : b;
  return top + __builtin_log1p(__builtin_exp(-__builtin_fabs(a - b)));
}
inline double log_add_exp2(double a, double b) {
  if (a == b && (a == kInf || a == -kInf)) return a;
  double top = a > b ? a : b;
  return top + __builtin_log1p(__builtin_exp2(-__builtin_fabs(a - b))) * 1.44269504088896340736;
}
inline double x_log_y(double x, double y) { return y != y ? y : x == 0 ? 0 : x * __builtin_log(y); }
inline double x_log1p_y(double x, double y) {
  return y != y ? y : x == 0 ? 0 : x * __builtin_log1p(y);
}

}  // namespace tl::TL_ISA
