// softmax and log_softmax over any axis, forward and backward, computed in float (f64 in double).
//
// Where the axis is contiguous, a line is a row and is taken vector by vector. Where another axis
// is, neighbouring lines are taken together as a tile of columns, so that memory is read in order
// too. What is neither goes through a copy. Every line is computed alone: results do not depend on
// the number of threads.
#include "norm.h"

namespace tl::TL_ISA {
namespace {

template <class W>
constexpr W kInfinity = static_cast<W>(__builtin_inf());
TL_INLINE float log_one(float x) { return __builtin_logf(x); }
TL_INLINE double log_one(double x) { return __builtin_log(x); }

// --- rows
// -------------------------------------------------------------------------------------------------

template <class T>
TL_INLINE Scalar<T> max_of(const T* x, int64_t n) {
  constexpr int w = OpMath<T>::kWidth;
  using W = Scalar<T>;
  auto a = splat(-kInfinity<W>), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    a = max(load(x + i), a);
    b = max(load(x + i + w), b);
    c = max(load(x + i + 2 * w), c);
    d = max(load(x + i + 3 * w), d);
  }
  for (; i + w <= n; i += w) a = max(load(x + i), a);
  if (i < n) b = max(load_or(x + i, n - i, -kInfinity<W>), b);
  return max_lane(max(max(a, b), max(c, d)));
}

// `spare` holds n wide values: the output itself where it is as wide as the computation. A NaN or
// a row of -inf gives NaN everywhere, as in torch.
template <class T>
TL_INLINE void softmax_row(const T* x, T* out, Scalar<T>* spare, int64_t n) {
  using W = Scalar<T>;
  constexpr int w = OpMath<T>::kWidth;
  const W top = max_of(x, n);
  Vector<T> a{}, b{};
  int64_t i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    const auto p = exp_negative(load(x + i) - top), q = exp_negative(load(x + i + w) - top);
    a += p;
    b += q;
    store(spare + i, p);
    store(spare + i + w, q);
  }
  for (; i < n; i += w) {
    const int64_t k = n - i < w ? n - i : w;
    const auto p = exp_negative(load_or(x + i, k, -kInfinity<W>) - top);
    store_first(spare + i, p, k);
    b += p;  // what fills up is 0, or NaN like all of its row
  }
  const W scale = 1 / sum(a + b);
  vectors(n, W(0), [&](int64_t j, auto get, auto put) { put(out + j, get(spare + j) * scale); });
}

template <class T>
TL_INLINE void log_softmax_row(const T* x, T* out, int64_t n) {
  using W = Scalar<T>;
  const W top = max_of(x, n);
  const W total = sum_over(n, -kInfinity<W>,
                           [=](int64_t i, auto get) { return exp_negative(get(x + i) - top); });
  const W shift = log_one(total);
  vectors(n, W(0),
          [&](int64_t i, auto get, auto put) { put(out + i, (get(x + i) - top) - shift); });
}

// dx = y * (g - sum(g * y)); after the logarithm, dx = g - exp(y) * sum(g).
template <class T>
TL_INLINE void softmax_backward_row(const T* g, const T* y, T* dx, int64_t n) {
  using W = Scalar<T>;
  const W dot = sum_over(n, W(0), [=](int64_t i, auto get) { return get(g + i) * get(y + i); });
  vectors(n, W(0),
          [&](int64_t i, auto get, auto put) { put(dx + i, get(y + i) * (get(g + i) - dot)); });
}
template <class T>
TL_INLINE void log_softmax_backward_row(const T* g, const T* y, T* dx, int64_t n) {
  using W = Scalar<T>;
  const W total = sum_over(n, W(0), [=](int64_t i, auto get) { return get(g + i); });
  vectors(n, W(0), [&](int64_t i, auto get, auto put) {
    put(dx + i, get(g + i) - exp_negative(get(y + i)) * total);
  });
}

// --- tiles of columns
// -------------------------------------------------------------------------------------

