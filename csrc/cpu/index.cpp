// Gathering and scattering by arrays of positions over several axes, selection by a mask, filling.
#include "norm_rows.h"

namespace tl::TL_ISA {
namespace {

template <class F>
const char* for_word(DType dtype, F f) {
  if (is_block(dtype)) return "no kernel for this dtype";
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

// --- positions over k leading axes: indices is (k, n) contiguous i64, row j for axis j; negative
// ones count from the end

// offsets[i]: where position i lies in x, in elements. Null, or that there is none.
const char* locate(const View& x, const View& indices, int64_t* offsets) {
  const int64_t k = indices.shape[0], n = indices.shape[1];
  bool bad = false;
  parallel_for(n, 8192, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) offsets[i] = 0;
    for (int64_t j = 0; j < k; ++j) {
      const int64_t *row = indices.ptr<int64_t>() + j * n, size = x.shape[j];
      const int64_t stride = x.strides[j];
      uint64_t outside = 0;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = row[i] + (row[i] < 0 ? size : 0);
        const bool off = static_cast<uint64_t>(at) >= static_cast<uint64_t>(size);
        outside |= off;
        offsets[i] += off ? 0 : at * stride;
      }
      if (outside) __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
    }
  });
  return bad ? "index out of range" : nullptr;
}

// m times: one[i * os] meets many[i * ms].
using Move = void (*)(std::byte* one, int64_t os, std::byte* many, int64_t ms, int64_t m);

template <class Word>
void copy_words(const std::byte* source, int64_t ss, std::byte* target, int64_t ts, int64_t m) {
  const Word* from = reinterpret_cast<const Word*>(source);
  Word* to = reinterpret_cast<Word*>(target);
  if (ss == 1 && ts == 1 && m > 1) {
    memcpy(to, from, m * sizeof(Word));
    return;
  }
  for (int64_t i = 0; i < m; ++i) to[i * ts] = from[i * ss];
}
template <class Word>
void read_move(std::byte* one, int64_t os, std::byte* many, int64_t ms, int64_t m) {
  copy_words<Word>(one, os, many, ms, m);
}
template <class Word>
void write_move(std::byte* one, int64_t os, std::byte* many, int64_t ms, int64_t m) {
  copy_words<Word>(many, ms, one, os, m);
}
struct Complex {
  float re, im;
};

template <class T>
void add_move(std::byte* one, int64_t os, std::byte* many, int64_t ms, int64_t m) {
  T* to = reinterpret_cast<T*>(one);
  const T* from = reinterpret_cast<const T*>(many);
  for (int64_t i = 0; i < m; ++i) {
    if constexpr (__is_same(T, Complex))
      to[i * os] = {to[i * os].re + from[i * ms].re, to[i * os].im + from[i * ms].im};
    else if constexpr (__is_same(T, uint8_t) || __is_same(T, uint16_t) || __is_same(T, uint32_t) ||
                       __is_same(T, uint64_t) || __is_same(T, float) || __is_same(T, double))
      to[i * os] = static_cast<T>(to[i * os] + from[i * ms]);
    else
      to[i * os] = to[i * os] | from[i * ms];  // bool
  }
}

// Positions in order for each piece of the rest, so that of equal positions the last one wins (or
// all are added in order) and every target is one thread's; reading is split along positions.
const char* move_indexed(const View& one, const View& many, const View& indices, bool reading,
                         Move move) {
  if (indices.dtype != DType::i64 || indices.ndim != 2 || !indices.contiguous() ||
      indices.shape[0] > one.ndim)
    return "indices must be a contiguous (k, n) array of i64";
  const int64_t n = indices.shape[1];
  const int k = static_cast<int>(indices.shape[0]);
  bool fits = many.dtype == one.dtype && many.ndim == one.ndim - k + 1 && many.shape[0] == n;
  Walk<2> rest;
  for (int i = k; fits && i < one.ndim; ++i) {
    fits = many.shape[i - k + 1] == one.shape[i];
    rest.axis(one.shape[i], {one.strides[i], many.strides[i - k + 1]});
  }
  if (!fits) return "values must be (n, rest of the axes)";
  // Without indexed axes n can be any number.
  Scratch memory(n < int64_t{1} << 56 ? (n + 1) * sizeof(int64_t) : SIZE_MAX);
  int64_t* offsets = memory.as<int64_t>();
  if (!offsets) return "out of memory";
  if (const char* error = locate(one, indices, offsets)) return error;
  if (n == 0 || rest.count == 0) return nullptr;
  int64_t length = 1, os = 1, ms = 1;
  const int64_t row = many.strides[0], bytes = bytes_of(one.dtype);
  if (rest.ndim > 0) {
    const int d = --rest.ndim;
    length = rest.shape[d], os = rest.strides[0][d], ms = rest.strides[1][d];
    rest.count /= length;
  }
  if (reading) {
    parallel_for(n, 16384 / (length * rest.count) + 1, [&](int64_t begin, int64_t end, int) {
      Walk<2> walk = rest;
      for (int64_t i = begin; i < end; ++i) {
        walk.seek(0);
        for (int64_t r = 0; r < rest.count; ++r, walk.next()) {
          move(one.data + (offsets[i] + walk.offset[0]) * bytes, os,
               many.data + (i * row + walk.offset[1]) * bytes, ms, length);
        }
      }
    });
    return nullptr;
  }
  int64_t cuts = rest.count > 4 * num_threads() ? 1 : 4 * num_threads();
  if (cuts > (length + 63) / 64) cuts = (length + 63) / 64;
  const int64_t columns = (length + cuts - 1) / cuts;
  parallel_for(rest.count * cuts, 8192 / (n * columns) + 1, [&](int64_t begin, int64_t end, int) {
    Walk<2> walk = rest;
    for (int64_t r = begin; r < end; ++r) {
      walk.seek(r / cuts);
      const int64_t from = r % cuts * columns;
      const int64_t m = length - from < columns ? length - from : columns;
      if (m <= 0) continue;
      for (int64_t i = 0; i < n; ++i) {
        move(one.data + (offsets[i] + walk.offset[0] + from * os) * bytes, os,
             many.data + (i * row + walk.offset[1] + from * ms) * bytes, ms, m);
      }
    }
  });
  return nullptr;
}

