// Gathering and scattering along one axis: out[…, i, …] = x[…, index[…, i, …], …] and the converse,
// which may also add, multiply or take the extreme.
//
// An index that is the same for a whole row (expanded, stride 0) moves the row at once, so these
// two kernels also serve index_select, index_add, index_copy, embedding gradients and their like.
// A scatter is split between threads by what lies beside the axis, never along it: each target is
// written by one thread, in the order of the index, whatever the number of threads.
#include "overlap.h"
#include "reduce.h"

namespace tl::TL_ISA {
namespace {

enum Mode : int64_t { kSet, kAdd, kMultiply, kMax, kMin };

// m times: table[c * ts + index[c * is] * td] meets many[c * ms]. Strides in elements.
using Elements = void (*)(std::byte* table, int64_t ts, int64_t td, const int64_t* index,
                          int64_t is, std::byte* many, int64_t ms, int64_t m);
// m times: table[c * ts] meets many[c * ms].
using Row = void (*)(std::byte* table, int64_t ts, std::byte* many, int64_t ms, int64_t m);

struct Moves {
  Elements elements = nullptr;
  Row row = nullptr;
};

template <class Word>
void gather_elements(std::byte* table, int64_t ts, int64_t td, const int64_t* index, int64_t is,
                     std::byte* many, int64_t ms, int64_t m) {
  const Word* from = reinterpret_cast<const Word*>(table);
  Word* to = reinterpret_cast<Word*>(many);
  if (ts == 0 && td == 1 && is == 1 && ms == 1) {
    for (int64_t c = 0; c < m; ++c) to[c] = from[index[c]];
  } else if (ts == 1 && is == 1 && ms == 1) {
    for (int64_t c = 0; c < m; ++c) to[c] = from[c + index[c] * td];
  } else {
    for (int64_t c = 0; c < m; ++c) to[c * ms] = from[c * ts + index[c * is] * td];
  }
}
template <class Word>
void gather_row(std::byte* table, int64_t ts, std::byte* many, int64_t ms, int64_t m) {
  const Word* from = reinterpret_cast<const Word*>(table);
  Word* to = reinterpret_cast<Word*>(many);
  if (ts == 1 && ms == 1) {
    memcpy(to, from, m * sizeof(Word));
    return;
  }
  for (int64_t c = 0; c < m; ++c) to[c * ms] = from[c * ts];
}
template <class Word>
void scatter_elements(std::byte* table, int64_t ts, int64_t td, const int64_t* index, int64_t is,
                      std::byte* many, int64_t ms, int64_t m) {
  Word* to = reinterpret_cast<Word*>(table);
  const Word* from = reinterpret_cast<const Word*>(many);
  for (int64_t c = 0; c < m; ++c) to[c * ts + index[c * is] * td] = from[c * ms];
}
template <class Word>
void scatter_row(std::byte* table, int64_t ts, std::byte* many, int64_t ms, int64_t m) {
  gather_row<Word>(many, ms, table, ts, m);
}

struct Complex {
  float re, im;
};

template <class T, Mode mode>
TL_INLINE T combine(T a, T b) {
  if constexpr (__is_same(T, Complex)) {
    if constexpr (mode == kAdd)
      return {a.re + b.re, a.im + b.im};
    else
      return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  } else if constexpr (mode == kMax) {
    return Max<T>::step(a, b);
  } else if constexpr (mode == kMin) {
    return Min<T>::step(a, b);
  } else {
    using L = typename Pick<kIsReal<T>, T, uint64_t>::Type;  // integers wrap
    const L x = static_cast<L>(a), y = static_cast<L>(b);
    return static_cast<T>(mode == kAdd ? x + y : x * y);
  }
}
template <class T, Mode mode>
void reduce_elements(std::byte* table, int64_t ts, int64_t td, const int64_t* index, int64_t is,
                     std::byte* many, int64_t ms, int64_t m) {
  T* to = reinterpret_cast<T*>(table);
  const T* from = reinterpret_cast<const T*>(many);
  for (int64_t c = 0; c < m; ++c) {
    T& target = to[c * ts + index[c * is] * td];
    target = combine<T, mode>(target, from[c * ms]);
  }
}
template <class T, Mode mode>
void reduce_row(std::byte* table, int64_t ts, std::byte* many, int64_t ms, int64_t m) {
  T* to = reinterpret_cast<T*>(table);
  const T* from = reinterpret_cast<const T*>(many);
  if (ts == 1 && ms == 1) {
    for (int64_t c = 0; c < m; ++c) to[c] = combine<T, mode>(to[c], from[c]);
    return;
  }
  for (int64_t c = 0; c < m; ++c) to[c * ts] = combine<T, mode>(to[c * ts], from[c * ms]);
}

template <template <class> class Pair>
Moves by_word(DType d) {
  switch (is_block(d) ? 0 : bytes_of(d)) {
    case 1:
      return Pair<uint8_t>::get();
    case 2:
      return Pair<uint16_t>::get();
    case 4:
      return Pair<uint32_t>::get();
    case 8:
      return Pair<uint64_t>::get();
    default:
      return {};
  }
}
template <class Word>
struct Gather {
  static Moves get() { return {gather_elements<Word>, gather_row<Word>}; }
};
template <class Word>
struct Scatter {
  static Moves get() { return {scatter_elements<Word>, scatter_row<Word>}; }
};
template <class T>
Moves reducing(Mode mode) {
  switch (mode) {
    case kAdd:
      return {reduce_elements<T, kAdd>, reduce_row<T, kAdd>};
    case kMultiply:
      return {reduce_elements<T, kMultiply>, reduce_row<T, kMultiply>};
    case kMax:
      return {reduce_elements<T, kMax>, reduce_row<T, kMax>};
    case kMin:
      return {reduce_elements<T, kMin>, reduce_row<T, kMin>};
    default:
      return {};
  }
}
Moves reducing_moves(DType d, Mode mode) {
  switch (d) {
    case DType::bool_:  // as numbers of one bit: any, all
      return reducing<uint8_t>(mode == kAdd ? kMax : mode == kMultiply ? kMin : mode);
    case DType::u8:
      return reducing<uint8_t>(mode);
    case DType::i8:
      return reducing<int8_t>(mode);
    case DType::i16:
      return reducing<int16_t>(mode);
    case DType::u16:
      return reducing<uint16_t>(mode);
    case DType::i32:
      return reducing<int32_t>(mode);
    case DType::u32:
      return reducing<uint32_t>(mode);
    case DType::i64:
      return reducing<int64_t>(mode);
    case DType::u64:
      return reducing<uint64_t>(mode);
    case DType::f32:
      return reducing<float>(mode);
    case DType::f64:
      return reducing<double>(mode);
    case DType::complex64:
      return mode == kAdd ? Moves{reduce_elements<Complex, kAdd>, reduce_row<Complex, kAdd>}
             : mode == kMultiply
                 ? Moves{reduce_elements<Complex, kMultiply>, reduce_row<Complex, kMultiply>}
                 : Moves{};
    default:
      return {};
  }
}

bool inside(const int64_t* index, int64_t stride, int64_t n, int64_t size) {
  const uint64_t bound = static_cast<uint64_t>(size);
  uint64_t bad = 0;
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) bad |= static_cast<uint64_t>(index[i]) >= bound;
  } else {
    for (int64_t i = 0; i < n; ++i) bad |= static_cast<uint64_t>(index[i * stride]) >= bound;
  }
  return bad == 0;
}

