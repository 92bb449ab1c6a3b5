// The gradients of attention by q, k and v. Scores are computed again, a block of query rows at a
// time against all keys these see, so memory grows with the keys and never with queries times keys.
//
// One unit is a (batch, kv head): its keys and values are packed once, the query heads that share
// them and their blocks follow one another, and the gradients of k and v stay with the unit. Few
// units are split into ranges of blocks with sums of their own, merged in order. The split depends
// on shapes only, so results are the same for any number of threads.
#include "attention_backward_problem.h"
#include "gemm.h"
#include "norm.h"

namespace tl::TL_ISA {
namespace {

// Keys: whole panels of 6 rows and of 8, 16 or 32 columns.
constexpr int64_t kAlign = kPanelColumns<float> > 16 ? 96 : 48;
static_assert(kAlign % kPanelColumns<float> == 0 && kAlign % kPanelColumns<double> == 0);
static_assert(kAlign % kPanelRows == 0);

TL_INLINE vf tanh_of(vf x) { return tanh(x); }
TL_INLINE vd tanh_of(vd x) {
  for (int i = 0; i < kLanes64; ++i) x[i] = __builtin_tanh(x[i]);
  return x;
}
TL_INLINE int64_t padded(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

using Problem = BackwardProblem;

// n elements `stride` apart from element `at` of v on, as C, times `scale`.
template <class C>
void widen_line(const View& v, int64_t at, int64_t stride, int64_t n, double scale, C* to) {
  const C factor = static_cast<C>(scale);
  auto copy = [&](const auto* from) {
    for (int64_t i = 0; i < n; ++i) to[i] = widen<C>(from[i * stride]) * factor;
  };
  switch (v.dtype) {
    case DType::f64:
      return copy(v.ptr<double>() + at);
    case DType::f16:
      return copy(v.ptr<f16>() + at);
    case DType::bf16:
      return copy(v.ptr<bf16>() + at);
    default:
      return copy(v.ptr<float>() + at);
  }
}

// Memory of one thread, and of the sums of one split.
template <class C>
struct Workspace {
  static constexpr int kN = kPanelColumns<C>;
  C *q, *g;                        // rows × d, rows × e
  C *q_rows, *g_rows;              // in panels of 6 rows
  C *q_columns, *g_columns;        // in panels of kN columns
  C *k_keys, *v_keys, *k_columns;  // panels of kN keys (of d, of e); panels of kN of d
  C *p, *s, *slope;                // rows × keys: weights, gradients of scores, slope of the cap
  C *panel, *tile;
  C* plain;  // keys × max(d, e)

  static int64_t sums(const Problem& p) { return p.keys * (padded(p.d, kN) + padded(p.e, kN)); }
  static int64_t lay_out(const Problem& p, C* base, Workspace* w) {
    int64_t at = 0;
    auto take = [&](int64_t count) {
      C* here = base + at;
      at += padded(count, 16);
      return here;
    };
    Workspace unused, &to = w ? *w : unused;
    const int64_t d = padded(p.d, kN), e = padded(p.e, kN);
    to.q = take(p.rows * p.d), to.g = take(p.rows * p.e);
    to.q_rows = take(p.rows * p.d), to.g_rows = take(p.rows * p.e);
    to.q_columns = take(p.rows * d), to.g_columns = take(p.rows * e);
    to.k_keys = take(p.keys * p.d), to.v_keys = take(p.keys * p.e);
    to.k_columns = take(p.keys * d);
    to.p = take(p.rows * p.keys), to.s = take(p.rows * p.keys);
    to.slope = take(p.cap > 0 ? p.rows * p.keys : 0);
    to.panel = take(kPanelRows * (p.keys > p.rows ? p.keys : p.rows) + 16);
    to.tile = take(p.rows * kN);
    to.plain = take(p.keys * (p.d > p.e ? p.d : p.e));
    return at;
  }
};

// Keys and values of one (batch, kv head), packed.
template <class C>
void load_keys(const Problem& p, int64_t bi, int64_t kv, Workspace<C>& w) {
  constexpr int kN = kPanelColumns<C>;
  auto rows_of = [&](const View& x, int64_t size) {
    for (int64_t j = 0; j < p.m; ++j) {
      const int64_t at = bi * x.strides[0] + kv * x.strides[1] + j * x.strides[2];
      widen_line(x, at, x.strides[3], size, 1, w.plain + j * size);
    }
    memset(w.plain + p.m * size, 0, (p.keys - p.m) * size * sizeof(C));
  };
  rows_of(p.v, p.e);
  for (int64_t j = 0; j < p.keys; j += kN)
    pack_panel<kN>(w.plain + j * p.e, p.e, 1, kN, p.e, w.v_keys + j * p.e);
  rows_of(p.k, p.d);
  for (int64_t j = 0; j < p.keys; j += kN)
    pack_panel<kN>(w.plain + j * p.d, p.d, 1, kN, p.d, w.k_keys + j * p.d);
  for (int64_t c = 0; c < p.d; c += kN) {
    pack_panel<kN>(w.plain + c, 1, p.d, static_cast<int>(min64(kN, p.d - c)), p.keys,
                   w.k_columns + c * p.keys);
  }
}

// `rows` rows of x (size wide), from query `first` of head hi on, times scale: plain, in panels of
// rows, in panels of columns. Missing rows are zero.
template <class C>
void load_rows(const Problem& p, const View& x, int64_t bi, int64_t hi, int64_t first,
               int64_t count, int64_t size, double scale, C* plain, C* rows, C* columns) {
  constexpr int kN = kPanelColumns<C>;
  for (int64_t r = 0; r < count; ++r) {
    const int64_t at = bi * x.strides[0] + hi * x.strides[1] + (first + r) * x.strides[2];
    widen_line(x, at, x.strides[3], size, scale, plain + r * size);
  }
  memset(plain + count * size, 0, (p.rows - count) * size * sizeof(C));
  for (int64_t r = 0; r < p.rows; r += kPanelRows)
    pack_panel<kPanelRows>(plain + r * size, size, 1, kPanelRows, size, rows + r * size);
  for (int64_t c = 0; c < size; c += kN) {
    pack_panel<kN>(plain + c, 1, size, static_cast<int>(min64(kN, size - c)), p.rows,
                   columns + c * p.rows);
  }
}

// out (rows × keys) = a · bᵀ for the keys [begin, end).
template <class C>
void products(const Problem& p, int64_t rows, const C* a, const C* b, int64_t k, int64_t begin,
              int64_t end, C* out, C* tile) {
  constexpr int kN = kPanelColumns<C>;
  for (int64_t j = begin; j < end; j += kN) {
    for (int64_t r = 0; r < rows; r += kPanelRows) {
      gemm_micro<C>(k, a + r * k, b + j * k, tile, false);
      for (int i = 0; i < kPanelRows; ++i)
        memcpy(out + (r + i) * p.keys + j, tile + i * kN, kN * sizeof(C));
    }
  }
}

// sums (keys × size, in tiles of 6 × kN) += aᵀ · b for the keys [begin, end).
template <class C>
void collect(const Problem& p, int64_t rows, const C* a, const C* b, int64_t size, int64_t begin,
             int64_t end, C* sums, C* panel) {
  constexpr int kN = kPanelColumns<C>;
  const int64_t wide = padded(size, kN);
  for (int64_t j = begin; j < end; j += kPanelRows) {
    for (int64_t r = 0; r < rows; ++r)
      memcpy(panel + r * kPanelRows, a + r * p.keys + j, kPanelRows * sizeof(C));
    for (int64_t c = 0; c < size; c += kN)
      gemm_micro<C>(rows, panel, b + c * p.rows, sums + j * wide + c * kPanelRows, true);
  }
}

// One row of scores s and of gradients of weights dp, over [begin, end), of which [low, high) is
// visible: s becomes the weights, dp the gradient of the scores.
template <class C>
[[gnu::noinline]] void finish_row(const Problem& p, const View& mask, int64_t mask_at, C* s, C* dp,
                                  C* slope, int64_t begin, int64_t end, int64_t low, int64_t high) {
  constexpr int w = OpMath<C>::kWidth;
  constexpr C kLowest = -static_cast<C>(__builtin_inf());
  if (p.cap > 0) {
    const C cap = static_cast<C>(p.cap), inverse = static_cast<C>(1 / p.cap);
    for (int64_t j = begin; j < end; j += w) {
      const auto t = tanh_of(load(s + j) * inverse);
      store(s + j, t * cap);
      store(slope + j, 1 - t * t);
    }
  }
  if (p.has_mask) {
    const int64_t step = mask.strides[3];
    if (mask.dtype == DType::bool_) {
      const uint8_t* keep = mask.ptr<uint8_t>() + mask_at;
      for (int64_t j = low; j < high; ++j) s[j] = keep[j * step] ? s[j] : kLowest;
    } else {
      C one;
      for (int64_t j = low; j < high; ++j) {
        widen_line(mask, mask_at + j * step, 1, 1, 1, &one);
        s[j] += one;
      }
    }
  }
  for (int64_t j = begin; j < low; ++j) s[j] = kLowest;
  for (int64_t j = high; j < end; ++j) s[j] = kLowest;
  auto best = splat(kLowest);
  for (int64_t j = begin; j < end; j += w) best = max(load(s + j), best);
  const C top = max_lane(best);
  if (top == kLowest) {  // nothing is seen
    for (int64_t j = begin; j < end; ++j) s[j] = dp[j] = 0;
    return;
  }
  typename OpMath<C>::Vector total{}, dots{};
  for (int64_t j = begin; j < end; j += w) {
    const auto e = exp_negative(load(s + j) - top);
    store(s + j, e);
    total += e;
    dots += e * load(dp + j);
  }
  const C factor = 1 / sum(total), mean = sum(dots) * factor;
  for (int64_t j = begin; j < end; j += w) {
    const auto weight = load(s + j) * factor;
    auto ds = weight * (load(dp + j) - mean);
    if (p.cap > 0) ds = ds * load(slope + j);
    store(s + j, weight);
    store(dp + j, ds);
  }
}

template <class C>
void run_block(const Problem& p, int64_t bi, int64_t hi, int64_t first, Workspace<C>& w, C* dk,
               C* dv) {
  constexpr int kN = kPanelColumns<C>;
  const int64_t count = min64(p.rows, p.n - first), rows = padded(count, kPanelRows);
  load_rows(p, p.q, bi, hi, first, count, p.d, p.scale, w.q, w.q_rows, w.q_columns);
  load_rows(p, p.g, bi, hi, first, count, p.e, 1, w.g, w.g_rows, w.g_columns);
  const int64_t at0 = p.start_of(bi) + first;
  const int64_t length = p.has_start ? p.start_of(bi) + p.n : p.m;
  auto low_of = [&](int64_t r) { return p.window > 0 ? max64(0, at0 + r - p.window + 1) : 0; };
  auto high_of = [&](int64_t r) { return p.causal ? min64(at0 + r + 1, length) : length; };
  const int64_t begin = min64(low_of(0), length) / kAlign * kAlign;
  const int64_t end = padded(high_of(count - 1), kAlign);
  if (begin < end) {
    products(p, rows, w.q_rows, w.k_keys, p.d, begin, end, w.p, w.tile);
    products(p, rows, w.g_rows, w.v_keys, p.e, begin, end, w.s, w.tile);
    for (int64_t r = 0; r < rows; ++r) {
      C *weights = w.p + r * p.keys, *scores = w.s + r * p.keys;
      if (r >= count) {
        memset(weights + begin, 0, (end - begin) * sizeof(C));
        memset(scores + begin, 0, (end - begin) * sizeof(C));
        continue;
      }
      const int64_t mask_at = p.has_mask ? bi * p.mask.strides[0] + hi * p.mask.strides[1] +
                                               (first + r) * p.mask.strides[2]
                                         : 0;
      const int64_t high = high_of(r), low = min64(low_of(r), high);
      finish_row(p, p.mask, mask_at, weights, scores, w.slope + (p.cap > 0 ? r * p.keys : 0), begin,
                 end, low, high);
    }
    collect(p, rows, w.p, w.g_columns, p.e, begin, end, dv, w.panel);
    collect(p, rows, w.s, w.q_columns, p.d, begin, end, dk, w.panel);
  }
  for (int64_t r = 0; r < rows; r += kPanelRows) {
    if (begin < end) {
      pack_panel<kPanelRows>(w.s + r * p.keys + begin, p.keys, 1, kPanelRows, end - begin, w.panel);
    }
    for (int64_t c = 0; c < p.d; c += kN) {
      gemm_micro<C>(max64(end - begin, 0), w.panel, w.k_columns + c * p.keys + begin * kN, w.tile,
                    false);
      for (int64_t i = r; i < min64(r + kPanelRows, count); ++i) {
        C* to = p.dq.ptr<C>() + bi * p.dq.strides[0] + hi * p.dq.strides[1] +
                (first + i) * p.dq.strides[2];
        for (int64_t j = 0; j < min64(kN, p.d - c); ++j)
          to[(c + j) * p.dq.strides[3]] = w.tile[(i - r) * kN + j] * static_cast<C>(p.scale);
      }
    }
  }
}

// The blocks of split `part` of a unit, with the sums at `sums`.
template <class C>
void run_split(const Problem& p, int64_t unit, int64_t part, Workspace<C>& w, C* sums) {
  const int64_t bi = unit / p.hk, kv = unit % p.hk, all = p.group * p.blocks;
  memset(sums, 0, Workspace<C>::sums(p) * sizeof(C));
  C *dk = sums, *dv = sums + p.keys * padded(p.d, kPanelColumns<C>);
  load_keys(p, bi, kv, w);
  for (int64_t i = all * part / p.splits; i < all * (part + 1) / p.splits; ++i)
    run_block(p, bi, kv * p.group + i / p.blocks, i % p.blocks * p.rows, w, dk, dv);
}

// Sums of one unit, in tiles → an output.
template <class C>
void write_sums(const View& out, int64_t bi, int64_t kv, int64_t m, int64_t size, const C* sums) {
  constexpr int kN = kPanelColumns<C>;
  const int64_t wide = padded(size, kN);
  for (int64_t j = 0; j < m; ++j) {
    C* to = out.ptr<C>() + bi * out.strides[0] + kv * out.strides[1] + j * out.strides[2];
    const C* row = sums + j / kPanelRows * kPanelRows * wide + j % kPanelRows * kN;
    for (int64_t c = 0; c < size; c += kN) {
      for (int64_t i = 0; i < min64(kN, size - c); ++i)
        to[(c + i) * out.strides[3]] = row[c * kPanelRows + i];
    }
  }
}

template <class C>
const char* run(Problem& p) {
  const int64_t units = p.b * p.hk;
  p.keys = padded(max64(p.m, 1), kAlign);
  // Two matrices of rows × keys should stay in the second or third cache.
  p.rows = max64(12, min64(96, (1 << 18) / p.keys / kPanelRows * kPanelRows));
  p.rows = min64(p.rows, padded(p.n, kPanelRows));
  p.blocks = ceil_div(p.n, p.rows);
  p.splits = units >= 16 ? 1 : min64(ceil_div(16, units), p.group * p.blocks);
  const int64_t sums = padded(Workspace<C>::sums(p), 16),
                own = Workspace<C>::lay_out(p, nullptr, nullptr);
  Scratch parts(p.splits > 1 ? units * p.splits * sums * sizeof(C) : 0);
  C* all = parts.template as<C>();
  if (p.splits > 1 && !all) return "attention_backward: out of memory";
  bool ok = true;
  parallel_for(units * p.splits, 1, [&](int64_t first, int64_t last, int) {
    Scratch memory((own + sums) * sizeof(C));
    C* base = memory.template as<C>();
    if (!base) {
      __atomic_store_n(&ok, false, __ATOMIC_RELAXED);
      return;
    }
    Workspace<C> w;
    Workspace<C>::lay_out(p, base, &w);
    for (int64_t i = first; i < last; ++i) {
      C* to = p.splits > 1 ? all + i * sums : base + own;
      run_split(p, i / p.splits, i % p.splits, w, to);
      if (p.splits > 1) continue;
      write_sums(p.dk, i / p.hk, i % p.hk, p.m, p.d, to);
      write_sums(p.dv, i / p.hk, i % p.hk, p.m, p.e, to + p.keys * padded(p.d, kPanelColumns<C>));
    }
  });
  if (!ok) return "attention_backward: out of memory";
  if (p.splits == 1) return nullptr;
  parallel_for(units, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t u = first; u < last; ++u) {
      C* to = all + u * p.splits * sums;
      for (int64_t s = 1; s < p.splits; ++s) {
        for (int64_t i = 0; i < sums; ++i) to[i] += to[s * sums + i];
      }
      write_sums(p.dk, u / p.hk, u % p.hk, p.m, p.d, to);
      write_sums(p.dv, u / p.hk, u % p.hk, p.m, p.e, to + p.keys * padded(p.d, kPanelColumns<C>));
    }
  });
  return nullptr;
}

const char* attention_backward(const Arg* args, int) {
  Problem p;
  if (const char* error = read_problem(p, args)) return error;
  if (p.b == 0 || p.hk == 0 || p.h == 0) return nullptr;
  if (p.n == 0) return "attention_backward: expected at least one query, got none";
  return p.q.dtype == DType::f64 ? run<double>(p) : run<float>(p);
}

}  // namespace

void register_attention_backward(KernelTable& t);
void register_attention_backward(KernelTable& t) {
  t.add("attention_backward",
        "out_q:out out_k:out out_v:out g:in q:in k:in v:in start:in? mask:in? scale:f causal:i "
        "window:i "
        "softcap:f",
        attention_backward);
}

}  // namespace tl::TL_ISA
