// The ops of elementwise.def that are seldom hot: functions of doubles through one loop, integer
// division and shifts, powers, and neighbours of floats.
#include <math.h>  // lgamma_r is no builtin

#include "elementwise.h"
#include "simd/math.h"

namespace tl::TL_ISA {
namespace {

constexpr double kPi = 3.14159265358979323846, kInf = __builtin_inf(), kNan = __builtin_nan("");

// --- functions that no C library has
// -------------------------------------------------------------------------------------------------

// The standard normal quantile by P. Acklam's rational approximation, then one step of Halley's
// method, which makes it exact to a few units in the last place.
double normal_quantile(double p) {
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

double erfinv(double y) {
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

double log_gamma(double x) {
#ifdef __wasm__
  return __builtin_lgamma(x);
#else
  int sign;  // lgamma keeps it in a global, which threads would share
  return ::lgamma_r(x, &sign);
#endif
}

// Upwards by recurrence, then the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18).
double digamma(double x) {
  if (x == 0) return __builtin_copysign(kInf, -x);
  if (x < 0) {
    double whole = __builtin_floor(x);
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
double hurwitz_zeta(double s, double q) {
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
double bessel_scaled(double x, int order) {
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
double unscaled(double x, int order) {
  double a = __builtin_fabs(x);
  // exp in two halves: the result may be a float where exp(a) is none.
  double half = __builtin_exp(a / 2);
  return bessel_scaled(x, order) * half * half;
}
double bessel_i0e(double x) { return bessel_scaled(x, 0); }
double bessel_i1e(double x) { return bessel_scaled(x, 1); }
double bessel_i0(double x) { return __builtin_fabs(x) < kInf ? unscaled(x, 0) : __builtin_fabs(x); }
double bessel_i1(double x) { return __builtin_fabs(x) < kInf ? unscaled(x, 1) : x; }

// exp(x²) erfc(x): directly while erfc is a normal number, else its continued fraction (7.1.14).
double scaled_erfc(double x) {
  if (x < 25) return x < -26.7 ? kInf : __builtin_exp(x * x) * __builtin_erfc(x);
  double f = x;
  for (int k = 20; k > 0; --k) f = x + 0.5 * k / f;
  return x == kInf ? 0 : 0.56418958354775628695 / f;
}
// The logarithm of the standard normal distribution function.
double log_normal(double x) {
  double t = -x * 0.70710678118654752440;
  if (x < -1) return __builtin_log(scaled_erfc(t) / 2) - t * t;
  return __builtin_log1p(-__builtin_erfc(-t) / 2);
}

// x^a e^-x / Gamma(a + 1), from the distance of x to a by Stirling's series where a is large.
double gamma_density(double a, double x) {
  if (a < 20) return __builtin_exp(a * __builtin_log(x) - x - log_gamma(a + 1));
  double d = (x - a) / a, z = 1 / (a * a);
  double rest = (1. / 12 - z * (1. / 360 - z * (1. / 1260 - z / 1680))) / a;
  double power = a * (__builtin_log1p(d) - d) - rest;
  return __builtin_exp(power) / __builtin_sqrt(2 * kPi * a);
}
// The regularised lower incomplete gamma function by its power series (6.5.29).
double lower_gamma_series(double a, double x) {
  double term = 1, sum = 1;
  for (double n = a + 1; term > sum * 1e-17; n += 1) {
    term *= x / n;
    sum += term;
  }
  return gamma_density(a, x) * sum;
}
// The upper one by its continued fraction (6.5.31) in Lentz's form, for x beyond a.
double upper_gamma_fraction(double a, double x) {
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
double upper_gamma_near_zero(double a, double x) {
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
bool gamma_border(double a, double x, double& lower) {
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
double upper_gamma(double a, double x) {
  double lower;
  if (gamma_border(a, x, lower)) return 1 - lower;
  if (x <= 1.1 && (x <= 0.5 ? a * -__builtin_log(x) <= 0.4 : a <= 1.1 * x))
    return upper_gamma_near_zero(a, x);
  return x <= 1.1 || x < a ? 1 - lower_gamma_series(a, x) : upper_gamma_fraction(a, x);
}
double lower_gamma(double a, double x) {
  double lower;
  if (gamma_border(a, x, lower)) return lower;
  return x > 1 && x > a ? 1 - upper_gamma(a, x) : lower_gamma_series(a, x);
}

double log_add_exp(double a, double b) {
  if (a == b && (a == kInf || a == -kInf)) return a;
  double top = a > b ? a : b;
  return top + __builtin_log1p(__builtin_exp(-__builtin_fabs(a - b)));
}
double log_add_exp2(double a, double b) {
  if (a == b && (a == kInf || a == -kInf)) return a;
  double top = a > b ? a : b;
  return top + __builtin_log1p(__builtin_exp2(-__builtin_fabs(a - b))) * 1.44269504088896340736;
}
double x_log_y(double x, double y) { return y != y ? y : x == 0 ? 0 : x * __builtin_log(y); }
double x_log1p_y(double x, double y) { return y != y ? y : x == 0 ? 0 : x * __builtin_log1p(y); }

// --- division with a whole result or a rest
// -------------------------------------------------------------------------------------------------

// As Python's //: the quotient rounded down, from the exact rest.
double floor_divide(double a, double b) {
  if (b == 0) return a / b;
  double rest = __builtin_fmod(a, b), quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return __builtin_copysign(0., a / b);
  double whole = __builtin_floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}
double trunc_divide(double a, double b) { return __builtin_trunc(a / b); }
double remainder_of(double a, double b) {
  double rest = __builtin_fmod(a, b);
  return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
}
double fmod_of(double a, double b) { return __builtin_fmod(a, b); }

// The divisor is not 0. -1 is apart: the quotient of the smallest number would not fit.
int64_t trunc_divide(int64_t a, int64_t b) {
  return b == -1 ? static_cast<int64_t>(0 - static_cast<uint64_t>(a)) : a / b;
}
int64_t fmod_of(int64_t a, int64_t b) { return b == -1 ? 0 : a % b; }
int64_t floor_divide(int64_t a, int64_t b) {
  int64_t rest = fmod_of(a, b), quotient = trunc_divide(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? quotient - 1 : quotient;
}
int64_t remainder_of(int64_t a, int64_t b) {
  int64_t rest = fmod_of(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
uint64_t trunc_divide(uint64_t a, uint64_t b) { return a / b; }
uint64_t floor_divide(uint64_t a, uint64_t b) { return a / b; }
uint64_t remainder_of(uint64_t a, uint64_t b) { return a % b; }
uint64_t fmod_of(uint64_t a, uint64_t b) { return a % b; }

uint64_t greatest_divisor(uint64_t a, uint64_t b) {
  while (b) {
    uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}
uint64_t size_of(int64_t x) {
  return x < 0 ? 0 - static_cast<uint64_t>(x) : static_cast<uint64_t>(x);
}
int64_t greatest_divisor(int64_t a, int64_t b) {
  return static_cast<int64_t>(greatest_divisor(size_of(a), size_of(b)));
}
uint64_t least_multiple(uint64_t a, uint64_t b) {
  uint64_t g = greatest_divisor(a, b);
  return g ? a / g * b : 0;
}
int64_t least_multiple(int64_t a, int64_t b) {
  int64_t y = static_cast<int64_t>(least_multiple(size_of(a), size_of(b)));
  return static_cast<int64_t>(size_of(y));
}
// A shift by more bits than there are (or by a negative number) leaves nothing but the sign.
uint64_t shift_left(uint64_t a, uint64_t b) { return b < 64 ? a << b : 0; }
uint64_t shift_right(uint64_t a, uint64_t b) { return b < 64 ? a >> b : 0; }
int64_t shift_left(int64_t a, int64_t b) {
  return static_cast<int64_t>(shift_left(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
}
int64_t shift_right(int64_t a, int64_t b) { return a >> (b >= 0 && b < 64 ? b : 63); }

// --- loops
// -------------------------------------------------------------------------------------------------

using Fn1 = double (*)(double);
using Fn2 = double (*)(double, double);

// The op itself is a number that the loop gets: one loop for all of them. It is copied behind the
// op's own constants, as a pointer.
template <class T>
void each1(void* o, const void* const* in, int64_t n, const double* numbers) {
  Fn1 f;
  memcpy(&f, numbers, sizeof f);
  T* out = static_cast<T*>(o);
  const T* x = static_cast<const T*>(in[0]);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(f(static_cast<double>(x[i])));
}
template <class T>
void each2(void* o, const void* const* in, int64_t n, const double* numbers) {
  Fn2 f;
  memcpy(&f, numbers, sizeof f);
  T* out = static_cast<T*>(o);
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]);
  for (int64_t i = 0; i < n; ++i)
    out[i] = static_cast<T>(f(static_cast<double>(a[i]), static_cast<double>(b[i])));
}
template <class T, T (*f)(T, T)>
void whole2(void* o, const void* const* in, int64_t n, const double*) {
  T* out = static_cast<T*>(o);
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]);
  for (int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
}

constexpr Steps kSteps1{each1<float>, each1<double>};

const char* libm1(const Arg* args, const char* name, Fn1 f) {
  double number;
  static_assert(sizeof f <= sizeof number);
  memcpy(&number, &f, sizeof f);
  return run_op(args, 1, kSteps1, name, &number);
}
const char* libm2(const Arg* args, const Steps& steps, const char* name, Fn2 f) {
  double number = 0;
  if (f) memcpy(&number, &f, sizeof f);
  return run_op(args, 2, steps, name, &number);
}

// Whether an integer array holds a zero.
bool has_zero(const View& x) {
  if (!is_integral(x.dtype)) return false;
  View found;  // of x's shape, all in one place
  bool zero[1] = {};
  found = x;
  found.dtype = DType::bool_;
  found.data = reinterpret_cast<std::byte*>(zero);
  for (int i = 0; i < x.ndim; ++i) found.strides[i] = 0;
  const View* views[] = {&found, &x};
  Wide wide = wide_of(x.dtype);
  Form forms[] = {reading(DType::bool_, Wide::raw), reading(x.dtype, wide)};
  // Every thread may write the same true.
  forms[0].store = [](std::byte* p, int64_t, const void* chunk, int64_t n) {
    bool any = false;
    for (int64_t i = 0; i < n; ++i) any |= static_cast<const bool*>(chunk)[i];
    if (any) __atomic_store_n(reinterpret_cast<bool*>(p), true, __ATOMIC_RELAXED);
  };
  forms[0].same = false;
  run_steps(
      views, forms, 1,
      [](void* o, const void* const* in, int64_t n, const double*) {
        bool* out = static_cast<bool*>(o);
        const int64_t* v = static_cast<const int64_t*>(in[0]);
        for (int64_t i = 0; i < n; ++i) out[i] = v[i] == 0;
      },
      nullptr);
  return zero[0];
}

#define LIBM1(name, function) \
  const char* k_##name(const Arg* args, int) { return libm1(args, #name, function); }
#define LIBM2(name, function)                                  \
  const char* k_##name(const Arg* args, int) {                 \
    static constexpr Steps steps{each2<float>, each2<double>}; \
    return libm2(args, steps, #name, function);                \
  }
#define INTEGER2(name, function)                                              \
  const char* k_##name(const Arg* args, int) {                                \
    static constexpr Steps steps{nullptr, nullptr, whole2<int64_t, function>, \
                                 whole2<uint64_t, function>};                 \
    return libm2(args, steps, #name, nullptr);                                \
  }
#define DIVISION(name, function)                                                         \
  const char* k_##name(const Arg* args, int) {                                           \
    static constexpr Steps steps{each2<float>, each2<double>, whole2<int64_t, function>, \
                                 whole2<uint64_t, function>};                            \
    const View* views[] = {args[0].a, args[1].a, args[2].a};                             \
    if (const char* error = differ(views, 3)) return error;                              \
    if (has_zero(*args[2].a)) return "expected a divisor that is not 0, got 0";          \
    return libm2(args, steps, #name, function);                                          \
  }
#include "../ops/elementwise.def"

// --- powers
// -------------------------------------------------------------------------------------------------

template <class T>
TL_INLINE T power_of(T base, T exponent) {
  if constexpr (T(-1) < T(0)) {
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
  }
  uint64_t y = 1, b = static_cast<uint64_t>(base), e = static_cast<uint64_t>(exponent);
  for (; e; e >>= 1, b *= b) {
    if (e & 1) y *= b;
  }
  return static_cast<T>(y);
}
int64_t power(int64_t a, int64_t b) { return power_of(a, b); }
uint64_t power(uint64_t a, uint64_t b) { return power_of(a, b); }

void power_single(void* o, const void* const* in, int64_t n, const double*) {
  float* out = static_cast<float*>(o);
  const float *a = static_cast<const float*>(in[0]), *b = static_cast<const float*>(in[1]);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, pow(load(a + i), load(b + i)));
  if (int m = static_cast<int>(n - i))
    store_part(out + i, pow(load_part(a + i, m), load_part(b + i, m)), m);
}

// Exponents that are a few operations, exactly as the library's pow rounds them or better.
enum Simple { kSquare, kCube, kRoot, kInverse, kInverseRoot, kInverseSquare, kSimple };
constexpr double kExponents[kSimple] = {2, 3, 0.5, -1, -0.5, -2};

template <class T, int which>
void simple(void* o, const void* const* in, int64_t n, const double*) {
  T* out = static_cast<T*>(o);
  const T* x = static_cast<const T*>(in[0]);
  TL_IVDEP
  for (int64_t i = 0; i < n; ++i) {
    T v = x[i];
    if constexpr (which == kSquare) v = v * v;
    if constexpr (which == kCube) v = v * v * v;
    if constexpr (which == kRoot) v = __builtin_sqrt(v);
    if constexpr (which == kInverse) v = T(1) / v;
    if constexpr (which == kInverseRoot) v = T(1) / T(__builtin_sqrt(v));
    if constexpr (which == kInverseSquare) v = T(1) / (v * v);
    out[i] = v;
  }
}
#define TL_SIMPLE(T) \
  {simple<T, 0>, simple<T, 1>, simple<T, 2>, simple<T, 3>, simple<T, 4>, simple<T, 5>}
constexpr Step kSimpleSteps[2][kSimple] = {TL_SIMPLE(float), TL_SIMPLE(double)};

const char* k_pow(const Arg* args, int) {
  static constexpr Steps steps{power_single, each2<double>, whole2<int64_t, power>,
                               whole2<uint64_t, power>};
  const View& exponent = *args[2].a;
  if (is_float(exponent.dtype) && bytes_of(exponent.dtype) > 1 && is_number(exponent)) {
    double value = 0;
    float narrow = 0;
    Form form = reading(exponent.dtype, wide_of(exponent.dtype));
    if (exponent.dtype == DType::f64) {
      value = *exponent.ptr<double>();
    } else {
      form.load(exponent.data, 0, &narrow, 1);
      value = static_cast<double>(narrow);
    }
    for (int i = 0; i < kSimple; ++i) {
      if (value != kExponents[i]) continue;
      Steps one{kSimpleSteps[0][i], kSimpleSteps[1][i]};
      return run_op(args, 1, one, "pow");
    }
  }
  return libm2(args, steps, "pow", [](double a, double b) { return __builtin_pow(a, b); });
}

// --- neighbours: floats of one sign are ordered as their bits are
// -------------------------------------------------------------------------------------------------

template <class Bits, int mantissa>
void neighbours(void* o, const void* const* in, int64_t n, const double*) {
  constexpr Bits kSign = Bits(1) << (8 * sizeof(Bits) - 1);
  constexpr Bits kInfinity = Bits(kSign - 1) >> mantissa << mantissa;
  Bits* out = static_cast<Bits*>(o);
  const Bits *a = static_cast<const Bits*>(in[0]), *b = static_cast<const Bits*>(in[1]);
  for (int64_t i = 0; i < n; ++i) {
    Bits x = a[i], to = b[i], size = x & Bits(kSign - 1), goal = to & Bits(kSign - 1);
    if (size > kInfinity || goal > kInfinity) {
      out[i] = size > kInfinity ? x : to;
    } else if (x == to || (size == 0 && goal == 0)) {
      out[i] = to;
    } else if (size == 0) {
      out[i] = static_cast<Bits>((to & kSign) | 1);
    } else {
      bool away = (x & kSign) == (to & kSign) && goal > size;
      out[i] = static_cast<Bits>(away ? x + 1 : x - 1);
    }
  }
}

const char* k_nextafter(const Arg* args, int) {
  const View* views[] = {args[0].a, args[1].a, args[2].a};
  DType d = views[0]->dtype;
  Step step = d == DType::f32    ? neighbours<uint32_t, 23>
              : d == DType::f64  ? neighbours<uint64_t, 52>
              : d == DType::f16  ? neighbours<uint16_t, 10>
              : d == DType::bf16 ? neighbours<uint16_t, 7>
                                 : nullptr;
  if (!step || views[1]->dtype != d || views[2]->dtype != d) return "no kernel for this dtype";
  if (const char* error = differ(views, 3)) return error;
  Form form = reading(d, Wide::raw);
  Form forms[] = {form, form, form};
  run_steps(views, forms, 2, step, nullptr);
  return nullptr;
}

}  // namespace

void register_elementwise_cold(KernelTable& t);
void register_elementwise_cold(KernelTable& t) {
#define LIBM1(name, function) t.add(#name, "out:A x:A", k_##name);
#define LIBM2(name, function) t.add(#name, "out:A a:A b:A", k_##name);
#define INTEGER2 LIBM2
#define DIVISION LIBM2
#include "../ops/elementwise.def"
  t.add("pow", "out:A a:A b:A", k_pow);
  t.add("nextafter", "out:A a:A b:A", k_nextafter);
}

}  // namespace tl::TL_ISA