const char* outside(const char* kernel, const View& index, int64_t size) {
  Walk<1> all;
  for (int i = 0; i < index.ndim; ++i) all.axis(index.shape[i], {index.strides[i]});
  all.seek(0);
  for (int64_t i = 0; i < all.count; ++i, all.next()) {
    const int64_t got = index.ptr<int64_t>()[all.offset[0]];
    if (got < 0 || got >= size) {
      return fail("%s: expected an index in [0, %lld), got %lld", kernel,
                  static_cast<long long>(size), static_cast<long long>(got));
    }
  }
  return nullptr;
}

// What moves: along the axis `n` elements; beside it the others, of which the nearest axis may have
// been taken off as the inner run (`by_row`), so that memory is walked in order.
struct Lines {
  Walk<3> others;  // 0: table, 1: index, 2: many
  int64_t n, size, td, is, ms;
  bool by_row = false;
  int64_t length = 1, inner[3] = {};

  Lines(const View& table, const View& index, const View& many, int axis)
      : n(index.shape[axis]),
        size(table.shape[axis]),
        td(table.strides[axis]),
        is(index.strides[axis]),
        ms(many.strides[axis]) {
    int order[kMaxDims], count = 0;
    auto size_of = [](int64_t x) { return x < 0 ? -x : x; };
    auto far = [&](int i) { return size_of(many.strides[i]) + size_of(table.strides[i]); };
    for (int i = 0; i < index.ndim; ++i) {
      if (i != axis && index.shape[i] != 1) order[count++] = i;
      for (int j = count - 1; j > 0 && i != axis && far(order[j - 1]) < far(order[j]); --j) {
        const int swap = order[j];
        order[j] = order[j - 1];
        order[j - 1] = swap;
      }
    }
    by_row = count > 0 && (n == 1 || far(order[count - 1]) < far(axis));
    for (int i = 0; i < count; ++i) {
      const int a = order[i];
      others.axis(index.shape[a], {table.strides[a], index.strides[a], many.strides[a]});
    }
    if (by_row && others.ndim > 0) {
      const Inner<3> run(others);
      length = run.length;
      for (int k = 0; k < 3; ++k) inner[k] = run.strides[k];
    }
  }
};

