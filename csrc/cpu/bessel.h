// Modified Bessel functions of the second kind, Airy's function, the spherical Bessel function.
#pragma once
#include "special.h"

namespace tl::TL_ISA {

// exp(x) K_v(x), for x beyond 0.6: the integral of exp(-x (cosh t - 1)) cosh vt over t from 0 up
// (9.6.24) by the trapezoidal rule, which converges faster than any power of its step.
inline double bessel_k_integral(double x, double order) {
  double wide = 0.5 / __builtin_sqrt(x), step = wide < 0.24 ? wide : 0.24, sum = 0.5;
  for (int i = 1; i < 200; ++i) {
    double half = __builtin_sinh(i * step / 2);
    double term = __builtin_exp(-2 * x * half * half) * __builtin_cosh(order * i * step);
    sum += term;
    if (term < 1e-18 * sum) break;
  }
  return sum * step;
}
// K_0 and K_1 up to 2 by their series about 0 (9.6.11).
inline double bessel_k_series(double x, int order) {
  static constexpr double kEuler = 0.57721566490153286061;
  double z = x * x / 4, log = __builtin_log(x / 2), term = order ? x / 2 : 1, whole = 0, sum = 0;
  for (int k = 0; k < 60; ++k) {
    // 2 psi of the two whole numbers k + 1 and k + 1 + order, halved
    double psi = whole - kEuler + (order ? 0.5 / (k + 1) : 0);
    double add = term * (log - psi);
    sum += add;
    if (__builtin_fabs(add) < 1e-18 * __builtin_fabs(sum)) break;
    whole += 1. / (k + 1);
    term *= z / ((k + 1.) * (k + 1 + order));
  }
  return order ? 1 / x + sum : -sum;
}
inline double bessel_k_scaled(double x, int order, bool scaled) {
  if (!(x > 0)) return x == 0 ? kInf : kNan;
  if (x == kInf) return 0;
  if (x <= 2) return bessel_k_series(x, order) * (scaled ? __builtin_exp(x) : 1);
  return bessel_k_integral(x, order) * (scaled ? 1 : __builtin_exp(-x));
}
inline double bessel_k0(double x) { return bessel_k_scaled(x, 0, false); }
inline double bessel_k1(double x) { return bessel_k_scaled(x, 1, false); }
inline double bessel_k0e(double x) { return bessel_k_scaled(x, 0, true); }
inline double bessel_k1e(double x) { return bessel_k_scaled(x, 1, true); }

inline double spherical_j0(double x) {
  return x == 0 ? 1 : __builtin_fabs(x) == kInf ? 0 : __builtin_sin(x) / x;
}

// The values and slopes of Ai at whole numbers from -9 to 1, and between them the Taylor series
// that y'' = x y gives.
inline double airy_near(double x) {
  static constexpr double kAiry[][2] = {
      {-0.022133721547341403674, -0.97566398092633159471},
      {-0.052705050356386202622, 0.93556093819830655103},
      {0.18428083525050563728, -0.77100816841012654773},
      {-0.32914517362982310523, 0.34593548728134289493},
      {0.35076100902411431979, 0.32719281855444313679},
      {-0.070265532949289515099, -0.7906285753685813803},
      {-0.37881429367765807435, 0.31458376921659881365},
      {0.22740742820168557599, 0.61825902074169104141},
      {0.5355608832923521188, -0.010160567116645209395},
      {0.35502805388781723926, -0.25881940379280679841},
      {0.13529241631288141552, -0.15914744129679321279},
  };
  double centre = __builtin_floor(x + 0.5), t = x - centre;
  const double* known = kAiry[int(centre) + 9];
  double a = 0, b = known[0], c = known[1], sum = b + c * t, power = t;
  for (int n = 2; n < 40; ++n) {
    double next = (centre * b + a) / (n * (n - 1.));
    a = b, b = c, c = next;
    sum += next * (power *= t);
  }
  return sum;
}
// Far below 0, by 10.4.60.
inline double airy_far(double z) {
  double zeta = 2. / 3 * z * __builtin_sqrt(z), term = 1, even = 1, odd = 0;
  for (int k = 1; k < 30; ++k) {
    double next = term * (6. * k - 5) * (6. * k - 1) / (72. * k * zeta);
    if (next >= term || next < 1e-18) break;
    term = next;
    (k % 2 ? odd : even) += k % 4 < 2 ? term : -term;
  }
  double angle = zeta - kPi / 4, root = __builtin_sqrt(kPi * __builtin_sqrt(z));
  return (__builtin_cos(angle) * even + __builtin_sin(angle) * odd) / root;
}
inline double airy_ai(double x) {
  if (x - x != 0) return kNan;  // infinity too, as in PyTorch
  if (x < -9.4) return airy_far(-x);
  if (x < 1.4) return airy_near(x);
  if (x > 110) return 0;                         // below the smallest double
  double zeta = 2. / 3 * x * __builtin_sqrt(x);  // 10.4.14
  return __builtin_sqrt(x / 3) / kPi * bessel_k_integral(zeta, 1. / 3) * __builtin_exp(-zeta);
}

}  // namespace tl::TL_ISA
