// The hot ops of elementwise.def: their loops for float vectors, doubles and integers.
#include "elementwise.h"
#include "gemm_linear.h"
#include "simd/math.h"

namespace tl::TL_ISA {
namespace {

TL_INLINE vf constant(vf, double c) { return splat(static_cast<float>(c)); }
TL_INLINE double constant(double, double c) { return c; }
TL_INLINE float constant(float, double c) { return static_cast<float>(c); }
TL_INLINE bool signbit(float x) { return __builtin_signbit(x); }
TL_INLINE bool signbit(double x) { return __builtin_signbit(x); }
template <class T>
TL_INLINE bool signbit(T x) {
  return x < T(0);
}

// --- loops; F is a lambda without captures
// -------------------------------------------------------------------------------------------------

// A chain of dependent operations leaves most of the processor idle: where one is long, four
// vectors are on their way at once.
constexpr bool is_long(std::string_view op) {
  for (std::string_view name :
       {"exp", "tanh", "erf", "sigmoid", "silu", "gelu", "gelu_tanh", "quick_gelu"})
    if (op == name) return kLanes >= 8;
  return false;
}

template <class F>
void f32_unary(void* o, const void* const* in, int64_t n, const double*) {
  float* out = static_cast<float*>(o);
  const float* x = static_cast<const float*>(in[0]);
  int64_t i = 0;
  if constexpr (F::kLong) {
    constexpr int kAtOnce = 4;
    for (; i + kAtOnce * kLanes <= n; i += kAtOnce * kLanes) {
      vf y[kAtOnce];
#pragma GCC unroll 4
      for (int k = 0; k < kAtOnce; ++k) y[k] = F{}(load(x + i + k * kLanes));
#pragma GCC unroll 4
      for (int k = 0; k < kAtOnce; ++k) store(out + i + k * kLanes, y[k]);
    }
  }
  for (; i + kLanes <= n; i += kLanes) store(out + i, F{}(load(x + i)));
  if (int m = static_cast<int>(n - i)) store_part(out + i, F{}(load_part(x + i, m)), m);
}

template <class F>
void f32_numbers(void* o, const void* const* in, int64_t n, const double* k) {
  float* out = static_cast<float*>(o);
  const float* x = static_cast<const float*>(in[0]);
  vf p = constant(vf{}, k[0]), q = constant(vf{}, k[1]), r = constant(vf{}, k[2]);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, F{}(load(x + i), p, q, r));
  if (int m = static_cast<int>(n - i)) store_part(out + i, F{}(load_part(x + i, m), p, q, r), m);
}

template <class F>
void f32_binary(void* o, const void* const* in, int64_t n, const double*) {
  float* out = static_cast<float*>(o);
  const float *a = static_cast<const float*>(in[0]), *b = static_cast<const float*>(in[1]);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, F{}(load(a + i), load(b + i)));
  if (int m = static_cast<int>(n - i))
    store_part(out + i, F{}(load_part(a + i, m), load_part(b + i, m)), m);
}

template <class F>
void f32_ternary(void* o, const void* const* in, int64_t n, const double* k) {
  float* out = static_cast<float*>(o);
  const float *a = static_cast<const float*>(in[0]), *b = static_cast<const float*>(in[1]),
              *c = static_cast<const float*>(in[2]);
  vf p = constant(vf{}, k[0]);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    store(out + i, F{}(load(a + i), load(b + i), load(c + i), p));
  if (int m = static_cast<int>(n - i))
    store_part(out + i, F{}(load_part(a + i, m), load_part(b + i, m), load_part(c + i, m), p), m);
}

template <class T, class O, class F>
void scalar_unary(void* o, const void* const* in, int64_t n, const double*) {
  O* out = static_cast<O*>(o);
  const T* x = static_cast<const T*>(in[0]);
  TL_IVDEP
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<O>(F{}(x[i]));
}

template <class F>
void f64_numbers(void* o, const void* const* in, int64_t n, const double* k) {
  double* out = static_cast<double*>(o);
  const double* x = static_cast<const double*>(in[0]);
  double p = k[0], q = k[1], r = k[2];
  TL_IVDEP
  for (int64_t i = 0; i < n; ++i) out[i] = F{}(x[i], p, q, r);
}

// The type to compute in. Bare 16 bits would turn into int, whose products may overflow.
template <class T>
struct IntegerPromotion {
  using Type = T;
};
template <>
struct IntegerPromotion<uint16_t> {
  using Type = uint32_t;
};

template <class T, class O, class F>
void scalar_binary(void* o, const void* const* in, int64_t n, const double*) {
  O* out = static_cast<O*>(o);
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]);
  using R = typename IntegerPromotion<T>::Type;
  TL_IVDEP
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<O>(F{}(R{a[i]}, R{b[i]}));
}

template <class F>
void f64_ternary(void* o, const void* const* in, int64_t n, const double* k) {
  double* out = static_cast<double*>(o);
  const double *a = static_cast<const double*>(in[0]), *b = static_cast<const double*>(in[1]),
               *c = static_cast<const double*>(in[2]);
  double p = k[0];
  TL_IVDEP
  for (int64_t i = 0; i < n; ++i) out[i] = F{}(a[i], b[i], c[i], p);
}

