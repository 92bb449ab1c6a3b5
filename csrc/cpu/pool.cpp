// Maxima over windows of an image ("max_pool", with positions on request), and moving elements of a
// plane by their positions: "plane_gather" and its transpose "plane_scatter".
#include "pool.h"

#include <atomic>

#include "overlap.h"

namespace tl::TL_ISA {

View widened(const View& x) {
  View to = x;
  to.ndim = 5;
  const int missing = 5 - x.ndim;
  for (int i = 0; i < missing; ++i) {
    to.shape[2 + i] = 1;
    to.strides[2 + i] = 0;
  }
  for (int i = 2; i < x.ndim; ++i) {
    to.shape[i + missing] = x.shape[i];
    to.strides[i + missing] = x.strides[i];
  }
  return to;
}

namespace {

// Length of the line that one row of windows reads, padding included.
int64_t line_length(const Windows& w) {
  if (w.kernel[2] == 0) return w.x.shape[4];
  const int64_t reach = (w.out.shape[4] - 1) * w.stride[2] + (w.kernel[2] - 1) * w.dilation[2] + 1;
  return max64(reach, w.x.shape[4] + w.padding[2]);
}

}  // namespace

const char* read_windows(const char* kernel, const View& out, const View& x, const Arg* numbers,
                         Windows* w, PoolCost* cost) {
  if (out.ndim < 3 || out.ndim > 5 || x.ndim != out.ndim || out.dtype != x.dtype ||
      out.shape[0] != x.shape[0] || out.shape[1] != x.shape[1])
    return fail("%s: expected an input and a result of the same axes, batch and channels", kernel);
  w->out = widened(out);
  w->x = widened(x);
  int64_t kernel_elements = 1;
  bool large = false;
  for (int i = 0; i < 3; ++i) {
    w->kernel[i] = numbers[i].i;
    w->stride[i] = numbers[3 + i].i;
    w->padding[i] = numbers[6 + i].i;
    w->dilation[i] = numbers[9 + i].i;
    const int64_t far = int64_t{1} << 30, length = w->x.shape[2 + i];
    if (w->kernel[i] < 0 || w->stride[i] < 1 || w->padding[i] < 0 || w->dilation[i] < 1 ||
        w->kernel[i] > far || w->stride[i] > far || w->padding[i] > far || w->dilation[i] > far)
      return fail("%s: expected positive kernel, stride and dilation", kernel);
    if (length == 0 && w->out.size() > 0)
      return fail("%s: expected an input with elements", kernel);
    large |= __builtin_mul_overflow(kernel_elements, max64(1, w->kernel[i]), &kernel_elements);
    large |= max64(w->out.shape[2 + i], length) > int64_t{1} << 40;
  }
  large |= __builtin_mul_overflow(w->out.shape[4], kernel_elements, &cost->work) ||
           cost->work > int64_t{1} << 60;
  cost->line = large ? 0 : line_length(*w) + 16;
  if (large || cost->line > int64_t{1} << 40) return fail("%s: out of memory", kernel);
  return nullptr;
}

namespace {

template <class S>
TL_INLINE S larger(S a, S b) {  // a NaN wins
  return (b > a) | (b != b) ? b : a;
}

// What values of T are compared as: few types, as the loops are long.
template <class T>
using Compared = typename Conditional<
    kIsReal<T> || (sizeof(T) == 8), Value<T>,
    typename Conditional<(sizeof(T) == 4 && !kIsSigned<Value<T>>), int64_t, int32_t>::Type>::Type;

// a[i] = larger(a[i], x[i])
template <class T, class S>
void larger_line(const std::byte* p, int64_t step, int64_t n, S* a) {
  const T* x = reinterpret_cast<const T*>(p);
  if (step == 1) {
    for (int64_t i = 0; i < n; ++i) a[i] = larger(a[i], static_cast<S>(value(x[i])));
  } else {
    for (int64_t i = 0; i < n; ++i) a[i] = larger(a[i], static_cast<S>(value(x[i * step])));
  }
}

// The same, and `row` in which[i] where that is x[i].
template <class T, class S>
void larger_line_from(const std::byte* p, int64_t step, int64_t n, int32_t row, S* __restrict a,
                      int32_t* __restrict which) {
  const T* x = reinterpret_cast<const T*>(p);
  auto at = [&](int64_t i, int64_t from) {
    const S here = static_cast<S>(value(x[from]));
    const bool taken = (here > a[i]) | (here != here);
    a[i] = taken ? here : a[i];
    which[i] = taken ? row : which[i];
  };
  if (step == 1) {
    for (int64_t i = 0; i < n; ++i) at(i, i);
  } else {
    for (int64_t i = 0; i < n; ++i) at(i, i * step);
  }
}

template <class T, class S>
void put_line(std::byte* p, int64_t step, int64_t n, const S* a, int64_t stride) {
  T* to = reinterpret_cast<T*>(p);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (kIsHalf<T>)
      to[i * step] = from_float<T>(a[i * stride]);
    else
      to[i * step] = static_cast<T>(a[i * stride]);
  }
}

// What depends on the dtype in memory.
template <class S>
struct PoolLoops {
  S least;
  int64_t bytes;
  decltype(&larger_line<float, S>) add;
  decltype(&larger_line_from<float, S>) add_from;
  decltype(&put_line<float, S>) put;
};

// One row of outputs: the maximum over the rows of the windows, then along it.
template <class S>
void max_row(const Windows& w, const PoolLoops<S>& loops, int64_t n, int64_t c, int64_t z,
             int64_t y, S* line, S* best) {
  const View &x = w.x, &out = w.out;
  const int64_t length = line_length(w), pad = w.kernel[2] ? w.padding[2] : 0;
  for (int64_t i = 0; i < length; ++i) line[i] = loops.least;
  int64_t z0, z1, y0, y1;
  w.window(0, z, &z0, &z1);
  w.window(1, y, &y0, &y1);
  const std::byte* plane = x.data + (n * x.strides[0] + c * x.strides[1]) * loops.bytes;
  for (int64_t iz = z0; iz < z1; iz += w.dilation[0])
    for (int64_t iy = y0; iy < y1; iy += w.dilation[1])
      loops.add(plane + (iz * x.strides[2] + iy * x.strides[3]) * loops.bytes, x.strides[4],
                x.shape[4], line + pad);
  int64_t stride = 1;
  if (w.kernel[2] == 0) {
    for (int64_t o = 0; o < out.shape[4]; ++o) {
      int64_t first, end;
      w.window(2, o, &first, &end);
      S m = loops.least;
      for (int64_t i = first; i < end; ++i) m = larger(m, line[i]);
      best[o] = m;
    }
  } else {
    stride = w.stride[2];
    const int64_t extent = (w.out.shape[4] - 1) * stride + 1;
    for (int64_t i = 0; i < extent; ++i) best[i] = line[i];
    for (int64_t k = 1; k < w.kernel[2]; ++k)
      larger_line<S, S>(reinterpret_cast<const std::byte*>(line + k * w.dilation[2]), 1, extent,
                        best);
  }
  loops.put(out.data + (n * out.strides[0] + c * out.strides[1] + z * out.strides[2] +
                        y * out.strides[3]) *
                           loops.bytes,
            out.strides[4], out.shape[4], best, stride);
}

// The same with the position in the plane of the first of equal maxima (the last NaN), in the order
// of memory: first down the columns, all at once, then along the row.
template <class S>
void max_row_indices(const Windows& w, const PoolLoops<S>& loops, const View& indices, int64_t n,
                     int64_t c, int64_t z, int64_t y, S* line, int32_t* which) {
  const View &x = w.x, &out = w.out;
  const std::byte* plane = x.data + (n * x.strides[0] + c * x.strides[1]) * loops.bytes;
  int64_t z0, z1, y0, y1;
  w.window(0, z, &z0, &z1);
  w.window(1, y, &y0, &y1);
  for (int64_t i = 0; i < x.shape[4]; ++i) {
    line[i] = loops.least;
    which[i] = 0;
  }
  const int64_t rows = y1 > y0 ? ceil_div(y1 - y0, w.dilation[1]) : 1;
  int32_t row = 0;
  for (int64_t iz = z0; iz < z1; iz += w.dilation[0])
    for (int64_t iy = y0; iy < y1; iy += w.dilation[1], ++row)
      loops.add_from(plane + (iz * x.strides[2] + iy * x.strides[3]) * loops.bytes, x.strides[4],
                     x.shape[4], row, line, which);
  std::byte* to = out.data + (n * out.strides[0] + c * out.strides[1] + z * out.strides[2] +
                              y * out.strides[3]) *
                                 loops.bytes;
  const int64_t to_index = n * indices.strides[0] + c * indices.strides[1] +
                           z * indices.strides[2] + y * indices.strides[3];
  for (int64_t o = 0; o < out.shape[4]; ++o) {
    int64_t x0, x1;
    w.window(2, o, &x0, &x1);
    S best = loops.least;
    // A window may miss the input altogether; the position stays inside the plane all the same.
    int64_t at_z = min64(z0, x.shape[2] - 1), at_y = min64(y0, x.shape[3] - 1);
    int64_t at_x = min64(x0, x.shape[4] - 1);
    int32_t from = -1;
    for (int64_t ix = x0; ix < x1; ix += w.dilation[2]) {
      const S here = line[ix];
      const int32_t row_here = which[ix];
      if ((here > best) | ((here == best) & (row_here < from)) |
          ((here != here) & ((best == best) | (row_here >= from)))) {
        best = here;
        from = row_here;
        at_x = ix;
      }
    }
    if (from >= 0) {
      at_z = z0 + from / rows * w.dilation[0];
      at_y = y0 + from % rows * w.dilation[1];
    }
    loops.put(to + o * out.strides[4] * loops.bytes, 1, 1, &best, 1);
    indices.ptr<int64_t>()[to_index + o * indices.strides[4]] =
        (at_z * x.shape[3] + at_y) * x.shape[4] + at_x;
  }
}

template <class S>
const char* pool_rows(const Windows& w, const PoolLoops<S>& loops, const PoolCost& cost,
                      const View* indices) {
  const int64_t length = cost.line;
  // Two lines of values, or one of values and one of 32-bit row numbers.
  const size_t own = 2 * length * sizeof(S);
  Scratch memory(own * num_threads());
  if (!memory.as<char>()) return "max_pool: out of memory";
  parallel_for(w.lines(), 1 + 16384 / (1 + cost.work), [&](int64_t begin, int64_t end, int worker) {
    S* line = reinterpret_cast<S*>(memory.as<char>() + own * worker);
    PoolRow row(w, begin);
    for (int64_t i = begin; i < end; ++i, row.next(w)) {
      const auto [n, c, z, y] = row;
      if (indices)
        max_row_indices(w, loops, *indices, n, c, z, y, line,
                        reinterpret_cast<int32_t*>(line + length));
      else
        max_row(w, loops, n, c, z, y, line, line + length);
    }
  });
  return nullptr;
}

const char* pool(const View& out, const View* indices, const View& x, const Arg* numbers) {
  Windows w;
  PoolCost cost;
  if (const char* error = read_windows("max_pool", out, x, numbers, &w, &cost)) return error;
  View positions;
  if (indices) {
    if (indices->dtype != DType::i64 || !same_shape(*indices, out))
      return "max_pool: expected indices of i64 shaped like the result";
    positions = widened(*indices);
  }
  if (w.out.size() == 0) return nullptr;
  if (!indices && pool_last_fits(w)) return max_pool_last(w);
  if (!indices && max_lines_fit(w)) return max_lines(w);
  return for_any(x.dtype, "max_pool", [&]<class T>() -> const char* {
    using S = Compared<T>;
    const PoolLoops<S> loops{static_cast<S>(lowest<Value<T>>()), sizeof(T), larger_line<T, S>,
                             larger_line_from<T, S>, put_line<T, S>};
    return pool_rows(w, loops, cost, indices ? &positions : nullptr);
  });
}

const char* max_pool(const Arg* args, int) {
  return pool(*args[0].a, nullptr, *args[1].a, args + 2);
}
const char* max_pool_indices(const Arg* args, int) {
  return pool(*args[0].a, args[1].a, *args[2].a, args + 3);
}

// --- by position
// ----------------------------------------------------------------------------------

// `planes` (batch, channels, places) and `picked`, `indices` (batch, channels, count): the error
// when they do not fit or an index lies outside.
const char* check_places(const View& planes, const View& picked, const View& indices) {
  if (planes.ndim != 3 || picked.ndim != 3 || !same_shape(picked, indices) ||
      indices.dtype != DType::i64 || planes.dtype != picked.dtype ||
      planes.shape[0] != picked.shape[0] || planes.shape[1] != picked.shape[1])
    return "expected planes (batch, channels, places) and i64 indices (batch, channels, count)";
  View scan = indices;
  for (int i = 0; i < 3; ++i) {
    if (scan.strides[i] == 0 && scan.shape[i] > 1) scan.shape[i] = 1;
  }
  std::atomic<bool> bad{false};
  const int64_t count = scan.shape[2], places = planes.shape[2];
  parallel_for(
      scan.shape[0] * scan.shape[1], 1 + 32768 / (1 + count), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t* p = scan.ptr<const int64_t>() + i / scan.shape[1] * scan.strides[0] +
                             i % scan.shape[1] * scan.strides[1];
          bool outside = false;
          for (int64_t j = 0; j < count; ++j) {
            const int64_t at = p[j * scan.strides[2]];
            outside |= at < 0 || at >= places;
          }
          if (outside) bad.store(true, std::memory_order_relaxed);
        }
      });
  return bad.load() ? "index outside its plane" : nullptr;
}

