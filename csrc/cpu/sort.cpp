// Sorting along the last axis, the k-th value, median and mode, row order, binary search.
//
// A line becomes keys (rank, index) that are all different, so that every sort is stable and gives
// one result. Ranks of at most 32 bits share a 64-bit word with the index; long lines are sorted by
// radix, very long ones in parts that threads then merge.
#include <algorithm>

#include "rank.h"

namespace tl::TL_ISA {
namespace {

// The two kinds of keys: a word for narrow dtypes, a pair for 64-bit ones.
struct Packed {
  uint64_t word;
  static constexpr int kShift = 32, kBits = 32;
  TL_INLINE static Packed make(uint64_t rank, int64_t index) {
    return {rank << 32 | static_cast<uint64_t>(index)};
  }
  TL_INLINE uint64_t rank() const { return word >> 32; }
  TL_INLINE int64_t index() const { return static_cast<int64_t>(word & 0xffffffff); }
};
struct Paired {
  Ranked pair;
  static constexpr int kShift = 0, kBits = 64;
  TL_INLINE static Paired make(uint64_t rank, int64_t index) { return {{rank, index}}; }
  TL_INLINE uint64_t rank() const { return pair.rank; }
  TL_INLINE int64_t index() const { return pair.index; }
};
struct Less {
  TL_INLINE bool operator()(const Packed& a, const Packed& b) const { return a.word < b.word; }
  TL_INLINE bool operator()(const Paired& a, const Paired& b) const {
    return Ascending()(a.pair, b.pair);
  }
};

template <class T, class Key>
void make_keys(const std::byte* data, int64_t stride, int64_t n, bool descending, void* keys) {
  const T* x = reinterpret_cast<const T*>(data);
  const uint64_t flip = !descending ? 0 : Key::kBits == 32 ? 0xffffffff : ~uint64_t{0};
  for (int64_t i = 0; i < n; ++i)
    static_cast<Key*>(keys)[i] = Key::make(rank_of(x[i * stride]) ^ flip, i);
}
using MakeKeys = void (*)(const std::byte* data, int64_t stride, int64_t n, bool descending,
                          void* keys);

template <class Key>
MakeKeys maker(DType d) {
  MakeKeys found = nullptr;
  for_any(d, "sort", [&]<class T>() -> const char* {
    if constexpr (sizeof(T) <= 4 || __is_same(Key, Paired)) found = make_keys<T, Key>;
    return nullptr;
  });
  return found;
}

// Least significant digit first; the keys come in the order of their index, which ties keep.
template <class Key>
void radix_sort(Key* keys, Key* other, int64_t n) {
  constexpr int kDigit = 11, kSize = 1 << kDigit;
  int64_t counts[kSize];
  Key *from = keys, *to = other;
  for (int shift = 0; shift < Key::kBits; shift += kDigit) {
    memset(counts, 0, sizeof counts);
    for (int64_t i = 0; i < n; ++i) ++counts[from[i].rank() >> shift & (kSize - 1)];
    if (counts[from[0].rank() >> shift & (kSize - 1)] == n) continue;  // all alike
    int64_t sum = 0;
    for (int d = 0; d < kSize; ++d) {
      const int64_t count = counts[d];
      counts[d] = sum;
      sum += count;
    }
    for (int64_t i = 0; i < n; ++i) to[counts[from[i].rank() >> shift & (kSize - 1)]++] = from[i];
    Key* swap = from;
    from = to;
    to = swap;
  }
  if (from != keys) memcpy(static_cast<void*>(keys), from, n * sizeof(Key));
}

constexpr int64_t kRadixFrom = 4096, kPartsFrom = 1 << 17;

template <class Key>
void sort_keys(Key* keys, Key* other, int64_t n) {
  if (n < kRadixFrom)
    std::sort(keys, keys + n, Less());
  else
    radix_sort(keys, other, n);
}

// One long line: parts sorted side by side, then merged two by two, every merge cut into pieces.
template <class Key>
void sort_parallel(Key* keys, Key* other, int64_t n) {
  int parts = 1;
  while (parts < num_threads() && parts < 16 && n / parts >= kPartsFrom) parts *= 2;
  auto edge = [&](int64_t i) { return n * i / parts; };
  parallel_for(parts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      sort_keys(keys + edge(i), other + edge(i), edge(i + 1) - edge(i));
  });
  Key *from = keys, *to = other;
  for (int width = 1; width < parts; width *= 2) {
    const int pieces = parts;
    parallel_for(parts / (2 * width) * pieces, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t pair = p / pieces, piece = p % pieces;
        const Key *a = from + edge(pair * 2 * width), *b = from + edge(pair * 2 * width + width),
                  *last = from + edge((pair + 1) * 2 * width);
        auto cut = [&](int64_t i, const Key** left, const Key** right) {
          *left = a + (b - a) * i / pieces;
          *right = i == 0 ? b : i == pieces ? last : std::lower_bound(b, last, **left, Less());
        };
        const Key *l0, *r0, *l1, *r1;
        cut(piece, &l0, &r0);
        cut(piece + 1, &l1, &r1);
        std::merge(l0, l1, r0, r1, to + (l0 - from) + (r0 - b), Less());
      }
    });
    Key* swap = from;
    from = to;
    to = swap;
  }
  if (from != keys) memcpy(static_cast<void*>(keys), from, n * sizeof(Key));
}