#define TL_F1(expression) decltype([](auto x) { return expression; })
// An op of one operand, by its name.
#define TL_UNARY(name, expression)                \
  struct F_##name : TL_F1(expression) {           \
    static constexpr bool kLong = is_long(#name); \
  }
#define TL_FN(expression)                                               \
  decltype([]<class V>(V x, [[maybe_unused]] V p, [[maybe_unused]] V q, \
                       [[maybe_unused]] V r) -> V { return expression; })
#define TL_F2(expression) decltype([](auto a, auto b) { return expression; })
#define TL_F3(expression) \
  decltype([]<class V>(V a, V b, V c, [[maybe_unused]] V p) -> V { return expression; })

// A kernel of `inputs` arrays, then `numbers` constants.
template <int inputs, int numbers>
TL_INLINE const char* kernel(const Arg* args, const Steps& steps, const char* name) {
  double k[3] = {};
  for (int i = 0; i < numbers; ++i) k[i] = args[1 + inputs + i].f;
  return run_op(args, inputs, steps, name, k);
}

// Loops over f64, which a hot set leaves to the plainest.
#ifdef TL_HOT
#define DOUBLES(...) nullptr
#else
#define DOUBLES(...) __VA_ARGS__
#endif
#define KERNEL(name, inputs, numbers, ...)              \
  const char* k_##name(const Arg* args, int) {          \
    static constexpr Steps steps{__VA_ARGS__};          \
    return kernel<inputs, numbers>(args, steps, #name); \
  }