// out[n, c, j] = x[n, c, indices[n, c, j]]
const char* plane_gather(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &indices = *args[2].a;
  if (const char* error = check_places(x, out, indices)) return error;
  if (may_overlap(out, indices)) return "plane_gather: expected indices that are no part of out";
  const int64_t count = out.shape[2], channels = out.shape[1];
  auto run = [&]<class Word>() {
    parallel_for(out.shape[0] * channels, 1 + 16384 / (1 + count),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t n = i / channels, c = i % channels;
                     const Word* from = x.ptr<Word>() + n * x.strides[0] + c * x.strides[1];
                     const int64_t* at =
                         indices.ptr<int64_t>() + n * indices.strides[0] + c * indices.strides[1];
                     Word* to = out.ptr<Word>() + n * out.strides[0] + c * out.strides[1];
                     for (int64_t j = 0; j < count; ++j)
                       to[j * out.strides[2]] = from[at[j * indices.strides[2]] * x.strides[2]];
                   }
                 });
  };
  if (is_block(x.dtype)) return "no kernel for this dtype";
  switch (bytes_of(x.dtype)) {
    case 1:
      run.operator()<uint8_t>();
      return nullptr;
    case 2:
      run.operator()<uint16_t>();
      return nullptr;
    case 4:
      run.operator()<uint32_t>();
      return nullptr;
    default:
      run.operator()<uint64_t>();
      return nullptr;
  }
}

