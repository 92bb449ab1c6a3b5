// Arithmetic on complex64: products and sums in float, everything else through C's complex
// functions of double.
#include "elementwise.h"

namespace tl::TL_ISA {
namespace {

typedef __complex__ double zd;

TL_INLINE zd make(c64 x) {
  zd z;
  __real__ z = static_cast<double>(x.re);
  __imag__ z = static_cast<double>(x.im);
  return z;
}
TL_INLINE c64 narrow(zd z) {
  return {static_cast<float>(__real__ z), static_cast<float>(__imag__ z)};
}
TL_INLINE zd from(double re, double im) {
  zd z;
  __real__ z = re;
  __imag__ z = im;
  return z;
}

template <c64 (*f)(c64)>
void complex_unary(void* o, const void* const* in, int64_t n, const double*) {
  c64* out = static_cast<c64*>(o);
  const c64* x = static_cast<const c64*>(in[0]);
  TL_IVDEP
  for (int64_t i = 0; i < n; ++i) out[i] = f(x[i]);
}
template <float (*f)(c64)>
void complex_to_real(void* o, const void* const* in, int64_t n, const double*) {
  float* out = static_cast<float*>(o);
  const c64* x = static_cast<const c64*>(in[0]);
  for (int64_t i = 0; i < n; ++i) out[i] = f(x[i]);
}
template <c64 (*f)(c64, c64)>
void complex_binary(void* o, const void* const* in, int64_t n, const double*) {
  c64* out = static_cast<c64*>(o);
  const c64 *a = static_cast<const c64*>(in[0]), *b = static_cast<const c64*>(in[1]);
  TL_IVDEP
  for (int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
}
template <bool (*f)(c64, c64)>
void complex_compare(void* o, const void* const* in, int64_t n, const double*) {
  bool* out = static_cast<bool*>(o);
  const c64 *a = static_cast<const c64*>(in[0]), *b = static_cast<const c64*>(in[1]);
  for (int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
}
template <bool (*f)(c64)>
void complex_test(void* o, const void* const* in, int64_t n, const double*) {
  bool* out = static_cast<bool*>(o);
  const c64* x = static_cast<const c64*>(in[0]);
  for (int64_t i = 0; i < n; ++i) out[i] = f(x[i]);
}

TL_INLINE c64 times(c64 a, c64 b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
TL_INLINE zd over(zd a, zd b) { return a / b; }

zd sigmoid(zd x) { return over(from(1, 0), 1. + __builtin_cexp(-x)); }
zd power(zd a, zd b) {
  if (__real__ b == 0 && __imag__ b == 0) return from(1, 0);
  if (__real__ a == 0 && __imag__ a == 0)
    return __real__ b > 0 ? from(0, 0) : from(__builtin_nan(""), __builtin_nan(""));
  if (__imag__ b == 0 && __real__ b == 2) return a * a;
  return __builtin_cpow(a, b);
}

#define TL_C1(name, expression)             \
  {#name, complex_unary<+[](c64 x) -> c64 { \
     [[maybe_unused]] zd z = make(x);       \
     return expression;                     \
   }>,                                      \
   false}
#define TL_REAL(name, expression) \
  {#name, complex_to_real<+[](c64 x) -> float { return static_cast<float>(expression); }>, true}
#define TL_C2(name, expression) \
  {#name, complex_binary<+[](c64 a, c64 b) -> c64 { return expression; }>, false}
#define TL_TEST(name, expression) \
  {#name, complex_compare<+[](c64 a, c64 b) -> bool { return expression; }>, false}
#define TL_CHECK(name, expression) \
  {#name, complex_test<+[](c64 x) -> bool { return expression; }>, false}

struct ComplexKernel {
  const char* name;
  Step step;
  bool real;
};

constexpr ComplexKernel kKernels[] = {
    TL_C1(neg, (c64{-x.re, -x.im})),
    TL_C1(conj, (c64{x.re, -x.im})),
    TL_C1(square, times(x, x)),
    TL_C1(sign, (x.re == 0 && x.im == 0 ? c64{0, 0} : narrow(z / __builtin_cabs(z)))),
    TL_C1(reciprocal, narrow(over(from(1, 0), z))),
    TL_C1(exp, narrow(__builtin_cexp(z))),
    TL_C1(exp2, narrow(__builtin_cexp(z * 0.69314718055994530942))),
    TL_C1(expm1, narrow(__builtin_cexp(z) - 1.)),
    TL_C1(log, narrow(__builtin_clog(z))),
    TL_C1(log2, narrow(__builtin_clog(z) * 1.44269504088896340736)),
    TL_C1(log10, narrow(__builtin_clog(z) * 0.43429448190325182765)),
    TL_C1(log1p, narrow(__builtin_clog(1. + z))),
    TL_C1(sqrt, narrow(__builtin_csqrt(z))),
    TL_C1(rsqrt, narrow(over(from(1, 0), __builtin_csqrt(z)))),
    TL_C1(sin, narrow(__builtin_csin(z))),
    TL_C1(cos, narrow(__builtin_ccos(z))),
    TL_C1(tan, narrow(__builtin_ctan(z))),
    TL_C1(asin, narrow(__builtin_casin(z))),
    TL_C1(acos, narrow(__builtin_cacos(z))),
    TL_C1(atan, narrow(__builtin_catan(z))),
    TL_C1(sinh, narrow(__builtin_csinh(z))),
    TL_C1(cosh, narrow(__builtin_ccosh(z))),
    TL_C1(tanh, narrow(__builtin_ctanh(z))),
    TL_C1(asinh, narrow(__builtin_casinh(z))),
    TL_C1(acosh, narrow(__builtin_cacosh(z))),
    TL_C1(atanh, narrow(__builtin_catanh(z))),
    TL_C1(sigmoid, narrow(sigmoid(z))),
    TL_C1(silu, narrow(z* sigmoid(z))),
    TL_REAL(abs, __builtin_hypot(static_cast<double>(x.re), static_cast<double>(x.im))),
    TL_REAL(angle, __builtin_atan2(static_cast<double>(x.im), static_cast<double>(x.re))),
    TL_C2(add, (c64{a.re + b.re, a.im + b.im})),
    TL_C2(sub, (c64{a.re - b.re, a.im - b.im})),
    TL_C2(mul, times(a, b)),
    TL_C2(div, narrow(over(make(a), make(b)))),
    TL_C2(pow, narrow(power(make(a), make(b)))),
    TL_TEST(eq, a.re == b.re && a.im == b.im),
    TL_TEST(ne, a.re != b.re || a.im != b.im),
    TL_TEST(logical_and, (a.re != 0 || a.im != 0) && (b.re != 0 || b.im != 0)),
    TL_TEST(logical_or, a.re != 0 || a.im != 0 || b.re != 0 || b.im != 0),
    TL_TEST(logical_xor, (a.re != 0 || a.im != 0) != (b.re != 0 || b.im != 0)),
    TL_CHECK(logical_not, x.re == 0 && x.im == 0),
    TL_CHECK(isnan, x.re != x.re || x.im != x.im),
    TL_CHECK(isfinite, __builtin_isfinite(x.re) && __builtin_isfinite(x.im)),
    TL_CHECK(isinf, __builtin_isinf(x.re) || __builtin_isinf(x.im)),
};

// out = re + i im, all of one shape.
const char* join(const Arg* args, int) {
  const View* views[] = {args[0].a, args[1].a, args[2].a};
  if (views[0]->dtype != DType::complex64 || views[1]->dtype != DType::f32 ||
      views[2]->dtype != DType::f32)
    return "expected two arrays of f32 and an output of complex64";
  if (const char* error = differ(views, 3)) return error;
  Conversion part = reading(DType::f32, ComputeType::raw);
  Conversion forms[] = {reading(DType::complex64, ComputeType::raw), part, part};
  run_steps(
      views, forms, 2,
      [](void* o, const void* const* in, int64_t n, const double*) {
        c64* out = static_cast<c64*>(o);
        const float *re = static_cast<const float*>(in[0]), *im = static_cast<const float*>(in[1]);
        for (int64_t i = 0; i < n; ++i) out[i] = {re[i], im[i]};
      },
      nullptr);
  return nullptr;
}

template <int row>
const char* own(const Arg* args, int) {
  return run_op(args, 1, {}, row == 0 ? "conj" : "angle");
}

}  // namespace

Step complex_step(const char* name, bool* real) {
  for (const ComplexKernel& row : kKernels) {
    if (strcmp(row.name, name) != 0) continue;
    *real = row.real;
    return row.step;
  }
  return nullptr;
}

void register_complex(KernelTable& t);
void register_complex(KernelTable& t) {
  t.add("complex", "out:out re:in im:in", join);
  t.add("conj", "out:out x:in", own<0>);
  t.add("angle", "out:out x:in", own<1>);
}

}  // namespace tl::TL_ISA
