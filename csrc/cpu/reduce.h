// How the reductions accumulate: per (operation, dtype) a lane type for the inner loop and a wide
// total that lanes are merged into every kFlush steps, so that a long float sum keeps its digits.
// Only two small loops exist per (operation, dtype), a run and a tile of columns; what drives them
// is compiled once.
#pragma once
#include "norm_rows.h"

namespace tl::TL_ISA {

template <class T>
inline constexpr bool kIsHalf = __is_same(T, f16) || __is_same(T, bf16);
template <class T>
inline constexpr bool kIsReal = kIsHalf<T> || __is_same(T, float) || __is_same(T, double);
template <class T>
inline constexpr bool kIsSigned = static_cast<T>(-1) < static_cast<T>(0);

template <bool c, class A, class B>
struct Conditional {
  using Type = A;
};
template <class A, class B>
struct Conditional<false, A, B> {
  using Type = B;
};
// float for the 16-bit floats, else T itself.
template <class T>
using Value = typename Conditional<kIsHalf<T>, float, T>::Type;

template <class T>
TL_INLINE Value<T> value(T x) {
  if constexpr (kIsHalf<T>)
    return to_float(x);
  else
    return x;
}

template <class T>
constexpr T lowest() {
  if constexpr (__is_same(T, float))
    return -__builtin_inff();
  else if constexpr (__is_same(T, double))
    return -__builtin_inf();
  else if constexpr (kIsSigned<T>)
    return static_cast<T>(uint64_t{1} << (8 * sizeof(T) - 1));
  else
    return 0;
}
template <class T>
constexpr T highest() {
  if constexpr (__is_same(T, float))
    return __builtin_inff();
  else if constexpr (__is_same(T, double))
    return __builtin_inf();
  else
    return static_cast<T>(~lowest<T>());
}

// The 64-bit type that totals of T are kept in.
template <class T>
using AccumulatorType =
    typename Conditional<kIsReal<T>, double,
                         typename Conditional<kIsSigned<Value<T>>, int64_t, uint64_t>::Type>::Type;
union Total {
  double f;
  int64_t i;
  uint64_t u;
};

// Integers wrap around, as in numpy and torch: they are added and multiplied unsigned.
template <class T>
struct Sum {
  using Lane = typename Conditional<kIsReal<T>, Value<T>, uint64_t>::Type;
  using Accumulator = typename Conditional<kIsReal<T>, double, uint64_t>::Type;
  static constexpr Lane kInit = 0;
  template <class V>
  TL_INLINE static V step(V a, V x) {
    return a + x;
  }
};
template <class T>
struct Product {
  using Lane = typename Sum<T>::Lane;
  using Accumulator = typename Sum<T>::Accumulator;
  static constexpr Lane kInit = 1;
  template <class V>
  TL_INLINE static V step(V a, V x) {
    return a * x;
  }
};
// A NaN wins, as in torch and numpy. `faster` drops one that it has met: reduce_run looks for these
// by itself.
template <class T>
struct Max {
  using Lane = Value<T>;
  using Accumulator = AccumulatorType<T>;
  static constexpr Lane kInit = lowest<Lane>();
  template <class V>
  TL_INLINE static V step(V a, V x) {
    if constexpr (kIsReal<T>)
      return (x > a) | (x != x) ? x : a;
    else
      return x > a ? x : a;
  }
  TL_INLINE static vf faster(vf a, vf x) { return max(a, x); }
};
template <class T>
struct Min {
  using Lane = Value<T>;
  using Accumulator = AccumulatorType<T>;
  static constexpr Lane kInit = highest<Lane>();
  template <class V>
  TL_INLINE static V step(V a, V x) {
    if constexpr (kIsReal<T>)
      return (x < a) | (x != x) ? x : a;
    else
      return x < a ? x : a;
  }
  TL_INLINE static vf faster(vf a, vf x) { return min(a, x); }
};

inline constexpr int64_t kFlush = 128;  // steps of a lane before it is merged into the total

template <class L>
struct Lanes {
  static constexpr int kWidth = 4 * kLanes / sizeof(L);
  typedef L Vector __attribute__((vector_size(4 * kLanes)));
};

// kWidth elements of T as lanes.
template <class L, class T>
TL_INLINE typename Lanes<L>::Vector load_lanes(const T* p) {
  using V = typename Lanes<L>::Vector;
  if constexpr (kIsHalf<T>) {
    return (V)load(p);
  } else if constexpr (__is_same(T, L)) {
    V v;
    memcpy(&v, p, sizeof v);
    return v;
  } else {
    typedef T Narrow __attribute__((vector_size(sizeof(T) * Lanes<L>::kWidth)));
    Narrow v;
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, V);
  }
}