// out[i, …] = x[indices[0, i], …, indices[k - 1, i], …]
const char* index(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const char* error = nullptr;
  const char* none = for_word(x.dtype, [&]<class Word>() {
    error = move_indexed(x, out, *args[2].a, true, read_move<Word>);
  });
  return none ? none : error;
}

// out[indices…] = values, in order: of equal indices the last one wins.
const char* index_put(const Arg* args, int) {
  const View &out = *args[0].a, &values = *args[1].a;
  const char* error = nullptr;
  const char* none = for_word(out.dtype, [&]<class Word>() {
    error = move_indexed(out, values, *args[2].a, false, write_move<Word>);
  });
  return none ? none : error;
}

// out[indices…] += values, in order.
const char* index_put_add(const Arg* args, int) {
  const View& out = *args[0].a;
  Move move = nullptr;
  switch (out.dtype) {
    case DType::f32:
      move = add_move<float>;
      break;
    case DType::f64:
      move = add_move<double>;
      break;
    case DType::complex64:
      move = add_move<Complex>;
      break;
    case DType::bool_:
      move = add_move<int8_t>;
      break;
    default:  // integers of both signs wrap alike
      if (!is_integral(out.dtype)) return fail("index_put: no code for %s", row(out.dtype).name);
      move = bytes_of(out.dtype) == 1   ? add_move<uint8_t>
             : bytes_of(out.dtype) == 2 ? add_move<uint16_t>
             : bytes_of(out.dtype) == 4 ? add_move<uint32_t>
                                        : add_move<uint64_t>;
  }
  return move_indexed(out, *args[1].a, *args[2].a, false, move);
}

// --- masks: contiguous bool arrays, counted in chunks first, so that every chunk knows where its
// elements go

constexpr int64_t kChunk = 16384;

int64_t chunks_of(const View& mask) { return (mask.size() + kChunk - 1) / kChunk; }

bool is_mask(const View& mask) { return mask.dtype == DType::bool_ && mask.contiguous(); }

// out[c]: true elements before chunk c; the last one counts all.
const char* mask_counts(const Arg* args, int) {
  const View &out = *args[0].a, &mask = *args[1].a;
  const int64_t n = mask.size(), chunks = chunks_of(mask);
  if (!is_mask(mask) || out.dtype != DType::i64 || !out.contiguous() || out.size() != chunks + 1)
    return "expected a contiguous bool array and an i64 out for its chunks of 16384 and one more";
  int64_t* counts = out.ptr<int64_t>();
  parallel_for(chunks, 2, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; ++c) {
      const uint8_t* p = mask.ptr<uint8_t>() + c * kChunk;
      const int64_t m = n - c * kChunk < kChunk ? n - c * kChunk : kChunk;
      int found = 0;
      for (int64_t i = 0; i < m; ++i) found += p[i] != 0;
      counts[c + 1] = found;
    }
  });
  counts[0] = 0;
  for (int64_t c = 0; c < chunks; ++c) counts[c + 1] += counts[c];
  return nullptr;
}

bool counts_fit(const View& counts, const View& mask) {
  return counts.dtype == DType::i64 && counts.contiguous() && counts.size() == chunks_of(mask) + 1;
}
int64_t total_of(const View& counts) { return counts.ptr<int64_t>()[counts.size() - 1]; }

// fn(i, place): element i of the mask is the place-th true one, place < room. The counts were made
// by another call, and may lie in what is written: what they allow is checked again.
template <class F>
TL_INLINE const char* each_true(const View& mask, const View& counts, int64_t room, const F& fn) {
  const int64_t n = mask.size();
  bool bad = false;
  parallel_for(chunks_of(mask), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; ++c) {
      const uint8_t* p = mask.ptr<uint8_t>();
      int64_t place = counts.ptr<int64_t>()[c];
      const int64_t limit = counts.ptr<int64_t>()[c + 1];
      const int64_t last = n < (c + 1) * kChunk ? n : (c + 1) * kChunk;
      bool wrong = place < 0 || limit > room;
      for (int64_t i = c * kChunk; i < last && !wrong; ++i) {
        if (!p[i]) continue;
        wrong = place >= limit;
        if (!wrong) fn(i, place++);
      }
      if (wrong) __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
    }
  });
  return bad ? "the counts are not those of the mask" : nullptr;
}