const char* check(const char* kernel, const View& table, const View& index, const View& many,
                  int64_t axis) {
  if (index.dtype != DType::i64)
    return fail("%s: expected an i64 index, got %s", kernel, row(index.dtype).name);
  if (table.dtype != many.dtype) return fail("%s: expected equal dtypes", kernel);
  bool fits = index.ndim == table.ndim && many.ndim == table.ndim && axis >= 0 && axis < table.ndim;
  for (int i = 0; fits && i < index.ndim; ++i) {
    fits = index.shape[i] <= many.shape[i] && (i == axis || index.shape[i] <= table.shape[i]);
  }
  return fits ? nullptr : fail("%s: expected an index of a fitting shape", kernel);
}

const char* gather(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &index = *args[2].a;
  if (const char* error = check("gather", x, index, out, args[3].i)) return error;
  if (may_overlap(out, index)) return "gather: expected an index that is no part of out";
  const Moves moves = by_word<Gather>(x.dtype);
  if (!moves.row) return fail("gather: no code for %s", row(x.dtype).name);
  if (index.size() == 0) return nullptr;
  const Lines l(x, index, out, static_cast<int>(args[3].i));
  const int64_t bytes = bytes_of(x.dtype);
  const int64_t* at = index.ptr<int64_t>();
  bool bad = false;
  if (l.by_row) {
    parallel_for(l.others.count * l.n, 16384 / l.length + 1, [&](int64_t begin, int64_t end, int) {
      Walk<3> walk = l.others;
      int64_t j = begin % l.n;
      walk.seek(begin / l.n);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t* position = at + walk.offset[1] + j * l.is;
        std::byte* table = x.data + walk.offset[0] * bytes;
        std::byte* many = out.data + (walk.offset[2] + j * l.ms) * bytes;
        const bool same = l.inner[1] == 0;
        if (!inside(position, l.inner[1], same ? 1 : l.length, l.size)) {
          __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
          return;
        }
        if (same)
          moves.row(table + *position * l.td * bytes, l.inner[0], many, l.inner[2], l.length);
        else
          moves.elements(table, l.inner[0], l.td, position, l.inner[1], many, l.inner[2], l.length);
        if (++j == l.n) {
          j = 0;
          walk.next();
        }
      }
    });
  } else {
    const int64_t cuts = (l.n + 8191) / 8192;
    parallel_for(l.others.count * cuts, 8192 * cuts / l.n + 1,
                 [&](int64_t begin, int64_t end, int) {
                   Walk<3> walk = l.others;
                   for (int64_t i = begin; i < end; ++i) {
                     walk.seek(i / cuts);
                     const int64_t from = i % cuts * 8192;
                     const int64_t m = l.n - from < 8192 ? l.n - from : 8192;
                     const int64_t* position = at + walk.offset[1] + from * l.is;
                     if (!inside(position, l.is, m, l.size)) {
                       __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
                       return;
                     }
                     moves.elements(x.data + walk.offset[0] * bytes, 0, l.td, position, l.is,
                                    out.data + (walk.offset[2] + from * l.ms) * bytes, l.ms, m);
                   }
                 });
  }
  return bad ? outside("gather", index, l.size) : nullptr;
}

