// argmax and argmin: the first place of the extreme value, a NaN winning over everything.
#include "reduce.h"

namespace tl::TL_ISA {
namespace {

template <class T, bool kMax>
TL_INLINE bool better(T x, T best) {  // a NaN beats all but an earlier NaN
  if constexpr (kIsReal<T>) {
    if (x != x) return best == best;
  }
  return kMax ? x > best : x < best;
}

// Whether some lane of a comparison is true.
template <class M>
TL_INLINE bool any_lane(M mask) {
  uint64_t words[sizeof(M) / 8], all = 0;
  memcpy(words, &mask, sizeof words);
  for (uint64_t word : words) all |= word;
  return all != 0;
}

// First place of `best`, which is there, among n elements.
template <class T>
TL_INLINE int64_t find_value(const T* p, int64_t stride, int64_t n, Value<T> best) {
  using L = Value<T>;
  constexpr int w = Lanes<L>::kWidth;
  int64_t i = 0;
  if (stride == 1 && best == best) {
    for (; i + 4 * w <= n; i += 4 * w) {
      const auto near = (load_lanes<L>(p + i) == best) | (load_lanes<L>(p + i + w) == best);
      const auto far =
          (load_lanes<L>(p + i + 2 * w) == best) | (load_lanes<L>(p + i + 3 * w) == best);
      if (any_lane(near | far)) break;
    }
    for (; i + w <= n; i += w) {
      if (any_lane(load_lanes<L>(p + i) == best)) break;
    }
  }
  for (; i < n; ++i) {
    const L x = value(p[i * stride]);
    if (x == best || (x != x && best != best)) return i;
  }
  return 0;
}

// A value on its way between the kernels of one dtype and what combines them for all dtypes.
struct AnyValue {
  alignas(8) unsigned char bytes[8];
};

// What one dtype and direction do: the rest of this file is compiled once, since a copy for each of
// them was most of its code.
struct ArgKernel {
  // First place of the extreme among n elements `stride` apart, which goes to `found`.
  int64_t (*run)(const char* p, int64_t stride, int64_t n, AnyValue* found);
  // Of each of `width` <= kTile neighbouring columns of n rows, `stride` apart.
  void (*columns)(const char* p, int64_t stride, int64_t n, int64_t width, int64_t* index);
  bool (*better)(AnyValue x, AnyValue best);
  int64_t size;  // bytes of an element
};

// Block by block, then within the block that has it.
template <class T, bool kMax>
int64_t extreme_of_run(const char* data, int64_t stride, int64_t n, AnyValue* found) {
  const T* p = reinterpret_cast<const T*>(data);
  constexpr int64_t kBlock = 1024;
  Value<T> best{};
  int64_t at = 0;
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t length = n - i < kBlock ? n - i : kBlock;
    Value<T> x;
    if constexpr (kMax)
      x = reduce_run<Max>(p + i * stride, stride, length);
    else
      x = reduce_run<Min>(p + i * stride, stride, length);
    if (i == 0 || better<Value<T>, kMax>(x, best)) {
      best = x;
      at = i;
    }
  }
  memcpy(found, &best, sizeof best);
  return at + find_value(p + at * stride, stride, n - at < kBlock ? n - at : kBlock, best);
}

template <class T, bool kMax>
void extreme_of_columns(const char* data, int64_t stride, int64_t n, int64_t width,
                        int64_t* index) {
  const T* p = reinterpret_cast<const T*>(data);
  Value<T> best[kTile];
  for (int64_t j = 0; j < width; ++j) best[j] = value(p[j]), index[j] = 0;
  for (int64_t r = 1; r < n; ++r) {
    const T* from = p + r * stride;
    for (int64_t j = 0; j < width; ++j) {
      const Value<T> v = value(from[j]);
      const bool wins = better<Value<T>, kMax>(v, best[j]);
      best[j] = wins ? v : best[j];
      index[j] = wins ? r : index[j];
    }
  }
}

template <class T, bool kMax>
bool better_of_any(AnyValue x, AnyValue best) {
  Value<T> a, b;
  memcpy(&a, &x, sizeof a);
  memcpy(&b, &best, sizeof b);
  return better<Value<T>, kMax>(a, b);
}

const char* arg_flat(const View& out, const View& x, const ArgKernel& kernel) {
  StridedIterator<1> all;
  for (int i = 0; i < x.ndim; ++i) all.axis(x.shape[i], {x.strides[i]});
  const int64_t n = all.count;
  const InnerAxis<1> run(all);
  const int64_t rows = all.count,
                cuts = run.length > kSegment ? (run.length + kSegment - 1) / kSegment : 1;
  struct Best {
    AnyValue value;
    int64_t index;
  };
  Scratch memory(rows * cuts * sizeof(Best));
  Best* found = memory.as<Best>();
  if (!found) return "argmax: out of memory";
  parallel_for(
      rows * cuts, 16000 / (n / (rows * cuts) + 1) + 1, [&](int64_t begin, int64_t end, int) {
        StridedIterator<1> it = all;
        for (int64_t i = begin; i < end; ++i) {
          it.seek(i / cuts);
          const int64_t from = run.length * (i % cuts) / cuts,
                        to = run.length * (i % cuts + 1) / cuts;
          const char* p = x.ptr<char>() + (it.offset[0] + from * run.strides[0]) * kernel.size;
          found[i].index = i / cuts * run.length + from +
                           kernel.run(p, run.strides[0], to - from, &found[i].value);
        }
      });
  Best best = found[0];
  for (int64_t i = 1; i < rows * cuts; ++i) {
    if (kernel.better(found[i].value, best.value)) best = found[i];
  }
  out.ptr<int64_t>()[0] = best.index;
  return nullptr;
}

const char* arg_axis(const View& out, const View& x, int axis, const ArgKernel& kernel) {
  StridedIterator<2> kept;
  for (int i = 0; i < x.ndim; ++i) {
    if (i != axis) kept.axis(x.shape[i], {out.strides[i], x.strides[i]});
  }
  const int64_t n = x.shape[axis], stride = x.strides[axis];
  if (stride != 1 && kept.ndim > 0 && kept.strides[1][kept.ndim - 1] == 1) {
    const InnerAxis<2> columns(kept);
    const int64_t tiles = (columns.length + kTile - 1) / kTile;
    parallel_for(
        kept.count * tiles, 8000 / (n * (columns.length < kTile ? columns.length : kTile)) + 1,
        [&](int64_t begin, int64_t end, int) {
          StridedIterator<2> it = kept;
          int64_t index[kTile];
          for (int64_t i = begin; i < end; ++i) {
            it.seek(i / tiles);
            const int64_t first = i % tiles * kTile;
            const int64_t width = columns.length - first < kTile ? columns.length - first : kTile;
            kernel.columns(x.ptr<char>() + (it.offset[1] + first) * kernel.size, stride, n, width,
                           index);
            for (int64_t j = 0; j < width; ++j) {
              out.ptr<int64_t>()[it.offset[0] + (first + j) * columns.strides[0]] = index[j];
            }
          }
        });
    return nullptr;
  }
  parallel_for(kept.count, 8000 / n + 1, [&](int64_t begin, int64_t end, int) {
    StridedIterator<2> it = kept;
    it.seek(begin);
    for (int64_t i = begin; i < end; ++i, it.next()) {
      AnyValue unused;
      out.ptr<int64_t>()[it.offset[0]] =
          kernel.run(x.ptr<char>() + it.offset[1] * kernel.size, stride, n, &unused);
    }
  });
  return nullptr;
}

template <bool kMax>
const char* arg_extreme(const Arg* args, int) {
  const char* name = kMax ? "argmax" : "argmin";
  const CanonicalBools canonical(*args[1].a);
  if (!canonical.ok) return fail("%s: out of memory", name);
  const View& x = canonical.view;
  const int64_t axis = args[2].i;
  const bool one = axis >= 0 && axis < x.ndim;
  const View out = with_reduced_axes(*args[0].a, x, one ? int64_t{1} << axis : 0);
  if (out.dtype != DType::i64)
    return fail("%s: expected an i64 out, got %s", name, row(out.dtype).name);
  if (axis < -1 || axis >= x.ndim)
    return fail("%s: axis %lld of %d axes", name, static_cast<long long>(axis), x.ndim);
  int64_t reduced = 0;
  if (axis >= 0) {
    if (const char* error = check_axes(name, out, x, int64_t{1} << axis, &reduced)) return error;
    if (out.size() == 0) return nullptr;
  } else {
    reduced = x.size();
    if (out.size() != 1) return fail("%s: expected an out of one element", name);
  }
  if (reduced == 0) return fail("%s: expected at least one element, got none", name);
  return for_any(x.dtype, name, [&]<class T>() -> const char* {
    static_assert(sizeof(Value<T>) <= sizeof(AnyValue));
    const ArgKernel kernel{extreme_of_run<T, kMax>, extreme_of_columns<T, kMax>,
                           better_of_any<T, kMax>, sizeof(T)};
    return axis < 0 ? arg_flat(out, x, kernel) : arg_axis(out, x, static_cast<int>(axis), kernel);
  });
}

}  // namespace

void register_arg_reduce(KernelTable& t) {
  t.add("argmax", "out:out x:in axis:i", arg_extreme<true>);
  t.add("argmin", "out:out x:in axis:i", arg_extreme<false>);
}

}  // namespace tl::TL_ISA
