// The ops of elementwise.def over every dtype and layout.
#include "../core/kernel.h"
#include "simd/math.h"
#include "strided.h"

namespace tl::TL_ISA {
namespace {

// --- inner loops
// -----------------------------------------------------------------------------------------------------------

template <class T>
constexpr bool kVector = __is_same(T, float) || __is_same(T, f16) || __is_same(T, bf16);

// n ≤ kLanes elements with a byte stride.
template <class T>
TL_INLINE vf load_strided(const std::byte* p, int64_t stride, int n) {
  if (stride == 0) return splat(to_float(*reinterpret_cast<const T*>(p)));
  if (stride == sizeof(T)) {
    return n == kLanes ? load(reinterpret_cast<const T*>(p))
                       : load_part(reinterpret_cast<const T*>(p), n);
  }
  T buffer[kLanes] = {};
  for (int i = 0; i < n; ++i) buffer[i] = *reinterpret_cast<const T*>(p + i * stride);
  return load(buffer);
}
template <class T>
TL_INLINE void store_strided(std::byte* p, int64_t stride, vf v, int n) {
  if (stride == sizeof(T)) {
    n == kLanes ? store(reinterpret_cast<T*>(p), v) : store_part(reinterpret_cast<T*>(p), v, n);
    return;
  }
  T buffer[kLanes];
  store(buffer, v);
  for (int i = 0; i < n; ++i) *reinterpret_cast<T*>(p + i * stride) = buffer[i];
}

template <class T, class F>
void unary_inner(std::byte* const* p, const int64_t* s, int64_t n, F f) {
  if constexpr (kVector<T>) {
    if (s[0] == sizeof(T) && s[1] == sizeof(T)) {
      T* out = reinterpret_cast<T*>(p[0]);
      const T* x = reinterpret_cast<const T*>(p[1]);
      int64_t i = 0;
      for (; i + kLanes <= n; i += kLanes) store(out + i, f(load(x + i)));
      if (i < n) store_part(out + i, f(load_part(x + i, int(n - i))), int(n - i));
      return;
    }
    for (int64_t i = 0; i < n; i += kLanes) {
      int m = n - i < kLanes ? int(n - i) : kLanes;
      store_strided<T>(p[0] + i * s[0], s[0], f(load_strided<T>(p[1] + i * s[1], s[1], m)), m);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      *reinterpret_cast<T*>(p[0] + i * s[0]) =
          static_cast<T>(f(*reinterpret_cast<const T*>(p[1] + i * s[1])));
    }
  }
}

template <class T, class O, class F>
void binary_scalar(std::byte* const* p, const int64_t* s, int64_t n, F f) {
  if (s[0] == sizeof(O) && s[1] == sizeof(T) && s[2] == sizeof(T)) {
    O* out = reinterpret_cast<O*>(p[0]);
    const T *a = reinterpret_cast<const T*>(p[1]), *b = reinterpret_cast<const T*>(p[2]);
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<O>(f(a[i], b[i]));
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    *reinterpret_cast<O*>(p[0] + i * s[0]) =
        static_cast<O>(f(*reinterpret_cast<const T*>(p[1] + i * s[1]),
                         *reinterpret_cast<const T*>(p[2] + i * s[2])));
  }
}

template <class T, class F>
void binary_inner(std::byte* const* p, const int64_t* s, int64_t n, F f) {
  if constexpr (kVector<T>) {
    T* out = reinterpret_cast<T*>(p[0]);
    const T *a = reinterpret_cast<const T*>(p[1]), *b = reinterpret_cast<const T*>(p[2]);
    constexpr int64_t unit = sizeof(T);
    if (s[0] == unit && (s[1] == unit || s[1] == 0) && (s[2] == unit || s[2] == 0)) {
      int64_t i = 0;
      if (s[1] == unit && s[2] == unit) {
        for (; i + kLanes <= n; i += kLanes) store(out + i, f(load(a + i), load(b + i)));
      } else if (s[1] == unit) {
        vf y = splat(to_float(*b));
        for (; i + kLanes <= n; i += kLanes) store(out + i, f(load(a + i), y));
      } else {
        vf x = splat(to_float(*a));
        for (; i + kLanes <= n; i += kLanes)
          store(out + i, f(x, load_strided<T>(p[2] + i * s[2], s[2], kLanes)));
      }
      if (int m = int(n - i)) {
        store_part(
            out + i,
            f(load_strided<T>(p[1] + i * s[1], s[1], m), load_strided<T>(p[2] + i * s[2], s[2], m)),
            m);
      }
      return;
    }
    for (int64_t i = 0; i < n; i += kLanes) {
      int m = n - i < kLanes ? int(n - i) : kLanes;
      vf x = load_strided<T>(p[1] + i * s[1], s[1], m),
         y = load_strided<T>(p[2] + i * s[2], s[2], m);
      store_strided<T>(p[0] + i * s[0], s[0], f(x, y), m);
    }
  } else {
    binary_scalar<T, T>(p, s, n, f);
  }
}

template <class T, class F>
void compare_inner(std::byte* const* p, const int64_t* s, int64_t n, F f) {
  if constexpr (__is_same(T, f16) || __is_same(T, bf16)) {
    binary_scalar<T, bool>(p, s, n, [f](T a, T b) { return f(to_float(a), to_float(b)); });
  } else {
    binary_scalar<T, bool>(p, s, n, f);
  }
}

TL_INLINE vf constant(vf, double c) { return splat(static_cast<float>(c)); }
TL_INLINE double constant(double, double c) { return c; }

// --- dtype dispatch
// ----------------------------------------------------------------------------------------------------------

constexpr const char* kNoDtype = "no kernel for this dtype";

// f.template operator()<T>()
template <class F>
const char* for_float(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      f.template operator()<float>();
      return nullptr;
    case DType::f64:
      f.template operator()<double>();
      return nullptr;
    case DType::f16:
      f.template operator()<f16>();
      return nullptr;
    case DType::bf16:
      f.template operator()<bf16>();
      return nullptr;
    default:
      return kNoDtype;
  }
}
template <class F>
const char* for_integer(DType dtype, F f) {
  switch (dtype) {
    case DType::bool_:
      f.template operator()<bool>();
      return nullptr;
    case DType::u8:
      f.template operator()<uint8_t>();
      return nullptr;
    case DType::i8:
      f.template operator()<int8_t>();
      return nullptr;
    case DType::i16:
      f.template operator()<int16_t>();
      return nullptr;
    case DType::u16:
      f.template operator()<uint16_t>();
      return nullptr;
    case DType::i32:
      f.template operator()<int32_t>();
      return nullptr;
    case DType::u32:
      f.template operator()<uint32_t>();
      return nullptr;
    case DType::i64:
      f.template operator()<int64_t>();
      return nullptr;
    case DType::u64:
      f.template operator()<uint64_t>();
      return nullptr;
    default:
      return kNoDtype;
  }
}
// Where only the bits matter (sums, products, equality): one type per width serves signed and
// unsigned alike.
template <class F>
const char* for_bits(DType dtype, F f) {
  if (dtype == DType::bool_) {
    f.template operator()<bool>();
    return nullptr;
  }
  if (!is_integral(dtype)) return for_float(dtype, f);
  switch (bytes_of(dtype)) {
    case 1:
      f.template operator()<uint8_t>();
      return nullptr;
    case 2:
      f.template operator()<uint16_t>();
      return nullptr;
    case 4:
      f.template operator()<uint32_t>();
      return nullptr;
    default:
      f.template operator()<uint64_t>();
      return nullptr;
  }
}
template <class F>
const char* for_integer_bits(DType dtype, F f) {
  switch (is_integral(dtype) ? bytes_of(dtype) : 0) {
    case 1:
      f.template operator()<uint8_t>();
      return nullptr;
    case 2:
      f.template operator()<uint16_t>();
      return nullptr;
    case 4:
      f.template operator()<uint32_t>();
      return nullptr;
    case 8:
      f.template operator()<uint64_t>();
      return nullptr;
    default:
      return kNoDtype;
  }
}
template <class F>
const char* for_number(DType dtype, F f) {
  return is_float(dtype) ? for_float(dtype, f) : for_integer(dtype, f);
}

#define UNARY_KERNEL(name, expression, dispatch)                      \
  const char* k_##name(const Arg* args, int) {                        \
    Loop<2> loop({args[0].a, args[1].a});                             \
    return dispatch(args[1].a->dtype, [&]<class T>() {                \
      loop.run([](std::byte* const* p, const int64_t* s, int64_t n) { \
        unary_inner<T>(p, s, n, [](auto x) { return expression; });   \
      });                                                             \
    });                                                               \
  }
