// Running sums, products, extremes, log-sum-exps and first-order recurrences along one axis.
//
// Lines are shared out between threads. A few long lines are cut into segments by their shape
// alone: totals first, then every segment from what lies before it, so that the number of threads
// does not change the result.
#include "reduce.h"
#include "simd/math.h"

namespace tl::TL_ISA {
namespace {

constexpr int64_t kColumns = 256;  // columns carried side by side when the axis is not the nearest

// Where the axes of up to three equally shaped arrays lie: the scanned one, one beside it (`width`
// columns), the others.
template <int N>
struct Lanes3 {
  StridedIterator<N> others;
  int64_t n, step[N], width = 1, side[N] = {};

  Lanes3(const View* const (&views)[N], int axis) : n(views[0]->shape[axis]) {
    int order[kMaxDims];
    const View& x = *views[N - 1];
    const int count = axes_by_stride(x, order, axis);
    for (int k = 0; k < N; ++k) step[k] = views[k]->strides[axis];
    const bool columns =
        count > 0 && magnitude(x.strides[order[count - 1]]) < magnitude(x.strides[axis]);
    for (int i = 0; i < count; ++i) {
      int64_t strides[N];
      for (int k = 0; k < N; ++k) strides[k] = views[k]->strides[order[i]];
      others.axis(x.shape[order[i]], strides);
    }
    if (columns && others.ndim > 0) {
      const InnerAxis<N> run(others);
      width = run.length;
      for (int k = 0; k < N; ++k) side[k] = run.strides[k];
    }
  }
};

// S: a Carry with init(), and step(carry, r, offsets) that reads and writes element r of a line.
template <class S, int N>
const char* scan_lines(const View* const (&views)[N], int axis, const S& scan) {
  const Lanes3<N> l(views, axis);
  if (l.n == 0 || l.others.count == 0 || l.width == 0) return nullptr;
  const int64_t tile = l.width < kColumns ? l.width : kColumns;
  const int64_t tiles = (l.width + tile - 1) / tile;
  parallel_for(l.others.count * tiles, 4096 / (l.n * tile) + 1,
               [&](int64_t begin, int64_t end, int) {
                 StridedIterator<N> it = l.others;
                 typename S::Carry carry[kColumns];
                 for (int64_t i = begin; i < end; ++i) {
                   it.seek(i / tiles);
                   int64_t at[N];
                   const int64_t first = i % tiles * tile;
                   const int64_t m = l.width - first < tile ? l.width - first : tile;
                   for (int k = 0; k < N; ++k) at[k] = it.offset[k] + first * l.side[k];
                   if (m == 1) {
                     typename S::Carry one = scan.init();
                     for (int64_t r = 0; r < l.n; ++r) {
                       scan.step(one, r, at);
                       for (int k = 0; k < N; ++k) at[k] += l.step[k];
                     }
                     continue;
                   }
                   for (int64_t j = 0; j < m; ++j) carry[j] = scan.init();
                   for (int64_t r = 0; r < l.n; ++r) {
                     int64_t here[N];
                     for (int k = 0; k < N; ++k) here[k] = at[k];
                     for (int64_t j = 0; j < m; ++j) {
                       scan.step(carry[j], r, here);
                       for (int k = 0; k < N; ++k) here[k] += l.side[k];
                     }
                     for (int k = 0; k < N; ++k) at[k] += l.step[k];
                   }
                 }
               });
  return nullptr;
}

template <class T>
TL_INLINE T narrow(double x) {
  if constexpr (kIsHalf<T>)
    return from_float<T>(static_cast<float>(x));
  else
    return static_cast<T>(x);
}
template <class T>
TL_INLINE T narrow(uint64_t x) {
  return static_cast<T>(x);
}

// --- sums and products: in double for floats, modulo 2^64 for integers

template <class T, bool product>
struct Running {
  using Carry = typename Conditional<kIsReal<T>, double, uint64_t>::Type;
  T* out;
  const T* x;
  TL_INLINE Carry init() const { return product ? 1 : 0; }
  TL_INLINE static Carry join(Carry a, Carry b) { return product ? a * b : a + b; }
  TL_INLINE void step(Carry& c, int64_t, const int64_t (&at)[2]) const {
    c = join(c, static_cast<Carry>(value(x[at[1]])));
    out[at[0]] = narrow<T>(c);
  }
};

template <class T, bool product>
const char* running(const View& out, const View& x, int axis) {
  using R = Running<T, product>;
  const R scan{out.ptr<T>(), x.ptr<T>()};
  const View* const views[2] = {&out, &x};
  const Lanes3<2> l(views, axis);
  constexpr int64_t kCut = 65536;
  if (l.n < 4 * kCut || l.others.count > 4 || l.width > 1)
    return scan_lines<R, 2>(views, axis, scan);
  const int64_t cuts = (l.n + kCut - 1) / kCut;
  Scratch memory(cuts * sizeof(typename R::Carry));
  auto* before = memory.as<typename R::Carry>();
  if (!before) return "out of memory";
  StridedIterator<2> it = l.others;
  it.seek(0);
  for (int64_t line = 0; line < l.others.count; ++line, it.next()) {
    auto each = [&](int64_t c, auto carry, const auto& take) {
      const int64_t end = l.n < (c + 1) * kCut ? l.n : (c + 1) * kCut;
      int64_t at[2];
      for (int k = 0; k < 2; ++k) at[k] = it.offset[k] + c * kCut * l.step[k];
      for (int64_t r = c * kCut; r < end; ++r) {
        take(carry, at);
        for (int k = 0; k < 2; ++k) at[k] += l.step[k];
      }
      return carry;
    };
    parallel_for(cuts, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t c = begin; c < end; ++c) {
        before[c] = each(c, scan.init(), [&](typename R::Carry& carry, const int64_t (&at)[2]) {
          carry = R::join(carry, static_cast<typename R::Carry>(value(scan.x[at[1]])));
        });
      }
    });
    typename R::Carry total = scan.init();
    for (int64_t c = 0; c < cuts; ++c) {
      const auto next = R::join(total, before[c]);
      before[c] = total;
      total = next;
    }
    parallel_for(cuts, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t c = begin; c < end; ++c) {
        each(c, before[c],
             [&](typename R::Carry& carry, const int64_t (&at)[2]) { scan.step(carry, 0, at); });
      }
    });
  }
  return nullptr;
}