// 4 · kLanes elements a step; a NaN among them makes all lanes NaN. (Sums beside the extremes would
// tell of one, too, but read each element twice.)
template <class O, class T>
TL_INLINE vf reduce_ordered(const T* p, int64_t n, vf a) {
  vf b = a, c = a, d = a;
  vi none{};
  for (int64_t i = 0; i < n; i += 4 * kLanes) {
    const vf w = load(p + i), x = load(p + i + kLanes), y = load(p + i + 2 * kLanes),
             z = load(p + i + 3 * kLanes);
    none |= ((w != w) | (x != x)) | ((y != y) | (z != z));
    a = O::faster(a, w);
    b = O::faster(b, x);
    c = O::faster(c, y);
    d = O::faster(d, z);
  }
  a = O::faster(O::faster(a, b), O::faster(c, d));
  return any(none) ? splat(__builtin_nanf("")) : a;
}

// In four chains, for the sake of short rows.
template <class O, class L, class V, class W>
TL_INLINE W join_lanes(V a, W total) {
  W joined[4] = {total, O::kInit, O::kInit, O::kInit};
  for (int j = 0; j < Lanes<L>::kWidth; ++j)
    joined[j % 4] = O::step(joined[j % 4], static_cast<W>(static_cast<L>(a[j])));
  return O::step(O::step(joined[0], joined[1]), O::step(joined[2], joined[3]));
}

// Reduces n elements `stride` apart.
template <template <class> class Op, class T>
TL_INLINE typename Op<T>::Accumulator reduce_run(const T* p, int64_t stride, int64_t n) {
  using O = Op<T>;
  using L = typename O::Lane;
  using W = typename O::Accumulator;
  constexpr int w = Lanes<L>::kWidth;
  using V = typename Lanes<L>::Vector;
  // Of floats what is left is taken by whole vectors, too: rows may be short.
  constexpr int64_t step = __is_same(L, float) ? w : 4 * w;
  W total = static_cast<W>(O::kInit);
  int64_t i = 0;
  if (stride == 1) {
    while (i + step <= n) {
      int64_t end = i + 4 * w * kFlush < n ? i + 4 * w * kFlush : n;
      V a = V{} + O::kInit, b = a, c = a, d = a;
      if constexpr (__is_same(L, float) && requires { O::faster(a, b); }) {
        a = reduce_ordered<O>(p + i, (end - i) / (4 * w) * (4 * w), a);
        i += (end - i) / (4 * w) * (4 * w);
      } else {
        for (; i + 4 * w <= end; i += 4 * w) {
          a = O::step(a, load_lanes<L>(p + i));
          b = O::step(b, load_lanes<L>(p + i + w));
          c = O::step(c, load_lanes<L>(p + i + 2 * w));
          d = O::step(d, load_lanes<L>(p + i + 3 * w));
        }
        a = O::step(O::step(a, b), O::step(c, d));
      }
      if constexpr (__is_same(L, float))
        for (; i + w <= end; i += w) a = O::step(a, load_lanes<L>(p + i));
      total = join_lanes<O, L>(a, total);
    }
  }
  while (i < n) {
    const int64_t end = i + kFlush < n ? i + kFlush : n;
    L a = O::kInit;
    for (; i < end; ++i) a = O::step(a, static_cast<L>(value(p[i * stride])));
    total = O::step(total, static_cast<W>(a));
  }
  return total;
}

// For every dtype with an order: f.operator()<T>().
template <class F>
TL_INLINE const char* for_any(DType d, const char* kernel, const F& f) {
  switch (d) {
    case DType::bool_:
    case DType::u8:
      return f.template operator()<uint8_t>();
    case DType::i8:
      return f.template operator()<int8_t>();
    case DType::i16:
      return f.template operator()<int16_t>();
    case DType::u16:
      return f.template operator()<uint16_t>();
    case DType::i32:
      return f.template operator()<int32_t>();
    case DType::u32:
      return f.template operator()<uint32_t>();
    case DType::i64:
      return f.template operator()<int64_t>();
    case DType::u64:
      return f.template operator()<uint64_t>();
    case DType::f16:
      return f.template operator()<f16>();
    case DType::bf16:
      return f.template operator()<bf16>();
    case DType::f32:
      return f.template operator()<float>();
    case DType::f64:
      return f.template operator()<double>();
    default:
      return fail("%s: no code for %s", kernel, row(d).name);
  }
}

// The axes of one reduction: kept ones with strides in out and x, reduced ones with their stride in
// x, each merged and sorted from far to near.
struct Axes {
  StridedIterator<2> kept;     // 0: out, 1: x
  StridedIterator<1> reduced;  // of x
  const std::byte* data;

