// Products of rows with the weights that ids choose (mixtures of experts): "expert_linear", and
// "expert_outer" for its gradient. Rows are put together by expert; each expert's then take the
// kernels of `linear`, so that a row's result has the bits that it has alone. Weights that no row
// has chosen are not read.
#include <atomic>

#include "../core/parallel.h"
#include "blocks/int8_linear.h"
#include "blocks/int8_units.h"
#include "linear_order.h"

namespace tl::TL_ISA {
namespace {

// Which pairs of a token and one of its choices each expert has; a pair is token · chosen + place.
struct Routing {
  const int64_t tokens, chosen, experts;
  Scratch memory;
  int64_t *pairs, *first, *busy;  // busy: the experts that have any, the busiest first
  int64_t busy_count = 0;

  Routing(const View& ids, int64_t experts_)
      : tokens(ids.shape[0]),
        chosen(ids.shape[1]),
        experts(experts_),
        memory((tokens * chosen + 2 * experts + 2) * sizeof(int64_t)),
        pairs(memory.as<int64_t>()),
        first(pairs + tokens * chosen),
        busy(first + experts + 1) {}

  int64_t count(int64_t expert) const { return first[expert + 1] - first[expert]; }
  const int64_t* of(int64_t expert) const { return pairs + first[expert]; }

  template <class T>
  const char* fill(const View& ids) {
    const auto id = [&](int64_t pair) -> int64_t {
      return ids.ptr<const T>()[pair / chosen * ids.strides[0] + pair % chosen * ids.strides[1]];
    };
    for (int64_t e = 0; e <= experts; ++e) first[e] = 0;
    const int64_t all = tokens * chosen;
    for (int64_t i = 0; i < all; ++i) {
      const int64_t e = id(i);
      if (e < 0 || e >= experts) return "experts: an id is not that of an expert";
      ++first[e];
    }
    int64_t end = 0;
    for (int64_t e = 0; e < experts; ++e) {
      if (first[e]) busy[busy_count++] = e;
      first[e] = end += first[e];
    }
    first[experts] = end;
    for (int64_t i = all; i-- > 0;) pairs[--first[id(i)]] = i;
    sort_busy();
    return nullptr;
  }

 private:
  // By counts: long shares first balance best. There are few.
  void sort_busy() {
    for (int64_t i = 1; i < busy_count; ++i) {
      const int64_t e = busy[i];
      int64_t at = i;
      for (; at > 0 && count(busy[at - 1]) < count(e); --at) busy[at] = busy[at - 1];
      busy[at] = e;
    }
  }
};

const char* route(Routing& routing, const View& ids) {
  if (!routing.pairs) return "experts: out of memory";
  return ids.dtype == DType::i64   ? routing.fill<int64_t>(ids)
         : ids.dtype == DType::i32 ? routing.fill<int32_t>(ids)
                                   : "experts: ids must be i64 or i32";
}

View matrix(std::byte* data, DType dtype, int64_t rows, int64_t columns, int64_t row,
            int64_t column) {
  View v;
  v.data = data;
  v.dtype = dtype;
  v.ndim = 2;
  v.shape[0] = rows, v.shape[1] = columns;
  v.strides[0] = row, v.strides[1] = column;
  return v;
}

std::byte* advanced(const View& v, int64_t elements) {
  return v.data + elements / block_of(v.dtype) * bytes_of(v.dtype);
}

// Rows of x or of what stands in its place: of tokens, or of pairs.
struct Rows {
  View rows;       // (tokens or pairs, size)
  int64_t chosen;  // choices that share a row