// Lines along the last axis of x, each made into keys and handed to
// fn(keys, spare keys, offsets of (values, indices, x) in elements).
template <class Key, class F>
const char* each_line(const View& values, const View& indices, const View& x, bool descending,
                      bool alone, const F& fn) {
  const int last = x.ndim - 1;
  const int64_t n = x.shape[last], xs = x.strides[last], bytes = bytes_of(x.dtype);
  if (n > int64_t{1} << 56) return "out of memory";  // a view can be that long; its keys cannot
  StridedIterator<3> lines;
  for (int i = 0; i < last; ++i)
    lines.axis(x.shape[i], {values.strides[i], indices.strides[i], x.strides[i]});
  if (lines.count == 0) return nullptr;
  const MakeKeys make = maker<Key>(x.dtype);
  bool ok = true;
  auto body = [&](int64_t begin, int64_t end, int) {
    Scratch memory(2 * n * sizeof(Key) + 1);
    Key* keys = memory.template as<Key>();
    if (!keys) {
      __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
      return;
    }
    StridedIterator<3> it = lines;
    it.seek(begin);
    for (int64_t i = begin; i < end; ++i, it.next()) {
      make(x.data + it.offset[2] * bytes, xs, n, descending, keys);
      fn(keys, keys + n, it.offset);
    }
  };
  if (alone)
    body(0, lines.count, 0);  // fn itself uses the threads
  else
    parallel_for(lines.count, 500 / (n + 1) + 1, body);
  return ok ? nullptr : "out of memory";
}

const char* check(const char* kernel, const View& values, const View& indices, const View& x) {
  if (x.ndim < 1 || values.ndim != x.ndim || indices.ndim != x.ndim || values.dtype != x.dtype ||
      indices.dtype != DType::i64)
    return fail("%s: expected values like x and indices in i64", kernel);
  for (int i = 0; i + 1 < x.ndim; ++i) {
    if (values.shape[i] != x.shape[i] || indices.shape[i] != x.shape[i])
      return fail("%s: expected outputs of the shape of x but for the last axis", kernel);
  }
  return for_any(x.dtype, kernel, []<class T>() -> const char* { return nullptr; });
}

template <class F>
const char* by_key(const View& x, const F& f) {
  if (bytes_of(x.dtype) <= 4 && x.shape[x.ndim - 1] < int64_t{0xffffffff})
    return f.template operator()<Packed>();
  return f.template operator()<Paired>();
}

const char* sort(const Arg* args, int) {
  const CanonicalBools canonical(*args[2].a);
  if (!canonical.ok) return "sort: out of memory";
  const View &values = *args[0].a, &indices = *args[1].a, &x = canonical.view;
  if (const char* error = check("sort", values, indices, x)) return error;
  const int last = x.ndim - 1;
  const int64_t n = x.shape[last], xs = x.strides[last];
  if (values.shape[last] != n || indices.shape[last] != n) return "sort: expected outputs like x";
  if (n == 0) return nullptr;
  const int bytes = bytes_of(x.dtype);
  const bool alone = n >= 2 * kPartsFrom && x.size() / n < num_threads();
  return by_key(x, [&]<class Key>() {
    return each_line<Key>(
        values, indices, x, args[3].i != 0, alone,
        [&](Key* keys, Key* other, const int64_t* offset) {
          if (alone)
            sort_parallel(keys, other, n);
          else
            sort_keys(keys, other, n);
          const std::byte* from = x.data + offset[2] * bytes;
          std::byte* value = values.data + offset[0] * bytes;
          int64_t* index = indices.ptr<int64_t>() + offset[1];
          const int64_t vs = values.strides[last] * bytes, is = indices.strides[last];
          parallel_for(n, 1 << 16, [&](int64_t begin, int64_t end, int) {
            for (int64_t i = begin; i < end; ++i) index[i * is] = keys[i].index();
            for (int64_t i = begin; i < end; ++i)
              copy_element_bytes(bytes, from, xs, keys[i].index(), value + i * vs);
          });
        });
  });
}