#define BINARY_KERNEL(name, expression, dispatch, inner)              \
  const char* k_##name(const Arg* args, int) {                        \
    Loop<3> loop({args[0].a, args[1].a, args[2].a});                  \
    return dispatch(args[1].a->dtype, [&]<class T>() {                \
      loop.run([](std::byte* const* p, const int64_t* s, int64_t n) { \
        inner<T>(p, s, n, [](auto a, auto b) { return expression; }); \
      });                                                             \
    });                                                               \
  }
#define UNARY(name, expression) UNARY_KERNEL(name, expression, for_number)
#define UNARY_FLOAT(name, expression) UNARY_KERNEL(name, expression, for_float)
#define BINARY(name, expression) BINARY_KERNEL(name, expression, for_number, binary_inner)
#define BINARY_FLOAT(name, expression) BINARY_KERNEL(name, expression, for_float, binary_inner)
#define COMPARE(name, expression) BINARY_KERNEL(name, expression, for_number, compare_inner)
#define UNARY_BITS(name, expression) UNARY_KERNEL(name, expression, for_bits)
#define BINARY_BITS(name, expression) BINARY_KERNEL(name, expression, for_bits, binary_inner)
#define COMPARE_BITS(name, expression) BINARY_KERNEL(name, expression, for_bits, compare_inner)
#define BITWISE(name, expression) BINARY_KERNEL(name, expression, for_integer_bits, binary_inner)
#include "../ops/elementwise.def"
#undef UNARY
#undef UNARY_FLOAT
#undef BINARY
#undef BINARY_FLOAT
#undef COMPARE
#undef BITWISE
#undef UNARY_BITS
#undef BINARY_BITS
#undef COMPARE_BITS

}  // namespace

void register_elementwise(KernelTable& t) {
#define UNARY(name, expression) t.add(#name, "out:A x:A", k_##name);
#define BINARY(name, expression) t.add(#name, "out:A a:A b:A", k_##name);
#define UNARY_FLOAT UNARY
#define BINARY_FLOAT BINARY
#define COMPARE BINARY
#define BITWISE BINARY
#define UNARY_BITS UNARY
#define BINARY_BITS BINARY
#define COMPARE_BITS BINARY
#include "../ops/elementwise.def"
}

}  // namespace tl::TL_ISA
