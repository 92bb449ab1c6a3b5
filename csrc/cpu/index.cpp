// Gathering and scattering by arrays of positions over several axes, filling.
#include "../core/error.h"
#include "copy.h"
#include "gather.h"
#include "norm_rows.h"
#include "words.h"

namespace tl::TL_ISA {
namespace {

// --- positions over k axes: indices is (k, n), row j for axis `axis` + j, or (n) for one axis, in
// i64 or i32; negative ones count from the end

struct Positions {
  const View& indices;
  int64_t axis, k, n, row, step;
  Positions(const View& given, int64_t first)
      : indices(given),
        axis(first),
        k(given.ndim == 2 ? given.shape[0] : 1),
        n(given.back(1)),
        row(given.back_stride(2)),
        step(given.back_stride(1)) {}
};

template <class Index>
const char* outside(const View& x, const Positions& p) {
  for (int64_t i = 0; i < p.k * p.n; ++i) {
    const int64_t at = p.indices.ptr<Index>()[i / p.n * p.row + i % p.n * p.step];
    const int axis = static_cast<int>(p.axis + i / p.n);
    if (at < -x.shape[axis] || at >= x.shape[axis])
      return fail("expected an index inside shape %s, got %lld for axis %d", ShapeText(x).text,
                  static_cast<long long>(at), axis);
  }
  return nullptr;
}

// offsets[i]: where position i lies in x, in elements (of one axis: along it). Null, or that there
// is none.
template <class Index>
const char* locate(const View& x, const Positions& p, int64_t* offsets) {
  bool bad = false;
  parallel_for(p.n, 8192, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) offsets[i] = 0;
    for (int64_t j = 0; j < p.k; ++j) {
      const Index* row = p.indices.ptr<Index>() + j * p.row;
      const int64_t size = x.shape[p.axis + j], stride = p.k == 1 ? 1 : x.strides[p.axis + j];
      uint64_t outside = 0;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t given = row[i * p.step], at = given + (given < 0 ? size : 0);
        const bool off = static_cast<uint64_t>(at) >= static_cast<uint64_t>(size);
        outside |= off;
        offsets[i] += off ? 0 : at * stride;
      }
      if (outside) __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
    }
  });
  return bad ? outside<Index>(x, p) : nullptr;
}

enum How { kRead, kWrite, kAdd };

// m times: one[i * os] meets many[i * ms].
using Move = void (*)(std::byte* one, int64_t os, std::byte* many, int64_t ms, int64_t m);

