// Sum, mean, prod, amax and amin over any axes of any strided array.
//
// Where the nearest axis is reduced, each output takes runs of neighbouring elements; where it is
// kept, rows are accumulated into a tile of columns. A long reduction with few outputs is cut into
// segments of a size that depends on the shape only, so the result does not depend on the number of
// threads.
#include "reduce_tile.h"

namespace tl::TL_ISA {
namespace {

// The loops of one (operation, dtype).
struct Loops {
  Total init;
  Total (*run)(const std::byte* p, int64_t stride, int64_t n);
  // totals[j] over the rows [begin, end) of `rows`, for `width` neighbouring columns.
  void (*tile)(const std::byte* p, StridedIterator<1>& rows, int64_t begin, int64_t end,
               int64_t width, Total* totals);
  void (*merge)(Total* into, const Total* from, int64_t n);
  int bytes;  // of an element of x
};

template <template <class> class Op, class T>
Total run_loop(const std::byte* p, int64_t stride, int64_t n) {
  return pack(reduce_run<Op>(reinterpret_cast<const T*>(p), stride, n));
}

template <template <class> class Op, class W>
void merge_totals(Total* into, const Total* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    into[i] = pack<W>(Op<W>::step(unpack<W>(into[i]), unpack<W>(from[i])));
}

template <template <class> class Op, class T>
TL_INLINE Loops loops_of() {
  return {pack(static_cast<typename Op<T>::Accumulator>(Op<T>::kInit)), run_loop<Op, T>,
          tile_loop<Op, T>, merge_totals<Op, typename Op<T>::Accumulator>, sizeof(T)};
}

enum class Kind { sum, mean, prod, amax, amin };

// How a total becomes an element of out.
struct Finalize {
  const View& out;
  char kind;       // f, i or u: what the total is
  double divisor;  // of a mean; 0 for the others

