// The ops of elementwise.def that are seldom hot: functions of doubles through one loop, integer
// division and shifts, powers, and neighbours of floats.
#include "bessel.h"
#include "elementwise.h"
#include "polynomials.h"
#include "simd/math.h"
#include "special.h"

namespace tl::TL_ISA {
namespace {

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

uint64_t gcd_of(uint64_t a, uint64_t b) {
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
int64_t gcd_of(int64_t a, int64_t b) {
  return static_cast<int64_t>(gcd_of(size_of(a), size_of(b)));
}
uint64_t lcm_of(uint64_t a, uint64_t b) {
  uint64_t g = gcd_of(a, b);
  return g ? a / g * b : 0;
}
int64_t lcm_of(int64_t a, int64_t b) {
  int64_t y = static_cast<int64_t>(lcm_of(size_of(a), size_of(b)));
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
void scalar_unary(void* o, const void* const* in, int64_t n, const double* numbers) {
  Fn1 f;
  memcpy(&f, numbers, sizeof f);
  T* out = static_cast<T*>(o);
  const T* x = static_cast<const T*>(in[0]);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(f(static_cast<double>(x[i])));
}
template <class T>
void scalar_binary(void* o, const void* const* in, int64_t n, const double* numbers) {
  Fn2 f;
  memcpy(&f, numbers, sizeof f);
  T* out = static_cast<T*>(o);
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]);
  for (int64_t i = 0; i < n; ++i)
    out[i] = static_cast<T>(f(static_cast<double>(a[i]), static_cast<double>(b[i])));
}
template <class T, T (*f)(T, T)>
void integer_binary(void* o, const void* const* in, int64_t n, const double*) {
  T* out = static_cast<T*>(o);
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]);
  for (int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
}

constexpr Steps kSteps1{scalar_unary<float>, scalar_unary<double>};

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
  ComputeType wide = compute_type(x.dtype);
  Conversion forms[] = {reading(DType::bool_, ComputeType::raw), reading(x.dtype, wide)};
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

#define LIBM1(name, function, ...) \
  const char* k_##name(const Arg* args, int) { return libm1(args, #name, function); }
#define LIBM2(name, function, ...)                                             \
  const char* k_##name(const Arg* args, int) {                                 \
    static constexpr Steps steps{scalar_binary<float>, scalar_binary<double>}; \
    return libm2(args, steps, #name, function);                                \
  }
#define INTEGER2(name, function, ...)                                                 \
  const char* k_##name(const Arg* args, int) {                                        \
    static constexpr Steps steps{nullptr, nullptr, integer_binary<int64_t, function>, \
                                 integer_binary<uint64_t, function>};                 \
    return libm2(args, steps, #name, nullptr);                                        \
  }
#define DIVISION(name, function, ...)                                           \
  const char* k_##name(const Arg* args, int) {                                  \
    static constexpr Steps steps{scalar_binary<float>, scalar_binary<double>,   \
                                 integer_binary<int64_t, function>,             \
                                 integer_binary<uint64_t, function>};           \
    const View* views[] = {args[0].a, args[1].a, args[2].a};                    \
    if (const char* error = differ(views, 3)) return error;                     \
    if (has_zero(*args[2].a)) return "expected a divisor that is not 0, got 0"; \
    return libm2(args, steps, #name, function);                                 \
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

void power_f32(void* o, const void* const* in, int64_t n, const double*) {
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
  static constexpr Steps steps{power_f32, scalar_binary<double>, integer_binary<int64_t, power>,
                               integer_binary<uint64_t, power>};
  const View& exponent = *args[2].a;
  if (is_float(exponent.dtype) && bytes_of(exponent.dtype) > 1 && is_number(exponent)) {
    double value = 0;
    float narrow = 0;
    Conversion form = reading(exponent.dtype, compute_type(exponent.dtype));
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
  Conversion form = reading(d, ComputeType::raw);
  Conversion forms[] = {form, form, form};
  run_steps(views, forms, 2, step, nullptr);
  return nullptr;
}

}  // namespace

void register_elementwise_cold(KernelTable& t);
void register_elementwise_cold(KernelTable& t) {
#define LIBM1(name, function, ...) t.add(#name, "out:out x:in", k_##name);
#define LIBM2(name, function, ...) t.add(#name, "out:out a:in b:in", k_##name);
#define INTEGER2 LIBM2
#define DIVISION LIBM2
#include "../ops/elementwise.def"
  t.add("pow", "out:out a:in b:in", k_pow);
  t.add("nextafter", "out:out a:in b:in", k_nextafter);
}

}  // namespace tl::TL_ISA