#define UNARY_FLOAT(name, expression, ...) \
  TL_UNARY(name, expression);              \
  KERNEL(name, 1, 0, f32_unary<F_##name>, DOUBLES(scalar_unary<double, double, F_##name>))
#define UNARY(name, expression, ...)                                                       \
  TL_UNARY(name, expression);                                                              \
  KERNEL(name, 1, 0, f32_unary<F_##name>, DOUBLES(scalar_unary<double, double, F_##name>), \
         scalar_unary<int64_t, int64_t, F_##name>, scalar_unary<uint64_t, uint64_t, F_##name>)
#define UNARY_BITS(name, expression, ...)                                                  \
  TL_UNARY(name, expression);                                                              \
  KERNEL(name, 1, 0, f32_unary<F_##name>, DOUBLES(scalar_unary<double, double, F_##name>), \
         scalar_unary<uint64_t, uint64_t, F_##name>, scalar_unary<uint64_t, uint64_t, F_##name>)
#define UNARY_NUMBERS(name, expression, ...) \
  using F_##name = TL_FN(expression);        \
  KERNEL(name, 1, 3, f32_numbers<F_##name>, DOUBLES(f64_numbers<F_##name>))
#define TEST(name, expression, ...)                       \
  using F_##name = TL_F1(expression);                     \
  KERNEL(name, 1, 0, scalar_unary<float, bool, F_##name>, \
         DOUBLES(scalar_unary<double, bool, F_##name>), nullptr, nullptr, {}, true)
#define TEST_ALL(name, expression, ...)                                                        \
  using F_##name = TL_F1(expression);                                                          \
  KERNEL(name, 1, 0, scalar_unary<float, bool, F_##name>,                                      \
         DOUBLES(scalar_unary<double, bool, F_##name>), scalar_unary<int64_t, bool, F_##name>, \
         scalar_unary<uint64_t, bool, F_##name>, {}, true)
#define BINARY_FLOAT(name, expression, ...) \
  using F_##name = TL_F2(expression);       \
  KERNEL(name, 2, 0, f32_binary<F_##name>, DOUBLES(scalar_binary<double, double, F_##name>))
#define BINARY(name, expression, ...)                                                        \
  using F_##name = TL_F2(expression);                                                        \
  KERNEL(name, 2, 0, f32_binary<F_##name>, DOUBLES(scalar_binary<double, double, F_##name>), \
         scalar_binary<int64_t, int64_t, F_##name>, scalar_binary<uint64_t, uint64_t, F_##name>)
#define BINARY_BITS(name, expression, ...)                                                      \
  using F_##name = TL_F2(expression);                                                           \
  KERNEL(                                                                                       \
      name, 2, 0, f32_binary<F_##name>, DOUBLES(scalar_binary<double, double, F_##name>),       \
      scalar_binary<uint64_t, uint64_t, F_##name>, scalar_binary<uint64_t, uint64_t, F_##name>, \
      {scalar_binary<uint8_t, uint8_t, F_##name>, scalar_binary<uint16_t, uint16_t, F_##name>,  \
       scalar_binary<uint32_t, uint32_t, F_##name>, scalar_binary<uint64_t, uint64_t, F_##name>})
#define COMPARE(name, expression, ...)                                                           \
  using F_##name = TL_F2(expression);                                                            \
  KERNEL(name, 2, 0, scalar_binary<float, bool, F_##name>,                                       \
         DOUBLES(scalar_binary<double, bool, F_##name>), scalar_binary<int64_t, bool, F_##name>, \
         scalar_binary<uint64_t, bool, F_##name>, {}, true)
#define BITWISE(name, expression, ...)                                                            \
  using F_##name = TL_F2(expression);                                                             \
  KERNEL(                                                                                         \
      name, 2, 0, nullptr, nullptr, nullptr, nullptr,                                             \
      {scalar_binary<uint8_t, uint8_t, F_##name>, scalar_binary<uint16_t, uint16_t, F_##name>,    \
       scalar_binary<uint32_t, uint32_t, F_##name>, scalar_binary<uint64_t, uint64_t, F_##name>}, \
      false, scalar_binary<bool8, bool, F_##name>)
#define TERNARY(name, expression, ...) \
  using F_##name = TL_F3(expression);  \
  KERNEL(name, 3, 1, f32_ternary<F_##name>, DOUBLES(f64_ternary<F_##name>))
#include "../ops/elementwise.def"

// --- where: the words of one of two operands
// -------------------------------------------------------------------------------------------------

template <class Word>
void choose(void* o, const void* const* in, int64_t n, const double*) {
  Word* out = static_cast<Word*>(o);
  const uint8_t* mask = static_cast<const uint8_t*>(in[0]);
  const Word *a = static_cast<const Word*>(in[1]), *b = static_cast<const Word*>(in[2]);
  TL_IVDEP
  for (int64_t i = 0; i < n; ++i) out[i] = mask[i] ? a[i] : b[i];
}

// out = condition ? a : b; all of one shape.
const char* where(const Arg* args, int) {
  const View* views[] = {args[0].a, args[1].a, args[2].a, args[3].a};
  DType dtype = views[0]->dtype;
  if (views[1]->dtype != DType::bool_) return "condition must be bool";
  if (is_block(dtype) || views[2]->dtype != dtype || views[3]->dtype != dtype)
    return "no kernel for this dtype";
  if (const char* error = differ(views, 4)) return error;
  Conversion words = reading(dtype, ComputeType::raw);
  Conversion forms[] = {words, reading(DType::bool_, ComputeType::raw), words, words};
  int bytes = bytes_of(dtype);
  run_steps(views, forms, 3,
            bytes == 1   ? choose<uint8_t>
            : bytes == 2 ? choose<uint16_t>
            : bytes == 4 ? choose<uint32_t>
                         : choose<uint64_t>,
            nullptr);
  return nullptr;
}

void f32_relu6(void* o, const void* const* in, int64_t n, const double*) {
  constexpr double kRange[] = {0, 6, 0};
  f32_numbers<F_clamp>(o, in, n, kRange);
}

// The loop over floats of an op by its operands and constants.
template <class F, int operands, int constants>
constexpr Step f32_loop() {
  if constexpr (operands == 3)
    return f32_ternary<F>;
  else if constexpr (operands == 2)
    return f32_binary<F>;
  else if constexpr (constants == 3)
    return f32_numbers<F>;
  else
    return f32_unary<F>;
}

}  // namespace

// By the line of ops/chain.def.
Step chain_step(int code);
Step chain_step(int code) {
  static constexpr Step loops[] = {
#define STEP(name, operands, constants) f32_loop<F_##name, operands, constants>(),
#include "../ops/chain.def"
  };
  return loops[code - 1];
}

LineFn line_function(int64_t act) {
  switch (act) {
    case 1:
      return f32_unary<F_gelu>;
    case 2:
      return f32_unary<F_gelu_tanh>;
    case 3:
      return f32_unary<F_quick_gelu>;
    case 4:
      return f32_unary<F_relu>;
    case 5:
      return f32_unary<F_silu>;
    case 6:
      return f32_relu6;
    case 7:
      return f32_unary<F_hardswish>;
    case 8:
      return f32_unary<F_hardsigmoid>;
    case 9:
      return f32_unary<F_sigmoid>;
    default:
      return nullptr;
  }
}

void register_elementwise_cold(KernelTable& t);
void register_elementwise_chain(KernelTable& t);
void register_elementwise(KernelTable& t) {
#define UNARY(name, expression, ...) t.add(#name, "out:out x:in", k_##name);
#define BINARY(name, expression, ...) t.add(#name, "out:out a:in b:in", k_##name);
#define UNARY_NUMBERS(name, expression, ...) t.add(#name, "out:out x:in p:f q:f r:f", k_##name);
#define TERNARY(name, expression, ...) t.add(#name, "out:out a:in b:in c:in p:f", k_##name);
#define UNARY_FLOAT UNARY
#define UNARY_BITS UNARY
#define TEST UNARY
#define TEST_ALL UNARY
#define BINARY_FLOAT BINARY
#define BINARY_BITS BINARY
#define COMPARE BINARY
#define BITWISE BINARY
#include "../ops/elementwise.def"
  t.add("where", "out:out condition:in a:in b:in", where);
#ifndef TL_HOT
  register_elementwise_cold(t);
#endif
  register_elementwise_chain(t);
}

}  // namespace tl::TL_ISA