  const std::byte* at(int64_t pair) const {
    return rows.data + pair / chosen * rows.strides[0] * bytes_of(rows.dtype);
  }
  // Those of `count` pairs behind each other.
  void gather(const int64_t* pairs, int64_t count, std::byte* to) const {
    const int64_t bytes = rows.shape[1] * bytes_of(rows.dtype);
    for (int64_t i = 0; i < count; ++i) memcpy(to + i * bytes, at(pairs[i]), bytes);
  }
};

// x (tokens, size), or of pairs (tokens, chosen, size); false where it cannot be walked as rows.
bool as_rows(const View& x, const View& ids, bool may_share, Rows& found) {
  const bool shared = x.ndim == 2 && may_share;
  if (!shared && x.ndim != 3) return false;
  if (x.shape[0] != ids.shape[0] || (!shared && x.shape[1] != ids.shape[1])) return false;
  const int64_t rows = shared ? x.shape[0] : x.shape[0] * x.shape[1], size = x.shape[x.ndim - 1];
  if (rows * size == 0) {
    found = {matrix(x.data, x.dtype, rows, size, size, 1), shared ? ids.shape[1] : 1};
    return true;
  }
  if (size > 1 && x.back_stride(1) != 1) return false;
  const bool joined =
      shared || x.shape[0] == 1 || x.shape[1] == 1 || x.strides[0] == x.strides[1] * x.shape[1];
  const int64_t stride = !shared && x.shape[1] == 1 ? x.strides[0] : x.back_stride(2);
  found = {matrix(x.data, x.dtype, rows, size, stride, 1), shared ? ids.shape[1] : 1};
  return joined;
}

// Calls one(expert) for each that has rows: side by side, or each on all threads where they are too
// few for that. The first error, or null.
template <class F>
const char* each_busy(const Routing& routing, int64_t begin, int64_t end, const F& one) {
  if (end - begin < 2 * num_threads()) {
    for (int64_t i = begin; i < end; ++i)
      if (const char* error = one(routing.busy[i])) return error;
    return nullptr;
  }
  std::atomic<const char*> failed{nullptr};
  parallel_for(end - begin, 1, [&](int64_t from, int64_t to, int) {
    for (int64_t i = from; i < to; ++i)
      if (const char* error = one(routing.busy[begin + i])) failed = error;
  });
  return failed.load();
}

struct Experts {
  Linear base;  // of pairs; its weight has three axes
  Rows x;
  const Routing& routing;
  const BlockFormat* rounding;  // or null

  // The product of an expert's rows. `x_rows` has room for theirs.
  Linear of(int64_t expert) const {
    Linear l = base;
    const View& all = base.weight;
    l.weight = matrix(advanced(all, expert * all.strides[0]), all.dtype, l.n, l.k, all.strides[1],
                      all.strides[2]);
    if (l.has_bias) {
      l.bias.ndim = 1;
      l.bias.data = advanced(base.bias, expert * base.bias.strides[0]);
      l.bias.shape[0] = l.n, l.bias.strides[0] = base.bias.strides[1];
    }
    l.m = routing.count(expert);
    l.out_rows = routing.of(expert);
    return l;
  }

  // Up to so many rows take dot products: of all experts at once, since they are soon done.
  int64_t few() const {
    if (rounding) return few_rows(*rounding);
    Linear l = base;
    l.weight = of(0).weight;
    l.m = 1;
    return takes_few_rows(l) ? kDotRows : 0;
  }

