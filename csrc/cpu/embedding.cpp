// Table look-ups by token: embedding rows (plain or block-quantised), and writing keys and values
// into a cache.
#include "norm_rows.h"
#include "overlap.h"
#include "quant_blocks.h"

namespace tl::TL_ISA {
namespace {

TL_INLINE int64_t id_at(const View& ids, int64_t offset) {
  switch (ids.dtype) {
    case DType::i64:
      return ids.ptr<int64_t>()[offset];
    case DType::i32:
      return ids.ptr<int32_t>()[offset];
    default:
      return ids.ptr<uint32_t>()[offset];
  }
}

template <class From, class To>
TL_INLINE void copy_row(const From* from, int64_t fs, To* to, int64_t ts, int64_t n) {
  if constexpr (__is_same(From, To)) {
    if (fs == 1 && ts == 1) {
      memmove(to, from, n * sizeof(To));  // a caller may give what overlaps
      return;
    }
  }
  int64_t i = 0;
  if constexpr (!__is_same(From, double) && !__is_same(To, double)) {
    if (fs == 1 && ts == 1) {
      for (; i + kLanes <= n; i += kLanes) store(to + i, load(from + i));
    }
  }
  for (; i < n; ++i) {
    if constexpr (__is_same(From, To))
      to[i * ts] = from[i * fs];
    else
      to[i * ts] =
          from_opmath<To>(static_cast<typename OpMath<To>::Scalar>(to_opmath(from[i * fs])));
  }
}

const char* embedding(const Arg* args, int) {
  const View &out = *args[0].a, &ids = *args[1].a, &weight = *args[2].a;
  if (ids.dtype != DType::i64 && ids.dtype != DType::i32 && ids.dtype != DType::u32) {
    return fail("embedding: expected ids in i64, i32 or u32, got %s", row(ids.dtype).name);
  }
  if (weight.ndim != 2 || out.ndim != ids.ndim + 1)
    return "embedding: expected weight (vocab, d) and out (*ids.shape, d)";
  const int64_t vocab = weight.shape[0], d = weight.shape[1];
  bool fits = out.shape[ids.ndim] == d;
  StridedIterator<2> rows;
  for (int i = 0; i < ids.ndim; ++i) {
    fits = fits && out.shape[i] == ids.shape[i];
    rows.axis(ids.shape[i], {out.strides[i], ids.strides[i]});
  }
  if (!fits) return "embedding: expected out (*ids.shape, d)";
  if (may_overlap(out, ids)) return "embedding: expected ids that are no part of out";
  if (rows.count == 0) return nullptr;
  rows.seek(0);
  for (int64_t i = 0; i < rows.count; ++i, rows.next()) {
    const int64_t id = id_at(ids, rows.offset[1]);
    if (id < 0 || id >= vocab) {
      return fail("embedding: expected ids in [0, %lld), got %lld", static_cast<long long>(vocab),
                  static_cast<long long>(id));
    }
  }
  if (d == 0) return nullptr;
  const int64_t grain = 16000 / d + 1, os = out.strides[ids.ndim];
  if (is_block(weight.dtype)) {
    const BlockFormat* format = block_format(weight.dtype);
    if (!format) return fail("embedding: no code for %s", row(weight.dtype).name);
    const int64_t block = block_of(weight.dtype), bytes = bytes_of(weight.dtype);
    if (d % block != 0 || weight.strides[1] != 1)
      return "embedding: expected whole contiguous blocks in each row";
    return for_float(out.dtype, "embedding", [&]<class To>() -> const char* {
      bool ok = true;
      parallel_for(rows.count, grain, [&](int64_t begin, int64_t end, int) {
        Scratch floats(d * sizeof(float));
        if (!floats.template as<float>()) {
          __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
          return;
        }
        StridedIterator<2> it = rows;
        it.seek(begin);
        for (int64_t i = begin; i < end; ++i, it.next()) {
          const int64_t id = id_at(ids, it.offset[1]);
          format->floats(weight.ptr<const uint8_t>() + id * weight.strides[0] / block * bytes,
                         d / block, floats.template as<float>());
          copy_row(floats.template as<float>(), 1, out.ptr<To>() + it.offset[0], os, d);
        }
      });
      return ok ? nullptr : "embedding: out of memory";
    });
  }
  return for_float(weight.dtype, "embedding", [&]<class From>() -> const char* {
    return for_float(out.dtype, "embedding", [&]<class To>() -> const char* {
      parallel_for(rows.count, grain, [&](int64_t begin, int64_t end, int) {
        StridedIterator<2> it = rows;
        it.seek(begin);
        for (int64_t i = begin; i < end; ++i, it.next()) {
          const int64_t id = id_at(ids, it.offset[1]);
          copy_row(weight.ptr<From>() + id * weight.strides[0], weight.strides[1],
                   out.ptr<To>() + it.offset[0], os, d);
        }
      });
      return nullptr;
    });
  });
}

// 32 elements as a block of q8_0, rounded as quantize/simple.cpp rounds. What is not finite makes
// the scale NaN, so that it is seen in what is read.
[[gnu::noinline]] void pack_q8_0(const float* x, uint8_t* to) {
  float most = 0;
  bool finite = true;
  for (int i = 0; i < 32; ++i) {
    const float size = __builtin_fabsf(x[i]);
    finite &= size < __builtin_inff();
    most = size > most ? size : most;
  }
  const float d = finite ? most / 127 : __builtin_nanf(""), inverse = d > 0 ? 1 / d : 0;
  const f16 half = from_float<f16>(d);
  memcpy(to, &half, 2);
  for (int i = 0; i < 32; ++i) {
    const float size = __builtin_fabsf(x[i] * inverse);  // halves go away from zero
    const int clipped = size < 127 ? static_cast<int>(size) : 127;
    const int whole = clipped + (size - static_cast<float>(clipped) >= 0.5f && clipped < 127);
    to[2 + i] = static_cast<uint8_t>(x[i] < 0 ? -whole : whole);
  }
}

// d elements from number `at` of x on, which are one row, as blocks of q8_0.
void write_q8_0(const View& x, int64_t at, int64_t d, uint8_t* to) {
  constexpr int kBytes = bytes_of(DType::q8_0);
  if (x.dtype == DType::q8_0) {
    memmove(to, x.ptr<uint8_t>() + at / 32 * kBytes, d / 32 * kBytes);
    return;
  }
  const int64_t step = x.strides[3];
  for_float(x.dtype, "kv_write", [&]<class From>() -> const char* {
    const From* from = x.ptr<From>() + at;
    for (int64_t i = 0; i < d; i += 32, to += kBytes) {
      float block[32];
      copy_row(from + i * step, step, block, 1, 32);
      pack_q8_0(block, to);
    }
    return nullptr;
  });
}

// Which caches (and what from) there is code for; the text of an error.
const char* check_cache(DType cache, DType x) {
  auto none = []<class T>() -> const char* { return nullptr; };
  if (cache == DType::q8_0) return x == DType::q8_0 ? nullptr : for_float(x, "kv_write", none);
  if (cache != DType::f32 && cache != DType::f16 && cache != DType::bf16)
    return fail("kv_write: expected a cache of f32, f16, bf16 or q8_0, got %s", row(cache).name);
  return for_float(x, "kv_write", none);
}

// Caches (b, hk, cap, d); k and v (b, hk, n, d) go to the positions start[b] … start[b] + n - 1.
const char* kv_write(const Arg* args, int) {
  const View& start = *args[4].a;
  const char* shapes =
      "kv_write: expected caches (b, hk, capacity, d), k and v (b, hk, n, d), start (b)";
  for (int i = 0; i < 2; ++i) {
    const View &cache = *args[i].a, &x = *args[2 + i].a;
    if (cache.ndim != 4 || x.ndim != 4 || start.ndim != 1) return shapes;
    if (cache.shape[0] != x.shape[0] || cache.shape[1] != x.shape[1] ||
        cache.shape[3] != x.shape[3] || start.shape[0] != x.shape[0] ||
        x.shape[2] != args[2].a->shape[2] || x.shape[0] != args[2].a->shape[0]) {
      return shapes;
    }
  }
  if (start.dtype != DType::i64)
    return fail("kv_write: expected start in i64, got %s", row(start.dtype).name);
  const int64_t b = start.shape[0], n = args[2].a->shape[2];
  for (int i = 0; i < 2; ++i) {
    const int64_t capacity = args[i].a->shape[2];
    if (may_overlap(*args[i].a, start)) return "kv_write: expected a start outside the caches";
    for (int64_t bi = 0; bi < b; ++bi) {
      const int64_t s = start.ptr<int64_t>()[bi * start.strides[0]];
      if (s < 0 || s > capacity - n) {
        return fail("kv_write: the cache holds %lld positions, asked for %lld from %lld",
                    static_cast<long long>(capacity), static_cast<long long>(n),
                    static_cast<long long>(s));
      }
    }
  }
  for (int i = 0; i < 2; ++i) {  // dtypes too, before anything is written
    if (const char* error = check_cache(args[i].a->dtype, args[2 + i].a->dtype)) return error;
  }
  for (int i = 0; i < 2; ++i) {
    const View &cache = *args[i].a, &x = *args[2 + i].a;
    const int64_t h = x.shape[1], d = x.shape[3];
    if (cache.dtype == DType::q8_0) {
      parallel_for(b * h * n, 4000 / (d + 1) + 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
          const int64_t bi = r / (h * n), hi = r / n % h, ni = r % n;
          const int64_t at = start.ptr<int64_t>()[bi * start.strides[0]] + ni;
          const int64_t to = bi * cache.strides[0] + hi * cache.strides[1] + at * cache.strides[2];
          write_q8_0(x, bi * x.strides[0] + hi * x.strides[1] + ni * x.strides[2], d,
                     cache.ptr<uint8_t>() + to / 32 * bytes_of(DType::q8_0));
        }
      });
      continue;
    }
    for_float32(cache.dtype, "kv_write", [&]<class To>() -> const char* {
      return for_float(x.dtype, "kv_write", [&]<class From>() -> const char* {
        parallel_for(b * h * n, 16000 / (d + 1) + 1, [&](int64_t begin, int64_t end, int) {
          for (int64_t r = begin; r < end; ++r) {
            const int64_t bi = r / (h * n), hi = r / n % h, ni = r % n;
            const int64_t at = start.ptr<int64_t>()[bi * start.strides[0]] + ni;
            copy_row(x.ptr<From>() + bi * x.strides[0] + hi * x.strides[1] + ni * x.strides[2],
                     x.strides[3],
                     cache.ptr<To>() + bi * cache.strides[0] + hi * cache.strides[1] +
                         at * cache.strides[2],
                     cache.strides[3], d);
          }
        });
        return nullptr;
      });
    });
  }
  return nullptr;
}

}  // namespace

void register_embedding(KernelTable& t);
void register_embedding(KernelTable& t) {
  t.add("embedding", "out:out ids:in weight:in", embedding);
  t.add("kv_write", "cache_k:inout cache_v:inout k:in v:in start:in", kv_write);
}

}  // namespace tl::TL_ISA