// One value per line, outputs with a last axis of length 1: which >= 0 the which-th smallest; -1
// the lower median, NaN if there is one; -2 the lower median of what is not NaN; -3 the most
// frequent.
const char* order_statistic(const Arg* args, int) {
  const CanonicalBools canonical(*args[2].a);
  if (!canonical.ok) return "order_statistic: out of memory";
  const View &values = *args[0].a, &indices = *args[1].a, &x = canonical.view;
  const int64_t which = args[3].i;
  if (const char* error = check("order_statistic", values, indices, x)) return error;
  const int last = x.ndim - 1;
  const int64_t n = x.shape[last];
  if (values.shape[last] != 1 || indices.shape[last] != 1)
    return "order_statistic: expected outputs with a last axis of length 1";
  if (x.size() == 0 && values.size() == 0) return nullptr;
  if (which < -3 || which >= n)
    return fail("order_statistic: no element %lld of %lld", static_cast<long long>(which),
                static_cast<long long>(n));
  if (n == 0) return "order_statistic: expected at least one element";
  const int bytes = bytes_of(x.dtype);
  const bool real = is_float(x.dtype);
  return by_key(x, [&]<class Key>() {
    const uint64_t nan = Key::kBits == 32 ? 0xffffffff : ~uint64_t{0};
    return each_line<Key>(values, indices, x, false, false,
                          [&](Key* keys, Key* other, const int64_t* offset) {
                            int64_t k = which, chosen = 0;
                            if (which == -3) {
                              sort_keys(keys, other, n);
                              int64_t longest = 0;
                              for (int64_t i = 0; i < n;) {
                                int64_t end = i + 1;
                                while (end < n && keys[end].rank() == keys[i].rank() &&
                                       !(real && keys[i].rank() == nan))
                                  ++end;
                                if (end - i > longest) longest = end - i, k = end - 1;
                                i = end;
                              }
                              chosen = keys[k].index();
                            } else {
                              int64_t nans = 0;
                              for (int64_t i = n - 1; real && which < 0 && i >= 0; --i) {
                                if (keys[i].rank() == nan) ++nans, chosen = i;
                              }
                              const bool given = which == -1 && nans > 0;
                              if (which == -1) k = (n - 1) / 2;
                              if (which == -2) k = nans == n ? 0 : (n - nans - 1) / 2;
                              if (!given) {
                                std::nth_element(keys, keys + k, keys + n, Less());
                                chosen = keys[k].index();
                              }
                            }
                            copy_element_bytes(bytes, x.data + offset[2] * bytes, x.strides[last],
                                               chosen, values.data + offset[0] * bytes);
                            indices.ptr<int64_t>()[offset[1]] = chosen;
                          });
  });
}

// out (n): the order of the rows of x (n, m), the first column deciding first, equal rows in order.
const char* row_order(const Arg* args, int) {
  const CanonicalBools canonical(*args[1].a);
  if (!canonical.ok) return "row_order: out of memory";
  const View &out = *args[0].a, &x = canonical.view;
  if (x.ndim != 2 || !x.contiguous() || out.ndim != 1 || !out.contiguous() ||
      out.dtype != DType::i64 || out.shape[0] != x.shape[0])
    return "row_order: expected x (n, m) contiguous and out (n) in i64";
  const int64_t n = x.shape[0], m = x.shape[1];
  Scratch memory((n * m + 1) * sizeof(uint64_t));
  uint64_t* ranks = memory.as<uint64_t>();
  if (!ranks) return "row_order: out of memory";
  const char* error = for_any(x.dtype, "row_order", [&]<class T>() -> const char* {
    for (int64_t i = 0; i < n * m; ++i) ranks[i] = rank_of(x.ptr<T>()[i]);
    return nullptr;
  });
  if (error) return error;
  int64_t* order = out.ptr<int64_t>();
  for (int64_t i = 0; i < n; ++i) order[i] = i;
  std::sort(order, order + n, [=](int64_t a, int64_t b) {
    const uint64_t *p = ranks + a * m, *q = ranks + b * m;
    for (int64_t j = 0; j < m; ++j) {
      if (p[j] != q[j]) return p[j] < q[j];
    }
    return a < b;
  });
  return nullptr;
}

