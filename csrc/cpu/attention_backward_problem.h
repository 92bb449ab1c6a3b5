// What a call of attention_backward asks for: its arrays and sizes, checked.
#pragma once
#include "../core/kernel.h"
#include "norm_rows.h"
#include "overlap.h"

namespace tl::TL_ISA {

struct BackwardProblem {
  View dq, dk, dv, g, q, k, v, start, mask;
  bool has_start, has_mask, causal;
  int64_t b, h, hk, group, n, m, d, e, window;  // e: size of a value
  double scale, cap;
  int64_t rows, blocks, splits, keys;  // query rows of a block; of a head; per unit; m, padded

  TL_INLINE int64_t start_of(int64_t bi) const {
    return has_start ? start.ptr<int64_t>()[bi * start.strides[0]] : 0;
  }
};

inline bool has_shape(const View& v, int64_t a, int64_t b, int64_t c, int64_t d) {
  return v.ndim == 4 && v.shape[0] == a && v.shape[1] == b && v.shape[2] == c && v.shape[3] == d;
}

inline const char* check_masks(BackwardProblem& p) {
  if (p.has_start) {
    if (p.start.dtype != DType::i64 || p.start.ndim != 1 || p.start.shape[0] != p.b)
      return "attention_backward: expected start (b) in i64";
    if (may_overlap(p.dq, p.start) || may_overlap(p.dk, p.start) || may_overlap(p.dv, p.start))
      return "attention_backward: expected a start that is no part of an output";
    for (int64_t bi = 0; bi < p.b; ++bi) {
      const int64_t s = p.start_of(bi);
      if (s < 0 || s > p.m - p.n)
        return fail("attention_backward: %lld queries from position %lld do not fit into %lld keys",
                    static_cast<long long>(p.n), static_cast<long long>(s),
                    static_cast<long long>(p.m));
    }
  }
  if (!p.has_mask) return nullptr;
  const int64_t want[4] = {p.b, p.h, p.n, p.m};
  bool fits = p.mask.ndim == 4;
  for (int i = 0; fits && i < 4; ++i) {
    fits = p.mask.shape[i] == want[i] || p.mask.shape[i] == 1;
    if (p.mask.shape[i] == 1) p.mask.strides[i] = 0;
  }
  const DType d = p.mask.dtype;
  if (!fits) return "attention_backward: expected a mask that expands to (b, h, n, m)";
  if (d != DType::bool_ && d != DType::f32 && d != DType::f64 && d != DType::f16 &&
      d != DType::bf16)
    return fail("attention_backward: expected a mask of bools or floats, got %s", row(d).name);
  return nullptr;
}

// Takes what the kernel's arguments say; the text of an error where they do not go together.
inline const char* read_problem(BackwardProblem& p, const Arg* args) {
  View* const views[] = {&p.dq, &p.dk, &p.dv, &p.g, &p.q, &p.k, &p.v};
  for (int i = 0; i < 7; ++i) *views[i] = *args[i].a;
  if (p.q.ndim != 4 || p.k.ndim != 4 || p.v.ndim != 4)
    return "attention_backward: expected q (b, h, n, d), k (b, hk, m, d) and v (b, hk, m, e)";
  p.b = p.q.shape[0], p.h = p.q.shape[1], p.n = p.q.shape[2], p.d = p.q.shape[3];
  p.hk = p.k.shape[1], p.m = p.k.shape[2], p.e = p.v.shape[3];
  if (!has_shape(p.k, p.b, p.hk, p.m, p.d) || !has_shape(p.v, p.b, p.hk, p.m, p.e) ||
      !has_shape(p.g, p.b, p.h, p.n, p.e) || !has_shape(p.dq, p.b, p.h, p.n, p.d) ||
      !has_shape(p.dk, p.b, p.hk, p.m, p.d) || !has_shape(p.dv, p.b, p.hk, p.m, p.e) ||
      (p.h > 0 && (p.hk == 0 || p.h % p.hk != 0)))
    return "attention_backward: expected g (b, h, n, e), k and v of one length, gradients like "
           "q, k and v";
  const bool twice = p.q.dtype == DType::f64;
  for (int i = 0; i < 7; ++i) {
    const DType d = views[i]->dtype;
    const bool half = i >= 3 && (d == DType::f16 || d == DType::bf16);
    if (twice ? d != DType::f64 : d != DType::f32 && !half)
      return fail("attention_backward: no code for %s", row(d).name);
  }
  p.group = p.hk ? p.h / p.hk : 1;
  p.has_start = args[7].kind == Arg::array, p.has_mask = args[8].kind == Arg::array;
  if (p.has_start) p.start = *args[7].a;
  if (p.has_mask) p.mask = *args[8].a;
  p.scale = args[9].f, p.causal = args[10].i != 0, p.window = args[11].i, p.cap = args[12].f;
  return check_masks(p);
}

}  // namespace tl::TL_ISA