// `width` neighbouring lines of n; the k-th operand's elements of a line stand step[k] apart.
// `spare`: (n + 2) rows of `width` rounded up to whole vectors.
template <class T, bool kLog>
void softmax_tile(char* const* data, const int64_t* step, int64_t n, int64_t width, void* spare) {
  using W = Scalar<T>;
  constexpr int w = OpMath<T>::kWidth;
  const int64_t ld = (width + w - 1) / w * w;
  T *const out = reinterpret_cast<T*>(data[0]), *const x = reinterpret_cast<T*>(data[1]);
  W *top = static_cast<W*>(spare), *total = top + ld, *copy = total + ld;
  for (int64_t j = 0; j < ld; ++j) top[j] = -kInfinity<W>, total[j] = 0;
  for (int64_t r = 0; r < n; ++r) {
    vectors(width, W(0), [&](int64_t j, auto get, auto) {
      const auto v = get(x + r * step[1] + j);
      store(top + j, max(v, load(top + j)));
      store(copy + r * ld + j, v);
    });
  }
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t j = 0; j < ld; j += w) {
      const auto p = exp_negative(load(copy + r * ld + j) - load(top + j));
      if (!kLog) store(copy + r * ld + j, p);
      store(total + j, load(total + j) + p);
    }
  }
  for (int64_t j = 0; j < ld; ++j) total[j] = kLog ? log_one(total[j]) : 1 / total[j];
  for (int64_t r = 0; r < n; ++r) {
    vectors(width, W(0), [&](int64_t j, auto, auto put) {
      const auto v = load(copy + r * ld + j);
      put(out + r * step[0] + j,
          kLog ? (v - load(top + j)) - load(total + j) : v * load(total + j));
    });
  }
}

template <class T, bool kLog>
void backward_tile(char* const* data, const int64_t* step, int64_t n, int64_t width, void* spare) {
  using W = Scalar<T>;
  W* const total = static_cast<W*>(spare);
  for (int64_t j = 0; j < width + OpMath<T>::kWidth - 1; ++j) total[j] = 0;
  for (int64_t r = 0; r < n; ++r) {
    const T* g = reinterpret_cast<const T*>(data[1]) + r * step[1];
    const T* y = reinterpret_cast<const T*>(data[2]) + r * step[2];
    vectors(width, W(0), [&](int64_t j, auto get, auto) {
      const auto v = kLog ? get(g + j) : get(g + j) * get(y + j);
      store(total + j, load(total + j) + v);
    });
  }
  for (int64_t r = 0; r < n; ++r) {
    const T* g = reinterpret_cast<const T*>(data[1]) + r * step[1];
    const T* y = reinterpret_cast<const T*>(data[2]) + r * step[2];
    T* dx = reinterpret_cast<T*>(data[0]) + r * step[0];
    vectors(width, W(0), [&](int64_t j, auto get, auto put) {
      const auto s = load(total + j);
      if constexpr (kLog)
        put(dx + j, get(g + j) - exp_negative(get(y + j)) * s);
      else
        put(dx + j, get(y + j) * (get(g + j) - s));
    });
  }
}

// --- what drives them
// -------------------------------------------------------------------------------------

// The slices along `axis` of N arrays of one shape, the first of which is written.
template <int N>
struct AxisSlices {
  StridedIterator<N> others;
  int64_t n = 1, step[N];
  bool rows = true;  // every array is contiguous along the axis

  AxisSlices(const View* const (&views)[N], int axis) {
    const View& first = *views[0];
    for (int k = 0; k < N; ++k) step[k] = first.ndim ? views[k]->strides[axis] : 1;
    if (first.ndim) n = first.shape[axis];
    for (int k = 0; k < N; ++k) rows = rows && (step[k] == 1 || n == 1);
    for (int i = 0; i < first.ndim; ++i) {
      if (i == axis) continue;
      int64_t s[N];
      for (int k = 0; k < N; ++k) s[k] = views[k]->strides[i];
      others.axis(first.shape[i], s);
    }
  }
  // Whether tiles of columns are worth it: the nearest of the other axes is contiguous everywhere.
  TL_INLINE bool columns() const {
    const int near = others.ndim - 1;
    bool fits = near >= 0 && others.shape[near] >= kLanes;
    for (int k = 0; fits && k < N; ++k) fits = others.strides[k][near] == 1;
    return fits;
  }
};