// The positions of the true elements, (ndim, count), in row-major order.
const char* nonzero(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &counts = *args[2].a;
  if (!is_mask(x) || !out.contiguous() || !counts_fit(counts, x) || out.ndim != 2 ||
      out.shape[0] != x.ndim || out.shape[1] != total_of(counts) || out.dtype != DType::i64)
    return "expected a contiguous bool array, its counts, and an out (ndim, count)";
  const int64_t room = out.shape[1];
  return each_true(x, counts, room, [&](int64_t i, int64_t place) {
    int64_t rest = i;
    for (int axis = x.ndim - 1; axis > 0; --axis) {
      out.ptr<int64_t>()[axis * room + place] = rest % x.shape[axis];
      rest /= x.shape[axis];
    }
    if (x.ndim) out.ptr<int64_t>()[place] = rest;
  });
}

// out (count): the elements of x (contiguous, of the mask's shape) where the mask is true.
const char* masked_select(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &mask = *args[2].a, &counts = *args[3].a;
  if (!is_mask(mask) || !counts_fit(counts, mask) || !same_shape(x, mask) || !x.contiguous() ||
      !out.contiguous() || out.size() != total_of(counts) || out.dtype != x.dtype)
    return "expected x and a contiguous mask of one shape, and an out for what is true";
  const char* error = nullptr;
  const char* none = for_word(x.dtype, [&]<class Word>() {
    error = each_true(mask, counts, out.size(),
                      [&](int64_t i, int64_t place) { out.ptr<Word>()[place] = x.ptr<Word>()[i]; });
  });
  return none ? none : error;
}

// out (contiguous, of the mask's shape) takes the elements of `source` in order where the mask is
// true.
const char* masked_scatter(const Arg* args, int) {
  const View &out = *args[0].a, &mask = *args[1].a, &counts = *args[2].a, &source = *args[3].a;
  if (!is_mask(mask) || !counts_fit(counts, mask) || !same_shape(out, mask) || !out.contiguous() ||
      !source.contiguous() || source.dtype != out.dtype)
    return "expected out and a contiguous mask of one shape, and a contiguous source";
  if (source.size() < total_of(counts)) {
    return fail("masked_scatter: expected a source of at least %lld elements, got %lld",
                static_cast<long long>(total_of(counts)), static_cast<long long>(source.size()));
  }
  const char* error = nullptr;
  const char* none = for_word(out.dtype, [&]<class Word>() {
    error = each_true(mask, counts, source.size(), [&](int64_t i, int64_t place) {
      out.ptr<Word>()[i] = source.ptr<Word>()[place];
    });
  });
  return none ? none : error;
}

// out[i] = start + i * step along a contiguous vector; integers exactly, floats in double.
const char* arange(const Arg* args, int) {
  const View& out = *args[0].a;
  double start = args[1].f, step = args[2].f;
  if (!out.contiguous()) return "arange: expected a contiguous out";
  int64_t n = out.size();
  // Both ends, so that no conversion is undefined; a NaN lies nowhere.
  const double last = start + static_cast<double>(n - 1) * step, bits = 8 * bytes_of(out.dtype);
  const double limit = __builtin_ldexp(1, static_cast<int>(bits) - 1);
  auto fits = [=](double x) { return x >= -limit && x < limit; };
  if (is_integral(out.dtype) && n > 0 && !(fits(start) && fits(last)))
    return fail("arange: expected numbers that %s can hold", row(out.dtype).name);
  auto fill = [&]<class T>() {
    for (int64_t i = 0; i < n; ++i)
      out.ptr<T>()[i] = static_cast<T>(start + static_cast<double>(i) * step);
  };
  switch (out.dtype) {
    case DType::f32:
      fill.operator()<float>();
      return nullptr;
    case DType::f64:
      fill.operator()<double>();
      return nullptr;
    case DType::i32:
      fill.operator()<int32_t>();
      return nullptr;
    case DType::i64:
      fill.operator()<int64_t>();
      return nullptr;
    default:
      return "no kernel for this dtype";
  }
}

}  // namespace

void register_index(KernelTable& t) {
  t.add("index", "out:out x:in indices:in", index);
  t.add("index_put", "out:inout values:in indices:in", index_put);
  t.add("index_put_add", "out:inout values:in indices:in", index_put_add);
  t.add("mask_counts", "out:out mask:in", mask_counts);
  t.add("nonzero", "out:out x:in counts:in", nonzero);
  t.add("masked_select", "out:out x:in mask:in counts:in", masked_select);
  t.add("masked_scatter", "out:inout mask:in counts:in source:in", masked_scatter);
  t.add("arange", "out:out start:f step:f", arange);
}

}  // namespace tl::TL_ISA
