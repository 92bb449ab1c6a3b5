// What a call of attention asks for: its arrays and sizes, checked, and how the work is cut.
#pragma once
#include "../core/kernel.h"
#include "norm_rows.h"
#include "overlap.h"

namespace tl::TL_ISA {

inline constexpr float kLog2e = 1.44269504f;

// Bits of the argument `causal`.
enum : int64_t { kCausal = 1, kNanForNothing = 2 };

struct AttentionProblem {
  View q, k, v, out, start, mask;
  View sinks, slopes;  // f32 by head; without data where there are none
  bool has_start, has_mask, causal;
  float nothing;  // what a query without any key gets
  int64_t b, h, hk, group, n, m, d, dv, window;
  int64_t piece;     // keys of a piece of the text, beyond which nothing is seen; 0: all
  float scale, cap;  // scale: what q is multiplied by; without a cap it takes the scores to base-2
                     // logarithms
  int64_t ldq, ldo;  // row lengths of q and the output in the workspace
  int64_t block, blocks, chunk, chunks, longest;  // chunk: keys of a unit, kPart or all
  float* parts;  // per unit: rows × ldo outputs, rows maxima, rows sums; null when the key ranges
                 // are whole

  TL_INLINE int64_t start_of(int64_t bi) const {
    return has_start ? start.ptr<int64_t>()[bi * start.strides[0]] : 0;
  }
  TL_INLINE int64_t length_of(int64_t bi) const { return has_start ? start_of(bi) + n : m; }
  TL_INLINE float sink_log2(int64_t head) const {
    return sinks.ptr<float>()[head * sinks.strides[0]] * kLog2e;
  }
  TL_INLINE float slope_log2(int64_t head) const {
    return slopes.ptr<float>()[head * slopes.strides[0]] * kLog2e;
  }
  // Whether a score is more than a product: beside visibility.
  TL_INLINE bool changes_scores() const { return cap > 0 || slopes.data || has_mask; }
  TL_INLINE int64_t part_floats() const { return block * group * (ldo + 2); }
};

inline const char* check_start(const AttentionProblem& p) {
  if (p.start.dtype != DType::i64 || p.start.ndim != 1 || p.start.shape[0] != p.b)
    return "attention: expected start (b) in i64";
  if (may_overlap(p.out, p.start)) return "attention: expected a start that is no part of out";
  for (int64_t bi = 0; bi < p.b; ++bi) {
    const int64_t s = p.start_of(bi);
    if (s < 0 || s > p.m - p.n)
      return fail("attention: %lld queries from position %lld do not fit into %lld keys",
                  static_cast<long long>(p.n), static_cast<long long>(s),
                  static_cast<long long>(p.m));
  }
  return nullptr;
}

// Axes of length 1 get stride 0.
inline const char* check_mask(AttentionProblem& p) {
  const int64_t want[4] = {p.b, p.h, p.n, p.m};
  bool fits = p.mask.ndim == 4 && p.mask.shape[3] == p.m;
  for (int i = 0; fits && i < 3; ++i) {
    fits = p.mask.shape[i] == want[i] || p.mask.shape[i] == 1;
    if (p.mask.shape[i] == 1) p.mask.strides[i] = 0;
  }
  if (!fits) return "attention: expected a mask (b or 1, h or 1, n or 1, m)";
  const DType d = p.mask.dtype;
  if (d != DType::bool_ && d != DType::f32 && d != DType::f16 && d != DType::bf16)
    return fail("attention: expected a mask in bool, f32, f16 or bf16, got %s", row(d).name);
  return nullptr;
}

// Of no keys at all the sum is 0; of keys that are all hidden, the weights are 0 / 0.
inline void read_rules(AttentionProblem& p, int64_t bits) {
  p.causal = bits & kCausal;
  p.nothing = bits & kNanForNothing && p.m > 0 ? __builtin_nanf("") : 0;
}

// Takes what the kernel's arguments say; the text of an error where they do not fit together.
inline const char* read_problem(AttentionProblem& p, const Arg* args) {
  p.out = *args[0].a, p.q = *args[1].a, p.k = *args[2].a, p.v = *args[3].a;
  if (p.out.ndim != 4 || p.q.ndim != 4 || p.k.ndim != 4 || p.v.ndim != 4) {
    return "attention: expected q (b, h, n, d), k (b, hk, m, d), v (b, hk, m, dv) and out (b, h, "
           "n, dv)";
  }
  p.b = p.q.shape[0], p.h = p.q.shape[1], p.n = p.q.shape[2], p.d = p.q.shape[3];
  p.hk = p.k.shape[1], p.m = p.k.shape[2], p.dv = p.v.shape[3];
  if (p.k.shape[0] != p.b || p.k.shape[3] != p.d || p.v.shape[0] != p.b || p.v.shape[1] != p.hk ||
      p.v.shape[2] != p.m || p.out.shape[0] != p.b || p.out.shape[1] != p.h ||
      p.out.shape[2] != p.n || p.out.shape[3] != p.dv) {
    return "attention: expected q (b, h, n, d), k (b, hk, m, d), v (b, hk, m, dv) and out (b, h, "
           "n, dv)";
  }
  for (const View* x : {&p.out, &p.q, &p.k, &p.v}) {
    const bool cache = x == &p.k || x == &p.v,
               plain = x->dtype == DType::f32 || x->dtype == DType::f16 || x->dtype == DType::bf16;
    if (!plain && !(cache && x->dtype == DType::q8_0)) {
      return fail("attention: expected f32, f16 or bf16%s, got %s",
                  cache ? " (or q8_0 keys and values)" : "", row(x->dtype).name);
    }
  }
  if (p.h > 0 && (p.hk == 0 || p.h % p.hk != 0)) {
    return fail(
        "attention: expected a whole number of query heads for each kv head, got %lld and %lld",
        static_cast<long long>(p.h), static_cast<long long>(p.hk));
  }
  p.group = p.hk ? p.h / p.hk : 1;
  p.has_start = args[4].kind == Arg::array;
  if (p.has_start) p.start = *args[4].a;
  p.has_mask = args[5].kind == Arg::array;
  if (p.has_mask) p.mask = *args[5].a;
  p.cap = static_cast<float>(args[9].f);
  p.scale = static_cast<float>(args[6].f) * (p.cap > 0 ? 1 : kLog2e);
  read_rules(p, args[7].i);
  p.window = args[8].i;
  p.piece = 0;
  p.sinks.data = p.slopes.data = nullptr;
  const char* error = p.has_start ? check_start(p) : nullptr;
  return error || !p.has_mask ? error : check_mask(p);
}

// What the kernel `attention_per_head` is given beyond that.
inline const char* read_per_head(AttentionProblem& p, const Arg* args) {
  for (int i = 0; i < 2; ++i) {
    View& to = i ? p.slopes : p.sinks;
    if (args[10 + i].kind != Arg::array) continue;
    to = *args[10 + i].a;
    if (to.dtype != DType::f32 || to.ndim != 1 || to.shape[0] != p.h)
      return "attention_per_head: expected sinks and slopes (h) in f32";
  }
  p.piece = args[12].i;
  return p.piece < 0 ? "attention_per_head: expected a chunk of at least 0" : nullptr;
}

// Query positions of one (batch, kv head) against some keys: what one thread computes.
struct AttentionUnit {
  int64_t bi, kv, first, count, key_begin, key_end;  // query positions, keys
  TL_INLINE int64_t head(const AttentionProblem& p, int64_t r) const {
    return kv * p.group + r / count;
  }
  TL_INLINE int64_t position(int64_t r) const { return first + r % count; }
};

// Units run from the last query block to the first: under a causal mask the long ones start first.
TL_INLINE AttentionUnit unit_at(const AttentionProblem& p, int64_t index) {
  AttentionUnit u;
  const int64_t chunk = index % p.chunks;
  index /= p.chunks;
  u.kv = index % p.hk;
  index /= p.hk;
  u.bi = index % p.b;
  u.first = (p.blocks - 1 - index / p.b) * p.block;
  u.count = p.n - u.first < p.block ? p.n - u.first : p.block;
  u.key_begin = chunk * p.chunk;
  u.key_end = u.key_begin + p.chunk;
  return u;
}

}  // namespace tl::TL_ISA