const char* check(const char* kernel, const View& out, const View& x, int64_t axis) {
  if (axis < 0 || axis >= x.ndim) return fail("%s: no such axis", kernel);
  if (!same_shape(out, x)) return fail("%s: expected out like x", kernel);
  return nullptr;
}

template <class F>
const char* for_running(DType d, const char* kernel, const F& f) {
  if (d == DType::i64) return f.template operator()<int64_t>();
  return for_float(d, kernel, f);
}

struct Complex {
  float re, im;
};
struct ComplexSum {
  double re, im;
};

template <bool product>
struct RunningComplex {
  using Carry = ComplexSum;
  Complex* out;
  const Complex* x;
  TL_INLINE Carry init() const { return {product ? 1.0 : 0.0, 0}; }
  TL_INLINE void step(Carry& c, int64_t, const int64_t (&at)[2]) const {
    const double re = static_cast<double>(x[at[1]].re), im = static_cast<double>(x[at[1]].im);
    if (product)
      c = {c.re * re - c.im * im, c.re * im + c.im * re};
    else
      c = {c.re + re, c.im + im};
    out[at[0]] = {static_cast<float>(c.re), static_cast<float>(c.im)};
  }
};

template <bool product>
const char* cumulate(const Arg* args, int) {
  const char* name = product ? "cumprod" : "cumsum";
  const View &out = *args[0].a, &x = *args[1].a;
  if (const char* error = check(name, out, x, args[2].i)) return error;
  if (out.dtype != x.dtype) return fail("%s: expected out like x", name);
  if (x.dtype == DType::complex64) {
    using R = RunningComplex<product>;
    return scan_lines<R, 2>({&out, &x}, static_cast<int>(args[2].i),
                            R{out.ptr<Complex>(), x.ptr<Complex>()});
  }
  return for_running(x.dtype, name, [&]<class T>() -> const char* {
    return running<T, product>(out, x, static_cast<int>(args[2].i));
  });
}

