// Orthogonal polynomials by their recurrences, whole orders of doubles (Abramowitz & Stegun 22).
#pragma once
#include "special.h"

namespace tl::TL_ISA {

// Orders lose what is behind the point; those below 0 give 0, as in PyTorch.
enum class Chebyshev { T, U, V, W };

// At 1 and at -1, where the closed forms are 0 / 0.
inline double chebyshev_end(Chebyshev kind, double n, bool minus) {
  double grown = kind == Chebyshev::U                            ? n + 1
                 : kind == (minus ? Chebyshev::V : Chebyshev::W) ? 2 * n + 1
                                                                 : 1;
  return minus && __builtin_fmod(n, 2) != 0 ? -grown : grown;
}

// With x = cos t: cos nt, sin (n+1)t / sin t, cos (n+1/2)t / cos t/2, sin (n+1/2)t / sin t/2.
inline double chebyshev_inside(Chebyshev kind, double x, double n) {
  double t = __builtin_acos(x), whole = (n + 0.5) * t;
  if (kind == Chebyshev::T) return __builtin_cos(n * t);
  if (kind == Chebyshev::U) return __builtin_sin((n + 1) * t) / __builtin_sin(t);
  if (kind == Chebyshev::V) return __builtin_cos(whole) / __builtin_cos(t / 2);
  return __builtin_sin(whole) / __builtin_sin(t / 2);
}

// With |x| = cosh t, the same in cosh and sinh; at -x, V and W change places.
inline double chebyshev_outside(Chebyshev kind, double x, double n) {
  double t = __builtin_acosh(x < 0 ? -x : x), whole = (n + 0.5) * t;
  if (x < 0 && kind >= Chebyshev::V) kind = kind == Chebyshev::V ? Chebyshev::W : Chebyshev::V;
  double size = kind == Chebyshev::T   ? __builtin_cosh(n * t)
                : kind == Chebyshev::U ? __builtin_sinh((n + 1) * t) / __builtin_sinh(t)
                : kind == Chebyshev::V ? __builtin_cosh(whole) / __builtin_cosh(t / 2)
                                       : __builtin_sinh(whole) / __builtin_sinh(t / 2);
  return x < 0 && __builtin_fmod(n, 2) != 0 ? -size : size;
}

// The last order that a recurrence, one step an order, is followed to.
constexpr double kLastOrder = 1 << 20;

inline double chebyshev(Chebyshev kind, double x, double order) {
  double n = __builtin_trunc(order);
  if (n != n) return n;
  if (n <= 0) return n < 0 ? 0 : 1;
  if (x == 1 || x == -1) return chebyshev_end(kind, n, x < 0);
  if (n > 8 && x > -1 && x < 1) return chebyshev_inside(kind, x, n);
  if (n > kLastOrder) return chebyshev_outside(kind, x, n);
  double shift = kind == Chebyshev::V ? -1 : kind == Chebyshev::W ? 1 : 0;
  double before = 1, now = (kind == Chebyshev::T ? x : 2 * x) + shift;
  for (double k = 1; k < n; ++k) {
    if (now == kInf || now == -kInf)  // it only grows, and its sign is that of x to the n
      return x < 0 && __builtin_fmod(n, 2) != 0 ? -kInf : kInf;
    double next = 2 * x * now - before;
    before = now, now = next;
    if (now != now) return now;
  }
  return now;
}
inline double chebyshev_t(double x, double n) { return chebyshev(Chebyshev::T, x, n); }
inline double chebyshev_u(double x, double n) { return chebyshev(Chebyshev::U, x, n); }
inline double chebyshev_v(double x, double n) { return chebyshev(Chebyshev::V, x, n); }
inline double chebyshev_w(double x, double n) { return chebyshev(Chebyshev::W, x, n); }
inline double shifted_t(double x, double n) { return chebyshev(Chebyshev::T, 2 * x - 1, n); }
inline double shifted_u(double x, double n) { return chebyshev(Chebyshev::U, 2 * x - 1, n); }
inline double shifted_v(double x, double n) { return chebyshev(Chebyshev::V, 2 * x - 1, n); }
inline double shifted_w(double x, double n) { return chebyshev(Chebyshev::W, 2 * x - 1, n); }

// p(k + 1) = step(k, p(k), p(k - 1)), up to the order or to where no double goes on: `turns` tells
// whether p(n) has another sign there than p(n - 1), as beyond all its zeros it has or has not.
template <class Step>
double recurrence(double order, double first, bool beyond, bool turns, Step step) {
  double n = __builtin_trunc(order);
  if (n != n) return n;
  if (n <= 0) return n < 0 ? 0 : 1;
  if (n > kLastOrder) return kNan;
  double before = 1, now = first;
  for (double k = 1; k < n && now - now == 0; ++k) {
    double next = step(k, now, before);
    before = now, now = next;
  }
  if (now - now == 0 || first != first) return now;
  if (!beyond) return kNan;
  return turns && __builtin_fmod(n, 2) != 0 ? -kInf : kInf;
}
// Beyond order 512 hardly a value is a double, nor does PyTorch give one.
inline double hermite_h(double x, double n) {
  if (n > 512) return kNan;
  return recurrence(n, 2 * x, x * x > 2 * n + 1, x < 0,
                    [x](double k, double p, double q) { return 2 * (x * p - k * q); });
}
inline double hermite_he(double x, double n) {
  if (n > 512) return kNan;
  return recurrence(n, x, x * x > 4 * n + 2, x < 0,
                    [x](double k, double p, double q) { return x * p - k * q; });
}
inline double laguerre_l(double x, double n) {
  return recurrence(n, 1 - x, x < 0 || x > 4 * n + 2, x > 0, [x](double k, double p, double q) {
    return ((2 * k + 1 - x) * p - k * q) / (k + 1);
  });
}
inline double legendre_p(double x, double order) {
  double n = __builtin_trunc(order);
  if ((x == 1 || x == -1) && n > 0) return x < 0 && __builtin_fmod(n, 2) != 0 ? -1 : 1;
  return recurrence(n, x, x > 1 || x < -1, x < 0, [x](double k, double p, double q) {
    return ((2 * k + 1) * x * p - k * q) / (k + 1);
  });
}

}  // namespace tl::TL_ISA