const char* scatter(const Arg* args, int) {
  const View &out = *args[0].a, &index = *args[1].a, &source = *args[2].a;
  const int axis = static_cast<int>(args[3].i);
  if (const char* error = check("scatter", out, index, source, args[3].i)) return error;
  if (may_overlap(out, index)) return "scatter: expected an index that is no part of out";
  const Mode mode = static_cast<Mode>(args[4].i);
  const Moves moves = mode == kSet ? by_word<Scatter>(out.dtype) : reducing_moves(out.dtype, mode);
  if (!moves.row) return fail("scatter: no code for %s", row(out.dtype).name);
  if (index.size() == 0) return nullptr;
  View distinct = index;  // an expanded index is looked at once
  for (int i = 0; i < distinct.ndim; ++i) {
    if (distinct.strides[i] == 0) distinct.shape[i] = 1;
  }
  Walk<1> all;
  for (int i = 0; i < distinct.ndim; ++i) all.axis(distinct.shape[i], {distinct.strides[i]});
  const Inner<1> run(all);
  bool bad = false;
  parallel_for(all.count, 16384 / run.length + 1, [&](int64_t begin, int64_t end, int) {
    Walk<1> walk = all;
    walk.seek(begin);
    for (int64_t i = begin; i < end; ++i, walk.next()) {
      if (!inside(index.ptr<int64_t>() + walk.offset[0], run.strides[0], run.length,
                  out.shape[axis]))
        __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
    }
  });
  if (bad) return outside("scatter", distinct, out.shape[axis]);

  const Lines l(out, index, source, axis);
  const int64_t bytes = bytes_of(out.dtype);
  const int64_t* at = index.ptr<int64_t>();
  // How columns are cut does not matter for the result: each is one thread's.
  int64_t cuts = l.others.count > 4 * num_threads() ? 1 : 4 * num_threads();
  if (cuts > (l.length + 63) / 64) cuts = (l.length + 63) / 64;
  const int64_t columns = (l.length + cuts - 1) / cuts;
  parallel_for(l.others.count * cuts, 8192 / (l.n * columns) + 1,
               [&](int64_t begin, int64_t end, int) {
                 Walk<3> walk = l.others;
                 for (int64_t i = begin; i < end; ++i) {
                   walk.seek(i / cuts);
                   const int64_t from = i % cuts * columns;
                   const int64_t m = l.length - from < columns ? l.length - from : columns;
                   if (m <= 0) continue;
                   std::byte* table = out.data + (walk.offset[0] + from * l.inner[0]) * bytes;
                   const int64_t* position = at + walk.offset[1] + from * l.inner[1];
                   std::byte* many = source.data + (walk.offset[2] + from * l.inner[2]) * bytes;
                   if (!l.by_row) {
                     moves.elements(table, 0, l.td, position, l.is, many, l.ms, l.n);
                     continue;
                   }
                   for (int64_t j = 0; j < l.n; ++j) {
                     const int64_t* p = position + j * l.is;
                     if (l.inner[1] == 0)
                       moves.row(table + *p * l.td * bytes, l.inner[0], many + j * l.ms * bytes,
                                 l.inner[2], m);
                     else
                       moves.elements(table, l.inner[0], l.td, p, l.inner[1],
                                      many + j * l.ms * bytes, l.inner[2], m);
                   }
                 }
               });
  return nullptr;
}

}  // namespace

void register_scatter(KernelTable& t);
void register_scatter(KernelTable& t) {
  t.add("gather", "out:out x:in index:in axis:i", gather);
  t.add("scatter", "out:inout index:in source:in axis:i mode:i", scatter);
}

}  // namespace tl::TL_ISA