// --- running extremes: the last of equal values counts, a NaN wins from there on (as in torch)

template <class T, bool largest>
struct Extreme {
  struct Carry {
    Value<T> best;
    int64_t at;
  };
  T* values;
  int64_t* indices;
  const T* x;
  TL_INLINE Carry init() const { return {Value<T>{}, -1}; }
  TL_INLINE void step(Carry& c, int64_t r, const int64_t (&at)[3]) const {
    const Value<T> v = value(x[at[2]]);
    bool wins = c.at < 0 || (largest ? v >= c.best : v <= c.best);
    if constexpr (kIsReal<T>) wins = wins || v != v;
    if (wins) c = {v, r};
    if constexpr (kIsHalf<T>)
      values[at[0]] = from_float<T>(c.best);
    else
      values[at[0]] = c.best;
    indices[at[1]] = c.at;
  }
};

template <bool largest>
const char* cumulate_extreme(const Arg* args, int) {
  const char* name = largest ? "cummax" : "cummin";
  const CanonicalBools canonical(*args[2].a);
  if (!canonical.ok) return fail("%s: out of memory", name);
  const View &values = *args[0].a, &indices = *args[1].a, &x = canonical.view;
  if (const char* error = check(name, values, x, args[3].i)) return error;
  if (values.dtype != x.dtype || indices.dtype != DType::i64 || !same_shape(indices, x))
    return fail("%s: expected values like x and indices in i64", name);
  return for_any(x.dtype, name, [&]<class T>() -> const char* {
    using S = Extreme<T, largest>;
    return scan_lines<S, 3>({&values, &indices, &x}, static_cast<int>(args[3].i),
                            S{values.ptr<T>(), indices.ptr<int64_t>(), x.ptr<T>()});
  });
}

// --- log(exp(x0) + exp(x1) + …), without overflow

template <class T>
struct LogSum {
  using Carry = double;
  T* out;
  const T* x;
  TL_INLINE Carry init() const { return -__builtin_inf(); }
  TL_INLINE void step(Carry& c, int64_t, const int64_t (&at)[2]) const {
    const double v = static_cast<double>(value(x[at[1]]));
    const double high = v > c || v != v ? v : c, low = v > c || v != v ? c : v;
    // Two equal infinities: their difference would be NaN.
    c = high == low && !__builtin_isfinite(high)
            ? high
            : high + __builtin_log1p(__builtin_exp(low - high));
    out[at[0]] = narrow<T>(c);
  }
};

// Of complex numbers: the smaller one is added to the larger, whose argument may lie beyond pi.
struct LogSumComplex {
  using Carry = ComplexSum;
  Complex* out;
  const Complex* x;
  TL_INLINE Carry init() const { return {-__builtin_inf(), 0}; }
  TL_INLINE static Carry join(Carry a, Carry b) {
    if (a.re != a.re || a.im != a.im || b.re != b.re || b.im != b.im)
      return {__builtin_nan(""), __builtin_nan("")};
    const Carry high = a.re >= b.re ? a : b, low = a.re >= b.re ? b : a;
    double gap = low.re - high.re;
    if (low.re == high.re && !__builtin_isfinite(low.re)) {
      if (low.re < 0) return low;  // both stand for 0, which has no argument
      gap = 0;
    }
    const double size = __builtin_exp(gap), angle = low.im - high.im;
    const double re = size * __builtin_cos(angle), im = size * __builtin_sin(angle);
    return {high.re + 0.5 * __builtin_log1p(re * (2 + re) + im * im),
            high.im + __builtin_atan2(im, 1 + re)};
  }
  TL_INLINE void step(Carry& c, int64_t, const int64_t (&at)[2]) const {
    c = join({static_cast<double>(x[at[1]].re), static_cast<double>(x[at[1]].im)}, c);
    out[at[0]] = {static_cast<float>(c.re), static_cast<float>(c.im)};
  }
};