  template <class N>
  TL_INLINE void put(int64_t at, N x) const {
    switch (out.dtype) {
      case DType::f64:
        out.ptr<double>()[at] = static_cast<double>(x);
        return;
      case DType::f32:
        out.ptr<float>()[at] = static_cast<float>(x);
        return;
      case DType::f16:
        out.ptr<f16>()[at] = to_f16(static_cast<float>(x));
        return;
      case DType::bf16:
        out.ptr<bf16>()[at] = to_bf16(static_cast<float>(x));
        return;
      default:
        switch (bytes_of(out.dtype)) {
          case 8:
            out.ptr<uint64_t>()[at] = static_cast<uint64_t>(x);
            return;
          case 4:
            out.ptr<uint32_t>()[at] = static_cast<uint32_t>(x);
            return;
          case 2:
            out.ptr<uint16_t>()[at] = static_cast<uint16_t>(x);
            return;
          default:
            out.ptr<uint8_t>()[at] = static_cast<uint8_t>(x);
        }
    }
  }
  // Of n totals, whose elements stand `step` apart from `at` on.
  void line(int64_t at, int64_t step, const Total* totals, int64_t n) const {
    const bool plain = step == 1 && kind == 'f' && divisor == 0;
    if (plain && out.dtype == DType::f32) {
      for (int64_t j = 0; j < n; ++j) out.ptr<float>()[at + j] = static_cast<float>(totals[j].f);
    } else if (plain && out.dtype == DType::bf16) {
      for (int64_t j = 0; j < n; ++j)
        out.ptr<bf16>()[at + j] = to_bf16(static_cast<float>(totals[j].f));
    } else {
      for (int64_t j = 0; j < n; ++j) (*this)(at + j * step, totals[j]);
    }
  }
  void operator()(int64_t at, Total t) const {
    if (divisor != 0 || divisor != divisor) {
      const double x = kind == 'f'   ? t.f
                       : kind == 'i' ? static_cast<double>(t.i)
                                     : static_cast<double>(t.u);
      put(at, x / divisor);
    } else if (kind == 'f') {
      put(at, t.f);
    } else if (kind == 'i') {
      put(at, t.i);
    } else {
      put(at, t.u);
    }
  }
};

// Cuts of the reduced elements: 1 when there is parallelism without.
TL_INLINE int64_t segments(int64_t tasks, int64_t length) {
  if (tasks >= 16 || length < 2 * kSegment) return 1;
  const int64_t n = length / kSegment;
  return n < 256 ? n : 256;
}

const char* reduce_runs(const Loops& loops, Axes& axes, const Finalize& finalize) {
  const InnerAxis<1> run(axes.reduced);
  const int64_t outputs = axes.kept.count, rows = axes.reduced.count;
  const int64_t cuts = segments(outputs, rows * run.length);
  const bool by_row = rows >= cuts;  // a segment is a range of rows, or of the one row
  Scratch memory(cuts > 1 ? outputs * cuts * sizeof(Total) : 0);
  Total* parts = memory.as<Total>();
  if (!parts) return "reduce: out of memory";
  const int64_t work = rows * run.length / cuts + 1;
  parallel_for(outputs * cuts, 16000 / work + 1, [&](int64_t begin, int64_t end, int) {
    StridedIterator<2> kept = axes.kept;
    StridedIterator<1> reduced = axes.reduced;
    kept.seek(begin / cuts);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t s = i % cuts;
      const int64_t row_begin = by_row ? rows * s / cuts : 0,
                    row_end = by_row ? rows * (s + 1) / cuts : rows;
      const int64_t from = by_row ? 0 : run.length * s / cuts,
                    to = by_row ? run.length : run.length * (s + 1) / cuts;
      Total total = loops.init;
      reduced.seek(row_begin);
      for (int64_t r = row_begin; r < row_end; ++r, reduced.next()) {
        const int64_t at = kept.offset[1] + reduced.offset[0] + from * run.strides[0];
        const Total one = loops.run(axes.data + at * loops.bytes, run.strides[0], to - from);
        if (r == row_begin)
          total = one;
        else
          loops.merge(&total, &one, 1);
      }
      if (cuts == 1)
        finalize(kept.offset[0], total);
      else
        parts[i] = total;
      if (s == cuts - 1) kept.next();
    }
  });
  if (cuts > 1) {
    StridedIterator<2> kept = axes.kept;
    kept.seek(0);
    for (int64_t o = 0; o < outputs; ++o, kept.next()) {
      Total total = parts[o * cuts];
      for (int64_t s = 1; s < cuts; ++s) loops.merge(&total, parts + o * cuts + s, 1);
      finalize(kept.offset[0], total);
    }
  }
  return nullptr;
}

// Cuts of the rows of a tile of columns: enough for many threads, each of some size.
TL_INLINE int64_t row_cuts(int64_t tasks, int64_t rows, int64_t width) {
  if (tasks >= 32) return 1;
  // Totals are joined after kFlush rows anyway: shorter cuts would add work.
  int64_t n = rows * width / (2 * kSegment);
  n = n < rows / kFlush ? n : rows / kFlush;
  return n < 1 ? 1 : n < 64 ? n : 64;
}

const char* reduce_columns(const Loops& loops, Axes& axes, const Finalize& finalize) {
  const InnerAxis<2> columns(axes.kept);
  // Equal tiles, of whole vectors: long stretches of memory are read faster than short ones.
  const int64_t count = (columns.length + kWidest - 1) / kWidest;
  const int64_t widest = ((columns.length + count - 1) / count + 31) / 32 * 32;
  const int64_t tiles = (columns.length + widest - 1) / widest, rows = axes.reduced.count;
  const int64_t tasks = axes.kept.count * tiles, cuts = row_cuts(tasks, rows, widest);
  Scratch memory(cuts > 1 ? tasks * cuts * widest * sizeof(Total) : 0);
  Total* parts = memory.as<Total>();
  if (!parts) return "reduce: out of memory";
  auto width = [&](int64_t tile) {
    return columns.length - tile * widest < widest ? columns.length - tile * widest : widest;
  };
  auto give = [&](const StridedIterator<2>& kept, int64_t tile, const Total* totals) {
    const int64_t at = kept.offset[0] + tile * widest * columns.strides[0];
    finalize.line(at, columns.strides[0], totals, width(tile));
  };
  parallel_for(tasks * cuts, 16000 / (rows * widest / cuts + 1) + 1,
               [&](int64_t begin, int64_t end, int) {
                 StridedIterator<2> kept = axes.kept;
                 StridedIterator<1> reduced = axes.reduced;
                 alignas(64) Total own[kWidest];
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t s = i % cuts, tile = i / cuts % tiles;
                   kept.seek(i / cuts / tiles);
                   Total* totals = cuts > 1 ? parts + i * widest : own;
                   loops.tile(axes.data + (kept.offset[1] + tile * widest) * loops.bytes, reduced,
                              rows * s / cuts, rows * (s + 1) / cuts, width(tile), totals);
                   if (cuts == 1) give(kept, tile, own);
                 }
               });
  if (cuts > 1) {
    StridedIterator<2> kept = axes.kept;
    for (int64_t i = 0; i < tasks; ++i) {
      Total* totals = parts + i * cuts * widest;
      for (int64_t s = 1; s < cuts; ++s) loops.merge(totals, totals + s * widest, width(i % tiles));
      kept.seek(i / tiles);
      give(kept, i % tiles, totals);
    }
  }
  return nullptr;
}