// out like values (…, n): how many elements of the sorted (…, m), or (m), lie before each value;
// `right`: not behind it. `order` (as sorted, i64) reads `sorted` in its order. A NaN lies behind
// all.
const char* searchsorted(const Arg* args, int) {
  const CanonicalBools ordered(*args[1].a), wanted_values(*args[2].a);
  if (!ordered.ok || !wanted_values.ok) return "searchsorted: out of memory";
  const View &out = *args[0].a, &sorted = ordered.view, &values = wanted_values.view;
  const View* order = args[3].kind == Arg::none ? nullptr : args[3].a;
  const bool right = args[4].i != 0;
  if (sorted.ndim < 1 || sorted.dtype != values.dtype || out.dtype != DType::i64 ||
      !same_shape(out, values))
    return "searchsorted: expected out like values, in i64";
  if (order && (order->dtype != DType::i64 || !same_shape(*order, sorted)))
    return "searchsorted: expected a sorter like the sorted sequence, in i64";
  const int last = sorted.ndim - 1;
  const bool shared = sorted.ndim == 1;
  bool fits = shared || values.ndim == sorted.ndim;
  StridedIterator<4> lines;
  for (int i = 0; fits && i < values.ndim; ++i) {
    if (!shared && i == last) continue;
    fits = shared || values.shape[i] == sorted.shape[i];
    lines.axis(values.shape[i], {out.strides[i], values.strides[i], shared ? 0 : sorted.strides[i],
                                 shared || !order ? 0 : order->strides[i]});
  }
  if (!fits) return "searchsorted: expected values of the sorted sequence's leading shape";
  const int64_t m = sorted.shape[last], n = shared ? 1 : values.shape[last];
  const int64_t ss = sorted.strides[last], rs = order ? order->strides[last] : 0;
  const int64_t vs = shared ? 0 : values.strides[last], os = shared ? 0 : out.strides[last];
  if (lines.count == 0 || n == 0) return nullptr;
  bool bad = false;
  const char* error = for_any(sorted.dtype, "searchsorted", [&]<class T>() -> const char* {
    parallel_for(lines.count, 512 / n + 1, [&](int64_t begin, int64_t end, int) {
      StridedIterator<4> it = lines;
      it.seek(begin);
      for (int64_t line = begin; line < end; ++line, it.next()) {
        const T* s = sorted.ptr<T>() + it.offset[2];
        const int64_t* positions = order ? order->ptr<int64_t>() + it.offset[3] : nullptr;
        for (int64_t i = 0; i < n; ++i) {
          const Value<T> wanted = value(values.ptr<T>()[it.offset[1] + i * vs]);
          int64_t low = 0, high = m;
          while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            int64_t at = middle;
            if (positions) {
              at = positions[middle * rs];
              if (at < 0 || at >= m) {
                __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
                return;
              }
            }
            const Value<T> v = value(s[at * ss]);
            if (right ? !(v > wanted) : !(v >= wanted))
              low = middle + 1;
            else
              high = middle;
          }
          out.ptr<int64_t>()[it.offset[0] + i * os] = low;
        }
      }
    });
    return nullptr;
  });
  return error ? error : bad ? "searchsorted: expected a sorter of indices in range" : nullptr;
}

}  // namespace

void register_sort(KernelTable& t);
void register_sort(KernelTable& t) {
  t.add("sort", "out_values:out out_indices:out x:in descending:i", sort);
  t.add("order_statistic", "out_values:out out_indices:out x:in which:i", order_statistic);
  t.add("row_order", "out:out x:in", row_order);
  t.add("searchsorted", "out:out sorted:in values:in order:in? right:i", searchsorted);
}

}  // namespace tl::TL_ISA
