// Attention with an online softmax over key tiles: grouped heads, causal, window, soft-cap, mask,
// KV cache with lengths.
//
// The work is cut into units (batch, kv head, block of query positions, range of keys). A unit's
// rows are its positions for all query heads of the kv head, so that a tile of keys and values is
// fetched (and packed) once for the whole group. Many rows go through packed tiles and GEMM
// micro-kernels, few rows (decoding) read keys and values in place.
//
// What a query gets does not depend on the queries, rows or threads beside it, to the last bit: a
// score is summed over d in order, keys are cut into tiles and parts at fixed positions, each part
// has an online softmax of its own, and parts are merged in order: by the unit itself, or, where
// there are few units over many keys, by a last pass over what the parts' units have left.
#include "attention_problem.h"
#include "attention_rows.h"
#include "attention_tile.h"

namespace tl::TL_ISA {
namespace {

constexpr int64_t kDirectRows = 12;  // up to here keys and values are read in place
constexpr int64_t kPart = 256;       // keys with a softmax of their own: whole tiles
constexpr int64_t kUnitRows = 192;   // rows of a packed unit: enough to pay for packing its tiles
using Problem = AttentionProblem;
using Unit = AttentionUnit;

// Memory of one unit: o, top and total of the part under way, and those of the parts before it.
struct Workspace {
  float *q, *o, *top, *total, *before_o, *before_top, *before_total, *s, *k, *v, *line, *wide;
  int64_t *low, *high;  // visible keys of each row
  static int64_t bytes(const Problem& p) { return lay_out(p, nullptr, nullptr); }
  static int64_t lay_out(const Problem& p, std::byte* base, Workspace* w) {
    const int64_t rows = p.block * p.group, wide_d = round_up(p.d, kLanes),
                  wide_v = round_up(p.dv, kNR);
    int64_t at = 0;
    auto take = [&](int64_t count, int64_t size) {
      std::byte* p = base + at;
      at += round_up(count * size, 64);
      return p;
    };
    Workspace unused, &to = w ? *w : unused;
    to.q = reinterpret_cast<float*>(take(rows * p.ldq, 4));
    to.o = reinterpret_cast<float*>(take(rows * p.ldo, 4));
    to.top = reinterpret_cast<float*>(take(rows, 4));
    to.total = reinterpret_cast<float*>(take(rows, 4));
    const int64_t before = p.chunks > 1 || p.longest <= kPart ? 0 : rows;
    to.before_o = reinterpret_cast<float*>(take(before * p.ldo, 4));
    to.before_top = reinterpret_cast<float*>(take(before, 4));
    to.before_total = reinterpret_cast<float*>(take(before, 4));
    to.s = reinterpret_cast<float*>(take(kMR * kKeys, 4));
    to.k = reinterpret_cast<float*>(take(kKeys * wide_d, 4));
    to.v = reinterpret_cast<float*>(take(kKeys * wide_v, 4));
    to.line = reinterpret_cast<float*>(take(kLanes * wide_d, 4));
    const bool blocks = p.k.dtype == DType::q8_0 || p.v.dtype == DType::q8_0;
    to.wide = reinterpret_cast<float*>(take(blocks ? kKeys * (p.d > p.dv ? p.d : p.dv) : 0, 4));
    to.low = reinterpret_cast<int64_t*>(take(rows, 8));
    to.high = reinterpret_cast<int64_t*>(take(rows, 8));
    return at;
  }
};

void load_queries(const Problem& p, const Unit& u, Workspace& w) {
  const int64_t rows = u.count * p.group, begin = p.start_of(u.bi), length = p.length_of(u.bi);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t i = u.position(r), at = begin + i;
    const int64_t from = u.bi * p.q.strides[0] + u.head(p, r) * p.q.strides[1] + i * p.q.strides[2];
    with_float(p.q.dtype, [&]<class T>(T) {
      widen(p.q.ptr<T>() + from, p.q.strides[3], w.q + r * p.ldq, p.d, p.scale);
    });
    for (int64_t c = p.d; c < p.ldq; ++c) w.q[r * p.ldq + c] = 0;
    int64_t low = p.window > 0 && at >= p.window ? at - p.window + 1 : 0;
    int64_t high = p.causal && at + 1 < length ? at + 1 : length;
    if (p.piece > 0) {
      const int64_t piece = at / p.piece * p.piece;
      low = piece > low ? piece : low;
      high = high - piece > p.piece ? piece + p.piece : high;
    }
    w.low[r] = low > u.key_begin ? low : u.key_begin;
    w.high[r] = high < u.key_end ? high : u.key_end;
  }
}

void reset_softmax(const Problem& p, int64_t rows, Workspace& w) {
  for (int64_t r = 0; r < rows; ++r) w.top[r] = -__builtin_inff(), w.total[r] = 0;
  memset(w.o, 0, rows * p.ldo * sizeof(float));
}

// Scores of one row as they come from the micro-kernel → base-2 logarithms with cap, mask and
// visibility applied, for the columns [begin, end) of the tile at `tile`.
[[gnu::noinline]] void finish_scores(const Problem& p, const Unit& u, const Workspace& w, int64_t r,
                                     float* s, int64_t tile, int64_t begin, int64_t end) {
  if (p.cap > 0) {
    const float inverse = 1 / p.cap, factor = p.cap * kLog2e;
    for (int64_t j = begin; j < end; j += kLanes)
      store(s + j, tanh(load(s + j) * inverse) * factor);
  }
  const int64_t low = w.low[r] - tile, high = w.high[r] - tile;
  if (p.slopes.data) {
    const float slope = p.slope_log2(u.head(p, r));
    const int64_t ahead = tile - p.start_of(u.bi) - u.position(r);
    for (int64_t j = begin; j < end; ++j) s[j] += slope * static_cast<float>(ahead + j);
  }
  if (p.has_mask) {
    const int64_t step = p.mask.strides[3];
    const int64_t at = u.bi * p.mask.strides[0] + u.head(p, r) * p.mask.strides[1] +
                       u.position(r) * p.mask.strides[2] + tile * step;
    const int64_t from = low > begin ? low : begin, to = high < end ? high : end;
    if (p.mask.dtype == DType::bool_) {
      const uint8_t* keep = p.mask.ptr<uint8_t>() + at;
      for (int64_t j = from; j < to; ++j) s[j] = keep[j * step] ? s[j] : -__builtin_inff();
    } else {
      with_float(p.mask.dtype, [&]<class T>(T) {
        const T* add = p.mask.ptr<T>() + at;
        if (step == 1) return add_mask(add + from, s + from, to - from);
        for (int64_t j = from; j < to; ++j) s[j] += mask_log2(to_float(add[j * step]));
      });
    }
  }
  for (int64_t j = begin; j < low && j < end; ++j) s[j] = -__builtin_inff();
  for (int64_t j = high > begin ? high : begin; j < end; ++j) s[j] = -__builtin_inff();
}

// R rows from r on against one tile; the columns some row of them sees, in whole steps of the
// kernel.
template <int R, class Score, class Value>
TL_INLINE void attend_rows(const Problem& p, const Unit& u, Workspace& w, int64_t r, int64_t tile,
                           int64_t keys, const Score& score, const Value& value) {
  int64_t low = w.low[r], high = w.high[r];
  int64_t all_from = low, all_to = high;  // what every row sees
  for (int i = 1; i < R; ++i) {
    low = w.low[r + i] < low ? w.low[r + i] : low;
    high = w.high[r + i] > high ? w.high[r + i] : high;
    all_from = w.low[r + i] > all_from ? w.low[r + i] : all_from;
    all_to = w.high[r + i] < all_to ? w.high[r + i] : all_to;
  }
  low = low > tile ? low - tile : 0;
  high = high - tile < keys ? high - tile : keys;
  if (low >= high) return;
  const int64_t begin = low / kNR * kNR, end = round_up(high, kNR);
  score(r, begin, end);
  if (p.changes_scores() || all_from > tile + begin || all_to < tile + end)
    for (int i = 0; i < R; ++i) finish_scores(p, u, w, r + i, w.s + i * kKeys, tile, begin, end);
  online_softmax<R>(w.s, begin, end, w.top + r, w.total + r, w.o + r * p.ldo, p.ldo);
  value(r, low, high);
}

// f.operator()<R>(r) over blocks of at most Most rows.
template <int Most, class F>
TL_INLINE void row_blocks(int64_t rows, const F& f) {
  int64_t r = 0;
  for (; r + Most <= rows; r += Most) f.template operator()<Most>(r);
  switch (rows - r) {
    case 5:
      if constexpr (Most > 5) f.template operator()<5>(r);
      break;
    case 4:
      if constexpr (Most > 4) f.template operator()<4>(r);
      break;
    case 3:
      if constexpr (Most > 3) f.template operator()<3>(r);
      break;
    case 2:
      if constexpr (Most > 2) f.template operator()<2>(r);
      break;
    case 1:
      f.template operator()<1>(r);
      break;
    default:
      break;
  }
}

// The keys [first, keys) of a tile into the panels.
void pack_tile_keys(const Problem& p, const Rows& k, Workspace& w, int64_t first, int64_t keys) {
  with_float(k.dtype, [&]<class T>(T) {
    pack_keys(k.ptr<T>() + first * k.row, k.row, k.step, keys - first, p.d, w.k + first * p.d,
              w.line);
  });
}

// The rows of a unit against one tile, as far as keys are packed: score.operator()<R>(r, begin,
// end) and value.operator()<R>(r, low, high).
template <int Most, class Score, class Value>
TL_INLINE void attend_tile(const Problem& p, const Unit& u, Workspace& w, int64_t tile,
                           int64_t keys, const Score& score, const Value& value) {
  row_blocks<Most>(u.count * p.group, [&]<int R>(int64_t r0) {
    attend_rows<R>(
        p, u, w, r0, tile, keys,
        [&](int64_t r, int64_t begin, int64_t end) { score.template operator()<R>(r, begin, end); },
        [&](int64_t r, int64_t low, int64_t high) { value.template operator()<R>(r, low, high); });
  });
}

template <int R>
TL_INLINE void score_packed(const Problem& p, Workspace& w, int64_t r, int64_t begin, int64_t end) {
  // Sums and sums of lanes of more rows would not stay in registers.
  constexpr int kHalf = kLanes > 8 || R < 4 ? R : (R + 1) / 2;
  for (int64_t j = begin; j < end; j += kNR) {
    const float* q = w.q + r * p.ldq;
    score_panel<kHalf>(q, p.ldq, w.k + j * p.d, p.d, w.s + j);
    if constexpr (kHalf < R)
      score_panel<R - kHalf>(q + kHalf * p.ldq, p.ldq, w.k + j * p.d, p.d, w.s + kHalf * kKeys + j);
  }
}

void tile_packed(const Problem& p, const Unit& u, Workspace& w, int64_t tile, int64_t keys) {
  pack_tile_keys(p, rows_of(p.k, u, tile, keys, w.wide), w, 0, keys);
  const Rows v = rows_of(p.v, u, tile, keys, w.wide);
  with_float(v.dtype, [&]<class T>(T) { pack_values(v.ptr<T>(), v.row, v.step, keys, p.dv, w.v); });
  attend_tile<kMR>(
      p, u, w, tile, keys,
      [&]<int R>(int64_t r, int64_t begin, int64_t end) { score_packed<R>(p, w, r, begin, end); },
      [&]<int R>(int64_t r, int64_t low, int64_t high) {
        for (int64_t c = 0; c < p.ldo; c += kNR)
          value_panel<R>(w.s, w.v + c * kKeys, low, high, w.o + r * p.ldo + c, p.ldo);
      });
}

// Keys and values are read where they are, or, when their rows are not whole contiguous vectors,
// from a copy.
void tile_direct(const Problem& p, const Unit& u, Workspace& w, int64_t tile, int64_t keys) {
  const Rows k = rows_of(p.k, u, tile, keys, w.wide), v = rows_of(p.v, u, tile, keys, w.v);
  // Of blocks this is done where they are unpacked; behind the last tile there is nothing.
  const bool ahead = p.k.dtype == k.dtype && tile + kKeys < p.longest;
  int64_t in_place = 0;  // keys from here on are packed: the last ones, that are no whole panel
  const bool shared = u.count * p.group > 3;  // then a packed key serves so many that it pays
  if (kLanes >= 8 && !shared && k.step == 1 && p.d == p.ldq && k.dtype == v.dtype)
    in_place = keys / kNR * kNR;
  if (in_place < keys) pack_tile_keys(p, k, w, in_place, keys);
  auto attend = [&]<class T>([[maybe_unused]] const T* at, const auto* values, int64_t v_row) {
    attend_tile<4>(
        p, u, w, tile, keys,
        [&]<int R>(int64_t r, int64_t begin, int64_t end) {
          if constexpr (kLanes >= 8) {
            for (; begin < end && begin < in_place; begin += kNR) {
              if (ahead && r == 0) prefetch_rows(at + (begin + kKeys) * k.row, k.row, p.d, kNR);
              score_in_place<R>(w.q + r * p.ldq, p.ldq, at + begin * k.row, k.row, p.d,
                                w.s + begin);
            }
          }
          score_packed<R>(p, w, r, begin, end);
        },
        [&]<int R>(int64_t r, int64_t low, int64_t high) {
          if (ahead && r == 0)
            prefetch_rows(values + (low + kKeys) * v_row, v_row, p.dv, high - low);
          value_direct<R>(w.s, values, v_row, low, high, p.ldo, w.o + r * p.ldo, p.ldo);
        });
  };
  with_float(v.dtype, [&]<class T>(T) {
    if (v.step == 1 && p.dv == p.ldo) return attend(k.ptr<T>(), v.ptr<T>(), v.row);
    widen_rows(v.ptr<T>(), v.row, v.step, keys, p.dv, w.v, p.ldo);
    attend(k.ptr<T>(), w.v, p.ldo);
  });
}

// What a row's outputs are multiplied by: 1 / total, of weights relative to 2^top; a sink counts as
// one more of them.
TL_INLINE float row_factor(const Problem& p, const Unit& u, int64_t r, float total, float top) {
  if (!p.sinks.data) return total == 0 ? p.nothing : 1 / total;
  const float sink = p.sink_log2(u.head(p, r));
  if (!(sink > top)) return 1 / (total + exp2_negative(splat(sink - top))[0]);
  const float shrink = exp2_negative(splat(top - sink))[0];
  return shrink / (total * shrink + 1);
}

void store_row(const Problem& p, const Unit& u, int64_t r, const float* o, float total, float top) {
  const float factor = row_factor(p, u, r, total, top);
  const int64_t at =
      u.bi * p.out.strides[0] + u.head(p, r) * p.out.strides[1] + u.position(r) * p.out.strides[2];
  with_float(p.out.dtype, [&]<class T>(T) {
    T* to = p.out.ptr<T>() + at;
    const int64_t step = p.out.strides[3];
    int64_t c = 0;
    if (step == 1) {
      for (; c + kLanes <= p.dv; c += kLanes) store(to + c, load(o + c) * factor);
    }
    for (; c < p.dv; ++c) to[c * step] = from_float<T>(o[c] * factor);
  });
}

// Adds what a part left (output o, maximum, sum) to what the parts before it did. Parts that a row
// sees nothing of change nothing.
[[gnu::noinline]] void merge_row(const float* o, float top, float total, int64_t n, float* sum_o,
                                 float* sum_top, float* sum_total) {
  const float nothing = -__builtin_inff();
  if (top == nothing && total == 0) return;
  if (*sum_top == nothing && *sum_total == 0) {
    memcpy(sum_o, o, n * sizeof(float));
    *sum_top = top;
    *sum_total = total;
    return;
  }
  const float most = top > *sum_top ? top : *sum_top;
  const float before = *sum_top == most ? 1 : exp2_negative(splat(*sum_top - most))[0];
  const float now = top == most ? 1 : exp2_negative(splat(top - most))[0];
  *sum_top = most;
  *sum_total = *sum_total * before + total * now;
  for (int64_t i = 0; i < n; i += kLanes)
    store(sum_o + i, fma(load(o + i), splat(now), load(sum_o + i) * before));
}

void run_unit(const Problem& p, int64_t index, Workspace& w, bool direct) {
  const Unit u = unit_at(p, index);
  const int64_t rows = u.count * p.group;
  load_queries(p, u, w);
  // low and high both grow with the position: the first position sees the lowest key, the last one
  // the highest.
  const int64_t low = w.low[0], high = w.high[u.count - 1];
  const int64_t first = low / kPart * kPart;
  const bool one = first + kPart >= high;
  for (int64_t part = first; part < high || part == first; part += kPart) {
    const int64_t end = part + kPart < high ? part + kPart : high;
    reset_softmax(p, rows, w);
    for (int64_t tile = (part > low ? part : low) / kKeys * kKeys; tile < end; tile += kKeys) {
      const int64_t keys = end - tile < kKeys ? end - tile : kKeys;
      if (direct)
        tile_direct(p, u, w, tile, keys);
      else
        tile_packed(p, u, w, tile, keys);
    }
    if (one) break;
    for (int64_t r = 0; r < rows; ++r) {
      float* o = w.before_o + r * p.ldo;
      if (part == first) {
        memset(o, 0, p.ldo * sizeof(float));
        w.before_top[r] = -__builtin_inff(), w.before_total[r] = 0;
      }
      merge_row(w.o + r * p.ldo, w.top[r], w.total[r], p.ldo, o, w.before_top + r,
                w.before_total + r);
    }
  }
  if (!p.parts) {
    const float *o = one ? w.o : w.before_o, *total = one ? w.total : w.before_total;
    const float* top = one ? w.top : w.before_top;
    for (int64_t r = 0; r < rows; ++r) store_row(p, u, r, o + r * p.ldo, total[r], top[r]);
    return;
  }
  float* part = p.parts + index * p.part_floats();
  memcpy(part, w.o, rows * p.ldo * sizeof(float));
  memcpy(part + rows * p.ldo, w.top, rows * sizeof(float));
  memcpy(part + rows * (p.ldo + 1), w.total, rows * sizeof(float));
}

// Merges the parts of the units [index * chunks, (index + 1) * chunks) into the first one's memory.
void merge_unit(const Problem& p, int64_t index) {
  const Unit u = unit_at(p, index * p.chunks);
  const int64_t rows = u.count * p.group;
  float* base = p.parts + index * p.chunks * p.part_floats();
  float *tops = base + rows * p.ldo, *totals = tops + rows;
  for (int64_t r = 0; r < rows; ++r) {
    float* o = base + r * p.ldo;
    for (int64_t c = 1; c < p.chunks; ++c) {
      const float *part = base + c * p.part_floats(), *top = part + rows * p.ldo + r;
      merge_row(part + r * p.ldo, *top, top[rows], p.ldo, o, tops + r, totals + r);
    }
    store_row(p, u, r, o, totals[r], tops[r]);
  }
}

void split_into_units(Problem& p, bool direct) {
  p.ldq = round_up(p.d, kLanes);
  p.ldo = round_up(p.dv, direct ? kLanes : kNR);
  p.block = direct ? p.n : round_up(kUnitRows / p.group + 1, kMR);
  if (p.block > p.n) p.block = p.n;
  p.blocks = (p.n + p.block - 1) / p.block;
  p.longest = 0;
  for (int64_t bi = 0; bi < p.b; ++bi)
    p.longest = p.length_of(bi) > p.longest ? p.length_of(bi) : p.longest;
  // Few units over many keys: a unit for each part of them, so that all threads have work.
  const int64_t many = 4 * num_threads() > 16 ? 4 * num_threads() : 16;
  p.chunk = p.b * p.hk * p.blocks < many ? kPart : p.longest;
  if (p.chunk < 1) p.chunk = 1;
  p.chunks = (p.longest + p.chunk - 1) / p.chunk;
  if (p.chunks < 1) p.chunks = 1;
}

const char* run_problem(Problem& p) {
  if (p.b == 0 || p.h == 0 || p.n == 0 || p.dv == 0) return nullptr;
  const bool direct = p.group * p.n <= kDirectRows;
  split_into_units(p, direct);
  const int64_t units = p.b * p.hk * p.blocks * p.chunks;
  Scratch parts(p.chunks > 1 ? units * p.part_floats() * sizeof(float) : 0);
  p.parts = p.chunks > 1 ? parts.as<float>() : nullptr;
  if (p.chunks > 1 && !p.parts) return "attention: out of memory";
  // One unit of decoding at a few keys is less work than waking a thread.
  const int64_t unit_work =
      p.block * p.group * (p.longest < p.chunk ? p.longest : p.chunk) * (p.d + p.dv) + 1;
  bool ok = true;
  parallel_for(units, 100000 / unit_work + 1, [&](int64_t begin, int64_t end, int) {
    Scratch memory(Workspace::bytes(p));
    if (!memory.as<std::byte>()) {
      __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
      return;
    }
    Workspace w;
    Workspace::lay_out(p, memory.as<std::byte>(), &w);
    for (int64_t i = begin; i < end; ++i) run_unit(p, i, w, direct);
  });
  if (!ok) return "attention: out of memory";
  if (p.parts) {
    parallel_for(units / p.chunks, 20000 / (p.part_floats() * p.chunks) + 1,
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) merge_unit(p, i);
                 });
  }
  return nullptr;
}

const char* attention(const Arg* args, int) {
  Problem p;
  const char* error = read_problem(p, args);
  return error ? error : run_problem(p);
}

const char* attention_per_head(const Arg* args, int) {
  Problem p;
  if (const char* error = read_problem(p, args)) return error;
  const char* error = read_per_head(p, args);
  return error ? error : run_problem(p);
}

}  // namespace

void register_attention_backward(KernelTable& t);
void register_attention(KernelTable& t);
void register_attention(KernelTable& t) {
  t.add("attention",
        "out:out q:in k:in v:in start:in? mask:in? scale:f causal:i window:i softcap:f", attention);
  t.add("attention_per_head",
        "out:out q:in k:in v:in start:in? mask:in? scale:f causal:i window:i softcap:f sinks:in? "
        "slopes:in? chunk:i",
        attention_per_head);
#ifndef TL_INFERENCE
  register_attention_backward(t);
#endif
}

}  // namespace tl::TL_ISA