template <class Word>
void copy_words(const std::byte* source, int64_t ss, std::byte* target, int64_t ts, int64_t m) {
  const Word* from = reinterpret_cast<const Word*>(source);
  Word* to = reinterpret_cast<Word*>(target);
  if (ss == 1 && ts == 1 && m > 1) {
    memmove(to, from, m * sizeof(Word));  // a caller may give what overlaps
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
const char* move_indexed(const View& one, const View& many, const View& indices, int64_t axis,
                         How how, Move move) {
  const Positions p(indices, axis);
  const int64_t n = p.n;
  if ((indices.dtype != DType::i64 && indices.dtype != DType::i32) || indices.ndim < 1 ||
      indices.ndim > 2)
    return "indices must be a (k, n) or (n) array of i64 or i32";
  if (p.axis < 0 || p.axis > one.ndim || p.k > one.ndim - p.axis)
    return "indices must be for axes that are there";
  bool fits = many.dtype == one.dtype && many.ndim == one.ndim - p.k + 1 && many.shape[p.axis] == n;
  StridedIterator<2> rest;
  for (int i = 0; fits && i < one.ndim; ++i) {
    if (i >= p.axis && i < p.axis + p.k) continue;
    const int64_t beside = i < p.axis ? i : i - p.k + 1;
    fits = many.shape[beside] == one.shape[i];
    rest.axis(one.shape[i], {one.strides[i], many.strides[beside]});
  }
  if (!fits) return "values must be of the shape without the axes, but with n in their place";
  // Without indexed axes n can be any number.
  Scratch memory(n < int64_t{1} << 56 ? (n + 1) * sizeof(int64_t) : SIZE_MAX);
  int64_t* offsets = memory.as<int64_t>();
  if (!offsets) return "out of memory";
  const auto find = indices.dtype == DType::i64 ? locate<int64_t> : locate<int32_t>;
  if (const char* error = find(one, p, offsets)) return error;
  if (n == 0 || rest.count == 0) return nullptr;
  if (p.k == 1) {
    View along = indices;
    along.data = reinterpret_cast<std::byte*>(offsets);
    along.dtype = DType::i64;
    along.ndim = 1, along.shape[0] = n, along.strides[0] = 1;
    return how == kRead ? gather_along(many, one, axis, along)
                        : scatter_along(one, many, axis, along, how == kAdd);
  }
  int64_t length = 1, os = 1, ms = 1;
  const int64_t row = many.strides[p.axis], bytes = bytes_of(one.dtype);
  if (rest.ndim > 0) {
    const int d = --rest.ndim;
    length = rest.shape[d], os = rest.strides[0][d], ms = rest.strides[1][d];
    rest.count /= length;
  }
  if (how == kRead) {
    parallel_for(n, 16384 / (length * rest.count) + 1, [&](int64_t begin, int64_t end, int) {
      StridedIterator<2> it = rest;
      for (int64_t i = begin; i < end; ++i) {
        it.seek(0);
        for (int64_t r = 0; r < rest.count; ++r, it.next()) {
          move(one.data + (offsets[i] + it.offset[0]) * bytes, os,
               many.data + (i * row + it.offset[1]) * bytes, ms, length);
        }
      }
    });
    return nullptr;
  }
  int64_t cuts = rest.count > 4 * num_threads() ? 1 : 4 * num_threads();
  if (cuts > (length + 63) / 64) cuts = (length + 63) / 64;
  const int64_t columns = (length + cuts - 1) / cuts;
  parallel_for(rest.count * cuts, 8192 / (n * columns) + 1, [&](int64_t begin, int64_t end, int) {
    StridedIterator<2> it = rest;
    for (int64_t r = begin; r < end; ++r) {
      it.seek(r / cuts);
      const int64_t from = r % cuts * columns;
      const int64_t m = length - from < columns ? length - from : columns;
      if (m <= 0) continue;
      for (int64_t i = 0; i < n; ++i) {
        move(one.data + (offsets[i] + it.offset[0] + from * os) * bytes, os,
             many.data + (i * row + it.offset[1] + from * ms) * bytes, ms, m);
      }
    }
  });
  return nullptr;
}

// out[…, i, …] = x[…, indices[0, i], …, indices[k - 1, i], …]
const char* index(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const char* error = nullptr;
  const char* none = for_word(x.dtype, [&]<class Word>() {
    error = move_indexed(x, out, *args[2].a, args[3].i, kRead, read_move<Word>);
  });
  return none ? none : error;
}

const char* write(const View& out, const View& indices, const View& values, int64_t axis) {
  const char* error = nullptr;
  const char* none = for_word(out.dtype, [&]<class Word>() {
    error = move_indexed(out, values, indices, axis, kWrite, write_move<Word>);
  });
  return none ? none : error;
}

const char* add(const View& out, const View& indices, const View& values, int64_t axis) {
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
      if (!is_integral(out.dtype)) return "no kernel for this dtype";
      move = bytes_of(out.dtype) == 1   ? add_move<uint8_t>
             : bytes_of(out.dtype) == 2 ? add_move<uint16_t>
             : bytes_of(out.dtype) == 4 ? add_move<uint32_t>
                                        : add_move<uint64_t>;
  }
  return move_indexed(out, values, indices, axis, kAdd, move);
}

// out = x with values at the positions, in order: of equal ones the last one wins, or all are
// added, those of halves in f32.
const char* index_put(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &indices = *args[2].a, &values = *args[3].a;
  const int64_t axis = args[5].i;
  if (x.dtype != out.dtype || values.dtype != out.dtype) return "expected equal dtypes";
  if (args[4].i && (out.dtype == DType::f16 || out.dtype == DType::bf16)) {
    const Converted wide(x, DType::f32), given(values, DType::f32);
    if (wide.error || given.error) return wide.error ? wide.error : given.error;
    const char* error = add(wide.view, indices, given.view, axis);
    return error ? error : copy_array(out, wide.view);
  }
  if (const char* error = copy_array(out, x)) return error;
  return (args[4].i ? add : write)(out, indices, values, axis);
}

// The same in place, without sums.
const char* index_write(const Arg* args, int) {
  return write(*args[0].a, *args[1].a, *args[2].a, args[3].i);
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
  t.add("index", "out:out x:in indices:in axis:i", index);
  t.add("index_put", "out:out x:in indices:in values:in add:i axis:i", index_put);
  t.add("index_write", "out:inout indices:in values:in axis:i", index_write);
  t.add("arange", "out:out start:f step:f", arange);
}

}  // namespace tl::TL_ISA