  // `mask`: bit i set = axis i is reduced.
  Axes(const View& out, const View& x, uint64_t mask) : data(x.data) {
    int order[kMaxDims], n = 0;
    int64_t step[kMaxDims];
    for (int i = 0; i < x.ndim; ++i) {
      step[i] = x.strides[i];
      if ((mask >> i & 1) && step[i] < 0) {  // the order within a reduction is free: go upwards
        data += (x.shape[i] - 1) * step[i] * bytes_of(x.dtype) * (x.shape[i] > 0);
        step[i] = -step[i];
      }
      order[n++] = i;
    }
    auto size = [&](int i) { return step[i] < 0 ? -step[i] : step[i]; };
    for (int i = 1; i < n; ++i) {
      for (int j = i; j > 0 && size(order[j - 1]) < size(order[j]); --j) {
        const int swap = order[j];
        order[j] = order[j - 1];
        order[j - 1] = swap;
      }
    }
    for (int i = 0; i < n; ++i) {
      const int a = order[i];
      if (mask >> a & 1)
        reduced.axis(x.shape[a], {step[a]});
      else
        kept.axis(x.shape[a], {out.strides[a], step[a]});
    }
  }
};

// What kernels that add up, compare or rank bools read in their place: the array itself, or, when
// it holds other bytes than 0 and 1, a copy in which these are 1 (of each element once: axes of
// stride 0 keep it).
class CanonicalBools {
 public:
  View view;
  bool ok = true;

  explicit CanonicalBools(const View& x)
      : view(x), copy_(has_other_bytes(x) ? distinct(x).count : 0) {
    if (!other_bytes_) return;
    ok = copy_.as<uint8_t>() != nullptr;
    if (!ok) return;
    int64_t stride = 1;
    for (int i = x.ndim - 1; i >= 0; --i) {
      if (x.shape[i] == 1 || x.strides[i] == 0) continue;
      view.strides[i] = stride;
      stride *= x.shape[i];
    }
    view.data = copy_.as<std::byte>();
    StridedIterator<1> it = distinct(x);
    it.seek(0);
    for (int64_t i = 0; i < it.count; ++i, it.next())
      view.ptr<uint8_t>()[i] = x.ptr<uint8_t>()[it.offset[0]] != 0;
  }

 private:
  static StridedIterator<1> distinct(const View& x) {
    StridedIterator<1> it;
    for (int i = 0; i < x.ndim; ++i) {
      if (x.shape[i] == 0 || x.strides[i] != 0) it.axis(x.shape[i], {x.strides[i]});
    }
    return it;
  }
  bool has_other_bytes(const View& x) {
    if (x.dtype != DType::bool_) return false;
    StridedIterator<1> rows = distinct(x);
    const InnerAxis<1> run(rows);
    const int64_t cuts = run.length / kPiece + 1, length = (run.length + cuts - 1) / cuts;
    parallel_for(rows.count * cuts, kPiece / (length + 1) + 1,
                 [&](int64_t begin, int64_t end, int) {
                   StridedIterator<1> it = rows;
                   uint8_t bits = 0;
                   for (int64_t i = begin; i < end; ++i) {
                     it.seek(i / cuts);
                     const int64_t from = i % cuts * length;
                     const int64_t n = run.length - from < length ? run.length - from : length;
                     const uint8_t* p = x.ptr<uint8_t>() + it.offset[0] + from * run.strides[0];
                     if (run.strides[0] == 1)
                       for (int64_t j = 0; j < n; ++j) bits |= p[j];
                     else
                       for (int64_t j = 0; j < n; ++j) bits |= p[j * run.strides[0]];
                   }
                   if (bits > 1) __atomic_store_n(&other_bytes_, true, __ATOMIC_RELAXED);
                 });
    return other_bytes_;
  }

  static constexpr int64_t kPiece = int64_t{1} << 18;
  bool other_bytes_ = false;
  Scratch copy_;
};

// `out` with axes of length 1 in the place of the reduced ones, where it comes without them.
TL_INLINE View with_reduced_axes(const View& out, const View& x, int64_t mask) {
  View whole = out;
  mask &= (int64_t{1} << x.ndim) - 1;
  if (out.ndim + __builtin_popcountll(mask) != x.ndim) return whole;
  whole.ndim = x.ndim;
  for (int i = 0, from = 0; i < x.ndim; ++i) {
    const bool gone = mask >> i & 1;
    whole.shape[i] = gone ? 1 : out.shape[from];
    whole.strides[i] = gone ? 1 : out.strides[from];
    from += !gone;
  }
  return whole;
}

// out like x with the axes in `mask` of length 1; *reduced: elements per output.
TL_INLINE const char* check_axes(const char* kernel, const View& out, const View& x, int64_t mask,
                                 int64_t* reduced) {
  bool fits = out.ndim == x.ndim;
  *reduced = 1;
  for (int i = 0; fits && i < x.ndim; ++i) {
    const bool gone = mask >> i & 1;
    fits = out.shape[i] == (gone ? 1 : x.shape[i]);
    if (gone) *reduced *= x.shape[i];
  }
  return fits ? nullptr : fail("%s: expected out like x with the reduced axes of length 1", kernel);
}

inline constexpr int64_t kSegment = 32768;  // elements of one segment of a long reduction
inline constexpr int64_t kTile = 512;       // columns accumulated at once

void register_any_all(KernelTable& t);
void register_arg_reduce(KernelTable& t);

}  // namespace tl::TL_ISA