const char* logcumsumexp(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (const char* error = check("logcumsumexp", out, x, args[2].i)) return error;
  if (out.dtype != x.dtype) return "logcumsumexp: expected out like x";
  if (x.dtype == DType::complex64)
    return scan_lines<LogSumComplex, 2>({&out, &x}, static_cast<int>(args[2].i),
                                        LogSumComplex{out.ptr<Complex>(), x.ptr<Complex>()});
  return for_float(x.dtype, "logcumsumexp", [&]<class T>() -> const char* {
    return scan_lines<LogSum<T>, 2>({&out, &x}, static_cast<int>(args[2].i),
                                    LogSum<T>{out.ptr<T>(), x.ptr<T>()});
  });
}

// --- y[i] = a[i] * y[i - 1] + x[i], from y[-1] = 0

template <class T>
struct Recurrence {
  using Carry = double;
  T* out;
  const T *a, *x;
  TL_INLINE Carry init() const { return 0; }
  TL_INLINE void step(Carry& c, int64_t r, const int64_t (&at)[3]) const {
    const double v = static_cast<double>(value(x[at[2]]));
    // Nothing lies before the first: an infinite a[0] makes no NaN of 0.
    c = r == 0 ? v : static_cast<double>(value(a[at[1]])) * c + v;
    out[at[0]] = narrow<T>(c);
  }
};

struct RecurrenceComplex {
  using Carry = ComplexSum;
  Complex* out;
  const Complex *a, *x;
  TL_INLINE Carry init() const { return {0, 0}; }
  TL_INLINE void step(Carry& c, int64_t r, const int64_t (&at)[3]) const {
    Carry y{static_cast<double>(x[at[2]].re), static_cast<double>(x[at[2]].im)};
    if (r > 0) {
      const double re = static_cast<double>(a[at[1]].re), im = static_cast<double>(a[at[1]].im);
      y = {y.re + c.re * re - c.im * im, y.im + c.re * im + c.im * re};
    }
    c = y;
    out[at[0]] = {static_cast<float>(c.re), static_cast<float>(c.im)};
  }
};

const char* linear_scan(const Arg* args, int) {
  const View &out = *args[0].a, &a = *args[1].a, &x = *args[2].a;
  if (const char* error = check("linear_scan", out, x, args[3].i)) return error;
  if (out.dtype != x.dtype || a.dtype != x.dtype || !same_shape(a, x))
    return "linear_scan: expected out and a like x";
  if (x.dtype == DType::complex64)
    return scan_lines<RecurrenceComplex, 3>(
        {&out, &a, &x}, static_cast<int>(args[3].i),
        RecurrenceComplex{out.ptr<Complex>(), a.ptr<Complex>(), x.ptr<Complex>()});
  return for_float(x.dtype, "linear_scan", [&]<class T>() -> const char* {
    return scan_lines<Recurrence<T>, 3>({&out, &a, &x}, static_cast<int>(args[3].i),
                                        Recurrence<T>{out.ptr<T>(), a.ptr<T>(), x.ptr<T>()});
  });
}

}  // namespace

void register_scan(KernelTable& t);
void register_scan(KernelTable& t) {
  t.add("cumsum", "out:out x:in axis:i", cumulate<false>);
  t.add("cumprod", "out:out x:in axis:i", cumulate<true>);
  t.add("cummax", "out_values:out out_indices:out x:in axis:i", cumulate_extreme<true>);
  t.add("cummin", "out_values:out out_indices:out x:in axis:i", cumulate_extreme<false>);
  t.add("logcumsumexp", "out:out x:in axis:i", logcumsumexp);
  t.add("linear_scan", "out:out a:in x:in axis:i", linear_scan);
}

}  // namespace tl::TL_ISA