  // The rows of x of the busy experts from `begin` on, one expert behind the other: places in x.
  void places(int64_t begin, int64_t* to) const {
    for (int64_t i = begin; i < routing.busy_count; ++i) {
      const int64_t e = routing.busy[i], *pairs = routing.of(e);
      for (int64_t r = 0; r < routing.count(e); ++r) *to++ = pairs[r] / x.chosen;
    }
  }
};

// Shares the columns of the results of the busy experts from `begin` on: some(which, from, to).
template <class F>
void share_columns(const Experts& experts, int64_t begin, const F& some) {
  const int64_t columns = experts.base.n, padded = (columns + 15) / 16 * 16,
                count = experts.routing.busy_count - begin, all = padded * count;
  parallel_for(all, decode_grain(all, row_bytes(experts.base)), [&](int64_t from, int64_t to, int) {
    for (int64_t i = from / padded; i * padded < to; ++i) {
      const int64_t first = max64(from - i * padded, 0), last = min64(to - i * padded, columns);
      if (first < last) some(i, first, last);
    }
  });
}

// The busy experts from `begin` on have few rows each, which are rounded first.
const char* few_int8(const Experts& experts, int64_t begin) {
  const Routing& routing = experts.routing;
  const BlockFormat& format = *experts.rounding;
  const int64_t units = experts.base.k / 32, count = routing.busy_count - begin;
  // One row for all, which is rounded once.
  const bool same =
      routing.tokens == 1 && experts.x.chosen > 1 && routing.count(routing.busy[begin]) == 1;
  int64_t rows = 0;
  for (int64_t i = begin; i < routing.busy_count; ++i) rows += routing.count(routing.busy[i]);
  const size_t each = (DotActivations::bytes(1, units, format.per_unit()) + 63) / 64 * 64;
  Scratch memory((same ? routing.chosen : rows) * each + (rows + count + 1) * sizeof(int64_t));
  if (!memory.as<char>()) return "experts: out of memory";
  int64_t *places = memory.as<int64_t>(), *first = places + rows;
  char* rounded = reinterpret_cast<char*>(first + count + 1);
  experts.places(begin, places);
  first[0] = 0;
  for (int64_t i = 0; i < count; ++i)
    first[i + 1] = first[i] + routing.count(routing.busy[begin + i]);
  const auto activations = [&](int64_t i, int64_t m) {
    return DotActivations(rounded + (same ? 0 : first[i]) * each, m, units, format.per_unit());
  };
  const auto product = [&](int64_t i) {
    Linear l = experts.of(routing.busy[begin + i]);
    l.x_rows = places + first[i];
    return l;
  };
  parallel_for(same ? 1 : count, max64(1, 32768 / max64(1, experts.base.k)),
               [&](int64_t from, int64_t to, int) {
                 for (int64_t i = from; i < to; ++i) {
                   const Linear l = product(i);
                   int8_round_few(l, format, activations(i, l.m));
                 }
               });
  share_columns(experts, begin, [&](int64_t i, int64_t from, int64_t to) {
    const Linear l = product(i);
    int8_few_rows(l, format, activations(i, l.m), from, to);
  });
  return nullptr;
}

const char* few_float(const Experts& experts, int64_t begin) {
  const Routing& routing = experts.routing;
  const int64_t k = experts.base.k, count = routing.busy_count - begin;
  Scratch memory((count * kDotRows * k + 16) * sizeof(float));
  float* rows = memory.as<float>();
  if (!rows) return "experts: out of memory";
  parallel_for(count, max64(1, 32768 / max64(1, k)), [&](int64_t from, int64_t to, int) {
    for (int64_t i = from; i < to; ++i) {
      const int64_t e = routing.busy[begin + i], m = routing.count(e);
      with_float(experts.x.rows.dtype, [&]<class T>(T) {
        for (int64_t r = 0; r < few_rows_read(m); ++r) {
          const auto* x = reinterpret_cast<const T*>(experts.x.at(routing.of(e)[min64(r, m - 1)]));
          float* to_row = rows + (i * kDotRows + r) * k;
          for (int64_t j = 0; j < k; ++j) to_row[j] = to_float(x[j]);
        }
      });
    }
  });
  share_columns(experts, begin, [&](int64_t i, int64_t from, int64_t to) {
    const Linear l = experts.of(routing.busy[begin + i]);
    few_rows_kernel(l.weight.dtype, l.m)(l, rows + i * kDotRows * k, k, from, to);
  });
  return nullptr;
}

const char* many(const Experts& experts, int64_t expert) {
  Linear l = experts.of(expert);
  const int64_t bytes = experts.rounding ? sizeof(int64_t) : l.k * bytes_of(l.x.dtype);
  Scratch memory(l.m * bytes + 64);
  if (!memory.as<char>()) return "experts: out of memory";
  if (experts.rounding) {
    int64_t* places = memory.as<int64_t>();
    for (int64_t r = 0; r < l.m; ++r) places[r] = l.out_rows[r] / experts.x.chosen;
    l.x_rows = places;
    return int8_many_rows(l, *experts.rounding);
  }
  experts.x.gather(l.out_rows, l.m, memory.as<std::byte>());
  l.x = matrix(memory.as<std::byte>(), l.x.dtype, l.m, l.k, l.k, 1);
  return linear_float(l);
}

const char* check(const View& weight, const View& ids) {
  if (weight.ndim != 3) return "expert_linear: the weight must have three axes";
  if (ids.ndim != 2) return "expert_linear: ids must have two axes";
  return nullptr;
}

bool plain(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

const char* compute(const Experts& experts) {
  const Routing& routing = experts.routing;
  const int64_t count = routing.busy_count;
  const int64_t few = experts.few();
  int64_t most = 0;  // how many experts have more rows
  while (most < count && routing.count(routing.busy[most]) > few) ++most;
  if (most > 0) {
    const char* error = each_busy(routing, 0, most, [&](int64_t e) { return many(experts, e); });
    if (error) return error;
  }
  if (most == count) return nullptr;
  return experts.rounding ? few_int8(experts, most) : few_float(experts, most);
}

}  // namespace

const char* expert_linear(const Arg* args, int);
const char* expert_linear(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &weight = *args[2].a, &ids = *args[3].a;
  if (const char* error = check(weight, ids)) return error;
  Linear l;
  l.x = x;
  l.weight = weight;
  l.n = weight.shape[1];
  l.k = weight.shape[2];
  Rows rows, results;
  if (!as_rows(x, ids, true, rows) || rows.rows.shape[1] != l.k)
    return "expert_linear: x does not fit";
  if (!as_rows(out, ids, false, results) || results.rows.shape[1] != l.n)
    return "expert_linear: out does not fit";
  l.x = rows.rows;
  l.out = results.rows;
  l.has_bias = args[4].kind == Arg::array;
  if (l.has_bias) {
    l.bias = *args[4].a;
    if (l.bias.ndim != 2 || l.bias.shape[0] != weight.shape[0] || l.bias.shape[1] != l.n)
      return "expert_linear: bias does not fit";
    if (!plain(l.bias.dtype)) return "expert_linear: bias must be f32, f16 or bf16";
  }
  if (!plain(x.dtype) || !plain(out.dtype))
    return "expert_linear: x and out must be f32, f16 or bf16";
  const BlockFormat* format = block_format(weight.dtype);
  if (!format && !with_plain(weight.dtype, [](auto) {}))
    return "expert_linear: no kernel for this weight dtype";
  if (out.size() == 0) return nullptr;
  Routing routing(ids, weight.shape[0]);
  if (const char* error = route(routing, ids)) return error;
  const bool rounds = args[5].i == 0 && l.k > 0 && format && format->values;
  return compute({l, rows, routing, rounds ? format : nullptr});
}

const char* expert_outer(const Arg* args, int);
const char* expert_outer(const Arg* args, int) {
  const View &out = *args[0].a, &g = *args[1].a, &x = *args[2].a, &ids = *args[3].a;
  if (const char* error = check(out, ids)) return error;
  Rows left, right;
  if (!as_rows(g, ids, false, left) || !as_rows(x, ids, true, right) ||
      left.rows.shape[1] != out.shape[1] || right.rows.shape[1] != out.shape[2])
    return "expert_outer: shapes do not fit";
  if (!plain(out.dtype) || g.dtype != out.dtype || x.dtype != out.dtype)
    return "expert_outer: operands must have one float dtype";
  if (!out.contiguous()) return "expert_outer: out must be contiguous";
  if (out.size() == 0) return nullptr;
  Routing routing(ids, out.shape[0]);
  if (const char* error = route(routing, ids)) return error;
  const int64_t n = out.shape[1], k = out.shape[2], bytes = bytes_of(out.dtype);
  for (int64_t e = 0; e < routing.experts; ++e)
    if (routing.count(e) == 0) memset(out.data + e * n * k * bytes, 0, n * k * bytes);
  return each_busy(routing, 0, routing.busy_count, [&](int64_t e) -> const char* {
    const int64_t m = routing.count(e);
    Scratch memory(m * (n + k) * bytes + 64);
    std::byte *a = memory.as<std::byte>(), *b = a + m * n * bytes;
    if (!a) return "experts: out of memory";
    left.gather(routing.of(e), m, a);
    right.gather(routing.of(e), m, b);
    return matmul(matrix(out.data + e * n * k * bytes, out.dtype, n, k, k, 1),
                  matrix(a, out.dtype, n, m, 1, n), matrix(b, out.dtype, m, k, k, 1));
  });
}

}  // namespace tl::TL_ISA