// What is done to one line of n whose operands are contiguous, and to `width` neighbouring lines
// whose operands' elements stand step[k] apart. Both get room for wide values.
struct LineKernel {
  void (*row)(char* const* data, int64_t n, void* spare);
  void (*tile)(char* const* data, const int64_t* step, int64_t n, int64_t width, void* spare);
  int size, wide;        // bytes of an element, and of a value in the computation
  int64_t cost;          // ns per 1000 elements
  bool spare, all_rows;  // a row needs n wide values; a tile all its lines (and two), not only one
};

template <int kSize>
TL_INLINE void copy_elements(char* to, int64_t to_step, const char* from, int64_t from_step,
                             int64_t n) {
  for (int64_t j = 0; j < n; ++j)
    memcpy(to + j * to_step * kSize, from + j * from_step * kSize, kSize);
}
TL_INLINE void copy_line(char* to, int64_t to_step, const char* from, int64_t from_step, int64_t n,
                         int size) {
  if (size == 2) return copy_elements<2>(to, to_step, from, from_step, n);
  if (size == 4) return copy_elements<4>(to, to_step, from, from_step, n);
  copy_elements<8>(to, to_step, from, from_step, n);
}

// Runs the kernel over all lines. It is compiled for numbers of operands alone, since a copy for
// each dtype and operation was most of this file's code.
template <int N>
const char* each_line(const View* const (&views)[N], int axis, const LineKernel& kernel) {
  const AxisSlices<N> lines(views, axis);
  const int64_t n = lines.n;
  const int size = kernel.size;
  if (n == 0 || lines.others.count == 0) return nullptr;
  bool ok = true;
  char* base[N];
  for (int k = 0; k < N; ++k) base[k] = views[k]->template ptr<char>();
  if (!lines.rows && lines.columns()) {
    StridedIterator<N> outer = lines.others;
    const int64_t length = outer.shape[--outer.ndim];
    outer.count /= length;
    // A tile's copy should stay in the second cache, its rows be long enough for the prefetcher.
    int64_t width = 65536 / (n + 2) / 16 * 16;
    width = width < 64 ? 64 : width > 512 ? 512 : width;
    if (width > length) width = length;
    const int64_t tiles = (length + width - 1) / width;
    const int64_t values = (width + kLanes) * (kernel.all_rows ? n + 2 : 1);
    parallel_for(outer.count * tiles, 4000 / (1 + n * width * kernel.cost / 1000) + 1,
                 [&](int64_t begin, int64_t end, int) {
                   Scratch memory(values * kernel.wide);
                   if (!memory.template as<char>()) {
                     __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
                     return;
                   }
                   StridedIterator<N> it = outer;
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t first = i % tiles * width;
                     it.seek(i / tiles);
                     char* at[N];
                     for (int k = 0; k < N; ++k) at[k] = base[k] + (it.offset[k] + first) * size;
                     kernel.tile(at, lines.step, n, length - first < width ? length - first : width,
                                 memory.template as<char>());
                   }
                 });
    return ok ? nullptr : "softmax: out of memory";
  }
  const bool copied = !lines.rows;
  const int64_t work = 1 + n * kernel.cost / 1000 + (copied ? 2 * n : 0);
  const int64_t bytes = n * kernel.wide + (copied ? N * n * size : 0);
  const bool needs = copied || kernel.spare;
  parallel_for(lines.others.count, 4000 / work + 1, [&](int64_t begin, int64_t end, int) {
    Scratch memory(needs ? bytes : 0);
    char* const spare = memory.template as<char>();
    if (needs && !spare) {
      __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
      return;
    }
    StridedIterator<N> it = lines.others;
    it.seek(begin);
    for (int64_t i = begin; i < end; ++i, it.next()) {
      char *at[N], *near[N];
      for (int k = 0; k < N; ++k) {
        at[k] = base[k] + it.offset[k] * size;
        near[k] = copied ? spare + n * (kernel.wide + k * size) : at[k];
        if (copied && k > 0) copy_line(near[k], 1, at[k], lines.step[k], n, size);
      }
      kernel.row(near, n, spare);
      if (copied) copy_line(at[0], lines.step[0], near[0], 1, n, size);
    }
  });
  return ok ? nullptr : "softmax: out of memory";
}