// out[n, c, p] = the sum of x[n, c, j] over j with indices[n, c, j] = p; without `add` the last
// one.
const char* plane_scatter(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &indices = *args[2].a;
  const bool add = args[3].i != 0;
  if (const char* error = check_places(out, x, indices)) return error;
  if (may_overlap(out, indices)) return "plane_scatter: expected indices that are no part of out";
  const int64_t count = x.shape[2], places = out.shape[2], channels = out.shape[1];
  return for_float(out.dtype, "plane_scatter", [&]<class T>() -> const char* {
    using S = typename OpMath<T>::Scalar;
    Scratch memory((places + 16) * sizeof(S) * num_threads());
    if (!memory.as<char>()) return "plane_scatter: out of memory";
    parallel_for(out.shape[0] * channels, 1 + 16384 / (1 + count + places),
                 [&](int64_t begin, int64_t end, int worker) {
                   S* sums = memory.as<S>() + worker * (places + 16);
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t n = i / channels, c = i % channels;
                     const T* from = x.ptr<T>() + n * x.strides[0] + c * x.strides[1];
                     const int64_t* at =
                         indices.ptr<int64_t>() + n * indices.strides[0] + c * indices.strides[1];
                     T* to = out.ptr<T>() + n * out.strides[0] + c * out.strides[1];
                     for (int64_t p = 0; p < places; ++p) sums[p] = 0;
                     for (int64_t j = 0; j < count; ++j) {
                       S& sum = sums[at[j * indices.strides[2]]];
                       const S value = to_opmath(from[j * x.strides[2]]);
                       sum = add ? sum + value : value;
                     }
                     for (int64_t p = 0; p < places; ++p)
                       to[p * out.strides[2]] = from_opmath<T>(sums[p]);
                   }
                 });
    return nullptr;
  });
}

}  // namespace

void register_pool_average(KernelTable& t);
void register_pool(KernelTable& t);
void register_pool(KernelTable& t) {
  register_pool_average(t);
#define TL_POOL_NUMBERS " kz:i ky:i kx:i sz:i sy:i sx:i pz:i py:i px:i dz:i dy:i dx:i"
  t.add("max_pool", "out:out x:in" TL_POOL_NUMBERS, max_pool);
  t.add("max_pool_indices", "out:out out_indices:out x:in" TL_POOL_NUMBERS, max_pool_indices);
#undef TL_POOL_NUMBERS
  t.add("plane_gather", "out:out x:in indices:in", plane_gather);
  t.add("plane_scatter", "out:out x:in indices:in add:i", plane_scatter);
}

}  // namespace tl::TL_ISA
