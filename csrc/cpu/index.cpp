// Gathering and scattering by index arrays, selection by a mask, filling.
#include "../core/kernel.h"
#include "strided.h"

namespace tl::TL_ISA {
namespace {

// Offsets of the elements behind the first `skip` axes of a view, walked in order.
struct Rest {
  int64_t count = 1;
  int ndim;
  const int64_t *shape, *strides;
  Rest(const View& v, int skip)
      : ndim(v.ndim - skip), shape(v.shape + skip), strides(v.strides + skip) {
    for (int i = 0; i < ndim; ++i) count *= shape[i];
  }
  int64_t offset(int64_t index) const {
    int64_t at = 0;
    for (int i = ndim - 1; i >= 0; --i) {
      at += index % shape[i] * strides[i];
      index /= shape[i];
    }
    return at;
  }
  bool flat() const { return ndim == 0 || (ndim == 1 && strides[0] == 1); }
};

// indices is (k, n) contiguous i64; row j indexes axis j of `x`; negative ones count from the end.
// Null, or the error.
const char* check_indices(const View& x, const View& indices) {
  if (indices.dtype != DType::i64 || indices.ndim != 2 || !indices.contiguous() ||
      indices.shape[0] > x.ndim)
    return "indices must be a contiguous (k, n) array of i64";
  for (int64_t j = 0; j < indices.shape[0]; ++j) {
    const int64_t *row = indices.ptr<int64_t>() + j * indices.shape[1], size = x.shape[j];
    for (int64_t i = 0; i < indices.shape[1]; ++i) {
      if (row[i] < -size || row[i] >= size) return "index out of range";
    }
  }
  return nullptr;
}

int64_t offset_of(const View& x, const View& indices, int64_t i) {
  int64_t at = 0;
  for (int64_t j = 0; j < indices.shape[0]; ++j) {
    int64_t index = indices.ptr<int64_t>()[j * indices.shape[1] + i];
    at += (index < 0 ? index + x.shape[j] : index) * x.strides[j];
  }
  return at;
}

// `many` is (n, rest…), `one` the indexed array with k leading indexed axes; move(one's word,
// many's word).
template <class Word, class Move>
void each_indexed(const View& one, const View& many, const View& indices, bool parallel,
                  const Move& move) {
  int k = static_cast<int>(indices.shape[0]);
  Rest from(one, k), to(many, 1);
  int64_t grain = parallel ? 1 + 16384 / (from.count + 1) : indices.shape[1];
  parallel_for(indices.shape[1], grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      Word* a = one.ptr<Word>() + offset_of(one, indices, i);
      Word* b = many.ptr<Word>() + i * many.strides[0];
      if (from.flat() && to.flat()) {
        for (int64_t j = 0; j < from.count; ++j) move(a[j], b[j]);
      } else {
        for (int64_t j = 0; j < from.count; ++j) move(a[from.offset(j)], b[to.offset(j)]);
      }
    }
  });
}

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

// out[i, …] = x[indices[0, i], …, indices[k - 1, i], …]
const char* index(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &indices = *args[2].a;
  if (const char* error = check_indices(x, indices)) return error;
  return for_word(x.dtype, [&]<class Word>() {
    each_indexed<Word>(x, out, indices, true, [](const Word& from, Word& to) { to = from; });
  });
}

// out[indices…] = values, in order: of equal indices the last one wins, so one thread does it.
const char* index_put(const Arg* args, int) {
  const View &out = *args[0].a, &values = *args[1].a, &indices = *args[2].a;
  if (const char* error = check_indices(out, indices)) return error;
  return for_word(out.dtype, [&]<class Word>() {
    each_indexed<Word>(out, values, indices, false, [](Word& to, const Word& from) { to = from; });
  });
}

// The positions of the true elements, (ndim, count), in row-major order; `out` has room for exactly
// that many.
const char* nonzero(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (x.dtype != DType::bool_ || !x.contiguous() || !out.contiguous())
    return "x must be a contiguous bool array";
  int64_t n = x.size(), found = 0, room = out.shape[1];
  for (int64_t i = 0; i < n; ++i) {
    if (!x.ptr<uint8_t>()[i]) continue;
    if (found == room) return "out is too small";
    int64_t rest = i;
    for (int axis = x.ndim - 1; axis >= 0; --axis) {
      out.ptr<int64_t>()[axis * room + found] = rest % x.shape[axis];
      rest /= x.shape[axis];
    }
    ++found;
  }
  return found == room ? nullptr : "out is too large";
}

// out = condition ? a : b; all of one shape.
const char* where(const Arg* args, int) {
  if (args[1].a->dtype != DType::bool_) return "condition must be bool";
  Loop<4> loop({args[0].a, args[1].a, args[2].a, args[3].a});
  return for_word(args[0].a->dtype, [&]<class Word>() {
    loop.run([](std::byte* const* p, const int64_t* s, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        bool c = *reinterpret_cast<const uint8_t*>(p[1] + i * s[1]) != 0;
        const std::byte* from = c ? p[2] + i * s[2] : p[3] + i * s[3];
        *reinterpret_cast<Word*>(p[0] + i * s[0]) = *reinterpret_cast<const Word*>(from);
      }
    });
  });
}

// out[i] = start + i * step along a contiguous vector; integers exactly, floats in double.
const char* arange(const Arg* args, int) {
  const View& out = *args[0].a;
  double start = args[1].f, step = args[2].f;
  int64_t n = out.size();
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
  t.add("index", "out:A x:A indices:A", index);
  t.add("index_put", "out:A values:A indices:A", index_put);
  t.add("nonzero", "out:A x:A", nonzero);
  t.add("where", "out:A condition:A a:A b:A", where);
  t.add("arange", "out:A start:f step:f", arange);
}

}  // namespace tl::TL_ISA