template <class T, bool kLog>
LineKernel forward_kernel() {
  constexpr bool kNarrow = sizeof(T) < 4;
  return {
      [](char* const* data, int64_t n, void* spare) {
        const T* x = reinterpret_cast<const T*>(data[1]);
        T* out = reinterpret_cast<T*>(data[0]);
        if constexpr (kLog)
          log_softmax_row(x, out, n);
        else if constexpr (kNarrow)
          softmax_row(x, out, static_cast<Scalar<T>*>(spare), n);
        else
          softmax_row(x, out, out, n);
      },
      softmax_tile<T, kLog>,
      sizeof(T),
      sizeof(Scalar<T>),
      sizeof(T) == 8 ? 8000 : 700,
      !kLog && kNarrow,
      true,
  };
}

template <class T, bool kLog>
LineKernel backward_kernel() {
  return {
      [](char* const* data, int64_t n, void*) {
        const T *g = reinterpret_cast<const T*>(data[1]), *y = reinterpret_cast<const T*>(data[2]);
        T* dx = reinterpret_cast<T*>(data[0]);
        if constexpr (kLog)
          log_softmax_backward_row(g, y, dx, n);
        else
          softmax_backward_row(g, y, dx, n);
      },
      backward_tile<T, kLog>,
      sizeof(T),
      sizeof(Scalar<T>),
      !kLog            ? 300
      : sizeof(T) == 8 ? 8000
                       : 700,
      false,
      false,
  };
}

// The axis counted from the front, or -1.
TL_INLINE int axis_of(const View& x, int64_t axis) {
  if (x.ndim == 0) return 0;
  const int64_t at = axis < 0 ? axis + x.ndim : axis;
  return at < 0 || at >= x.ndim ? -1 : static_cast<int>(at);
}

const char* softmax(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const bool log = args[3].i != 0;
  if (!same_shape(out, x) || out.dtype != x.dtype) return "softmax: expected out like x";
  const int axis = axis_of(x, args[2].i);
  if (axis < 0)
    return fail("softmax: axis %lld of %d axes", static_cast<long long>(args[2].i), x.ndim);
  return for_float(x.dtype, "softmax", [&]<class T>() -> const char* {
    const View* const views[] = {&out, &x};
    return each_line<2>(views, axis, log ? forward_kernel<T, true>() : forward_kernel<T, false>());
  });
}

const char* softmax_backward(const Arg* args, int) {
  const View &dx = *args[0].a, &g = *args[1].a, &y = *args[2].a;
  const bool log = args[4].i != 0;
  for (const View* v : {&g, &y}) {
    if (!same_shape(dx, *v) || dx.dtype != v->dtype)
      return "softmax_backward: expected the gradients and out to be alike";
  }
  const int axis = axis_of(dx, args[3].i);
  if (axis < 0) {
    return fail("softmax_backward: axis %lld of %d axes", static_cast<long long>(args[3].i),
                dx.ndim);
  }
  return for_float(dx.dtype, "softmax_backward", [&]<class T>() -> const char* {
    const View* const views[] = {&dx, &g, &y};
    return each_line<3>(views, axis,
                        log ? backward_kernel<T, true>() : backward_kernel<T, false>());
  });
}

}  // namespace

void register_softmax(KernelTable& t);
void register_softmax(KernelTable& t) {
  t.add("softmax", "out:out x:in axis:i log:i", softmax);
  t.add("softmax_backward", "out:out g:in y:in axis:i log:i", softmax_backward);
}

}  // namespace tl::TL_ISA