// --- sums and extremes of short rows of floats

inline constexpr int64_t kShortRow = 256;  // elements: lanes keep their digits until the end

// How reduce_runs would take it, but that the rows are short and everything is f32.
bool short_rows(const Axes& axes, const View& out, const View& x) {
  const StridedIterator<1>& r = axes.reduced;
  return x.dtype == DType::f32 && out.dtype == DType::f32 && r.ndim == 1 && r.strides[0][0] == 1 &&
         r.count <= kShortRow;
}

// Σ p[0 … n), where `rest` has the lanes beyond the whole vectors. There is nothing to wait for
// between rows, so that the next one begins while the lanes of this one are joined.
TL_INLINE double short_row(const float* p, int64_t n, vi rest) {
  typedef double Four __attribute__((vector_size(32)));
  vf a{}, b{};
  for (; n >= 2 * kLanes; n -= 2 * kLanes, p += 2 * kLanes) {
    a += load(p);
    b += load(p + kLanes);
  }
  if (n >= kLanes) {
    a += load(p);
    n -= kLanes, p += kLanes;
  }
  if (n > 0) b += load_masked(p, rest);
  alignas(64) float lanes[kLanes];
  store(lanes, a + b);
  Four sum{};
#pragma GCC unroll 4
  for (int i = 0; i < kLanes; i += 4)
    sum += __builtin_convertvector(load_as<f32x4>(lanes + i), Four);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// The largest or smallest of p[0 … n); NaN where there is one.
template <bool kMax>
TL_INLINE float short_extreme(const float* p, int64_t n, vi rest) {
  const vf none = splat(kMax ? -__builtin_inff() : __builtin_inff());
  vf best = none;
  vi odd{};
  auto step = [&](vf x) {
    odd |= x != x;
    best = kMax ? max(best, x) : min(best, x);
  };
  for (; n >= kLanes; n -= kLanes, p += kLanes) step(load(p));
  if (n > 0) step(select(rest, load_masked(p, rest), none));
  if (any(odd)) return __builtin_nanf("");
  return kMax ? -least_lane(-best) : least_lane(best);
}

// row(p, n, rest) of each row.
template <class Row>
void by_short_rows(const Axes& axes, const View& out, const Row& row) {
  const int64_t n = axes.reduced.count;
  const float* x = reinterpret_cast<const float*>(axes.data);
  const vi rest = lanes_between(0, n % kLanes);
  parallel_for(axes.kept.count, 32768 / n + 1, [&](int64_t begin, int64_t end, int) {
    StridedIterator<2> kept = axes.kept;
    const InnerAxis<2> line(kept);
    for (int64_t i = begin; i < end;) {
      kept.seek(i / line.length);
      const int64_t first = i % line.length, count = line.length - first;
      const int64_t some = count < end - i ? count : end - i;
      const float* from = x + kept.offset[1] + first * line.strides[1];
      float* to = out.ptr<float>() + kept.offset[0] + first * line.strides[0];
      for (int64_t j = 0; j < some; ++j, from += line.strides[1], to += line.strides[0])
        *to = row(from, n, rest);
      i += some;
    }
  });
}

template <Kind kind>
const char* reduce(const Arg* args, int) {
  constexpr const char* kNames[] = {"sum", "mean", "prod", "amax", "amin"};
  constexpr const char* name = kNames[static_cast<int>(kind)];
  constexpr bool kOrder = kind == Kind::amax || kind == Kind::amin;
  const CanonicalBools canonical(*args[1].a);
  if (!canonical.ok) return "reduce: out of memory";
  const View& x = canonical.view;
  const View out = with_reduced_axes(*args[0].a, x, args[2].i);
  int64_t reduced;
  if (const char* error = check_axes(name, out, x, args[2].i, &reduced)) return error;
  if (kOrder && reduced == 0 && out.size() > 0)
    return fail("%s: expected at least one element to reduce, got none", name);
  if ((kOrder && out.dtype != x.dtype) || (is_float(x.dtype) && !is_float(out.dtype)) ||
      (kind == Kind::mean && !is_float(out.dtype)) ||
      (!is_float(out.dtype) && !is_integral(out.dtype)) || out.dtype == DType::f8e4m3 ||
      out.dtype == DType::f8e5m2) {
    return fail("%s: no code from %s to %s", name, row(x.dtype).name, row(out.dtype).name);
  }
  Loops loops;
  const char* error = for_any(x.dtype, name, [&]<class T>() -> const char* {
    if constexpr (kind == Kind::prod)
      loops = loops_of<Product, T>();
    else if constexpr (kind == Kind::amax)
      loops = loops_of<Max, T>();
    else if constexpr (kind == Kind::amin)
      loops = loops_of<Min, T>();
    else
      loops = loops_of<Sum, T>();
    return nullptr;
  });
  if (error) return error;
  const char type = row(x.dtype).kind == 'b' ? 'u' : row(x.dtype).kind;
  const double divisor = kind != Kind::mean ? 0
                         : reduced          ? static_cast<double>(reduced)
                                            : __builtin_nan("");
  const Finalize finalize{out, type, divisor};
  Axes axes(out, x, static_cast<uint64_t>(args[2].i));
  if (axes.kept.count == 0) return nullptr;
  const int near = axes.kept.ndim - 1, far = axes.reduced.ndim - 1;
  const bool columns = near >= 0 && axes.kept.strides[1][near] == 1 &&
                       axes.kept.shape[near] >= kLanes && reduced > 1 &&
                       !(far >= 0 && axes.reduced.strides[0][far] == 1);
  if (columns) return reduce_columns(loops, axes, finalize);
  if (kind != Kind::prod && short_rows(axes, out, x)) {
    by_short_rows(axes, out, [divisor](const float* p, int64_t n, vi rest) {
      if (kOrder) return short_extreme<kind == Kind::amax>(p, n, rest);
      const double total = short_row(p, n, rest);
      return static_cast<float>(divisor != 0 ? total / divisor : total);
    });
    return nullptr;
  }
  return reduce_runs(loops, axes, finalize);
}

}  // namespace

void register_reduce(KernelTable& t);
void register_reduce(KernelTable& t) {
  t.add("sum", "out:out x:in axes:i", reduce<Kind::sum>);
  t.add("mean", "out:out x:in axes:i", reduce<Kind::mean>);
  t.add("prod", "out:out x:in axes:i", reduce<Kind::prod>);
  t.add("amax", "out:out x:in axes:i", reduce<Kind::amax>);
  t.add("amin", "out:out x:in axes:i", reduce<Kind::amin>);
  register_any_all(t);
  register_arg_reduce(t);
}

}  // namespace tl::TL_ISA
