// A recurrent layer over a sequence, in one direction: "lstm" and "gru". The product with the input
// has been taken for all steps at once; here is what depends on the step before.
//
// Weights are read row by row, as they lie: packing them would cost a step, and speech models call
// for a single one. Two units, or two sequences, are taken together, so that there are enough sums
// to hide the latency of an addition. Sequences are independent; where there are few, threads share
// the units of a step if these are worth it. No sum depends on the number of threads.
#include "norm.h"

namespace tl::TL_ISA {
namespace {

constexpr int kMostGates = 4;
constexpr int64_t kSharedStep = int64_t{1} << 18;  // products of a step that threads share

struct Layer {
  float *y, *h, *c;                     // (steps, batch, size), and the last states
  const float *x, *w, *bias, *h0, *c0;  // x (steps, batch, gates * size), w (gates * size, size)
  const int64_t* lengths;
  int64_t steps, batch, size, gates;
  bool reverse;
  int64_t order[kMostGates];  // where the rows of each gate are

  int64_t length(int64_t b) const {
    if (!lengths) return steps;
    return lengths[b] < 0 ? 0 : lengths[b] < steps ? lengths[b] : steps;
  }
  float* out(int64_t t, int64_t b) const { return y + (t * batch + b) * size; }
  const float* before(int64_t t, int64_t b) const {  // the hidden state before step t
    if (reverse) return t + 1 < length(b) ? out(t + 1, b) : h0 + b * size;
    return t > 0 ? out(t - 1, b) : h0 + b * size;
  }
};

// sums[(g * kUnits + u) * kRows + b] = w[rows[g] + u * size] . h[b]
template <int kGates, int kUnits, int kRows>
TL_INLINE void dots(const float* const* rows, int64_t size, const float* const* h, float* sums) {
  vf a[kGates * kUnits][kRows] = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    vf v[kRows];
    for (int b = 0; b < kRows; ++b) v[b] = load(h[b] + i);
    for (int g = 0; g < kGates; ++g) {
      for (int u = 0; u < kUnits; ++u) {
        const vf w = load(rows[g] + u * size + i);
        for (int b = 0; b < kRows; ++b) a[g * kUnits + u][b] = fma(w, v[b], a[g * kUnits + u][b]);
      }
    }
  }
  for (int g = 0; g < kGates * kUnits; ++g) {
    for (int b = 0; b < kRows; ++b) {
      float total = sum(a[g][b]);
      const float* w = rows[g / kUnits] + g % kUnits * size;
      for (int64_t j = i; j < size; ++j) total += w[j] * h[b][j];
      sums[g * kRows + b] = total;
    }
  }
}

// pre[(b * gates + g) * size + j] for the units of [begin, end)
template <int kGates, int kUnits, int kRows>
TL_INLINE int64_t products(const Layer& l, const float* const* h, int64_t begin, int64_t end,
                           float* pre) {
  int64_t j = begin;
  for (; j + kUnits <= end; j += kUnits) {
    const float* rows[kGates];
    float sums[kGates * kUnits * kRows];
    for (int g = 0; g < kGates; ++g) rows[g] = l.w + (l.order[g] * l.size + j) * l.size;
    dots<kGates, kUnits, kRows>(rows, l.size, h, sums);
    for (int g = 0; g < kGates; ++g)
      for (int u = 0; u < kUnits; ++u)
        for (int b = 0; b < kRows; ++b)
          pre[(b * kGates + g) * l.size + j + u] = sums[(g * kUnits + u) * kRows + b];
  }
  return j;
}

template <int kGates>
TL_INLINE void finish(const Layer& l, int64_t t, int64_t b, int64_t begin, int64_t end,
                      const float* pre) {
  const float* x[kGates];
  const float* p[kGates];
  for (int g = 0; g < kGates; ++g) {
    x[g] = l.x + (t * l.batch + b) * kGates * l.size + l.order[g] * l.size + begin;
    p[g] = pre + g * l.size + begin;
  }
  float *out = l.out(t, b) + begin, *cell = l.c ? l.c + b * l.size + begin : nullptr;
  const float* old = l.before(t, b) + begin;
  vectors(end - begin, 0.f, [&](int64_t j, auto get, auto put) {
    auto hidden = [&](int g) {
      const vf v = get(p[g] + j);
      return l.bias ? v + get(l.bias + l.order[g] * l.size + begin + j) : v;
    };
    auto gate = [&](int g) { return get(x[g] + j) + hidden(g); };
    if constexpr (kGates == 4) {  // i, f, g, o
      const vf c = fma(sigmoid(gate(1)), get(cell + j), sigmoid(gate(0)) * tanh(gate(2)));
      put(cell + j, c);
      put(out + j, sigmoid(gate(3)) * tanh(c));
    } else {  // r, z, n
      const vf n = tanh(fma(sigmoid(gate(0)), hidden(2), get(x[2] + j)));
      put(out + j, fma(sigmoid(gate(1)), get(old + j) - n, n));
    }
  });
}

// A step of `rows` (1 or 2) sequences from b on, for some of the units.
template <int kGates>
void step(const Layer& l, int64_t t, int64_t b, int rows, int64_t begin, int64_t end, float* pre) {
  const float* h[2] = {l.before(t, b), rows > 1 ? l.before(t, b + 1) : nullptr};
  if (rows > 1) {
    products<kGates, 1, 2>(l, h, begin, end, pre);
  } else {
    const int64_t j = products<kGates, 2, 1>(l, h, begin, end, pre);
    products<kGates, 1, 1>(l, h, j, end, pre);
  }
  for (int r = 0; r < rows; ++r) finish<kGates>(l, t, b + r, begin, end, pre + r * kGates * l.size);
}

// All steps of the sequences of [begin, end); `share` runs the units of a step.
template <int kGates, class F>
void sequences(const Layer& l, int64_t begin, int64_t end, const F& share) {
  for (int64_t k = 0; k < l.steps; ++k) {
    const int64_t t = l.reverse ? l.steps - 1 - k : k;
    for (int64_t b = begin; b < end;) {
      if (t >= l.length(b)) {
        memset(l.out(t, b), 0, static_cast<size_t>(l.size) * sizeof(float));
        ++b;
        continue;
      }
      const int rows = b + 1 < end && t < l.length(b + 1) ? 2 : 1;
      share(t, b, rows);
      b += rows;
    }
  }
}

template <int kGates>
const char* run(const Layer& l) {
  if (l.batch == 0 || l.size == 0) return nullptr;
  const size_t row = static_cast<size_t>(l.size) * sizeof(float);
  if (l.c) memcpy(l.c, l.c0, row * static_cast<size_t>(l.batch));
  const int64_t own = 2 * kGates * l.size, work = kGates * l.size * l.size;
  const int workers = num_threads();
  Scratch memory(static_cast<size_t>(own * workers) * sizeof(float));
  float* pre = memory.as<float>();
  if (!pre) return "recurrent layer: out of memory";
  if (work >= kSharedStep && l.batch < 2 * workers) {
    sequences<kGates>(l, 0, l.batch, [&](int64_t t, int64_t b, int rows) {
      parallel_for(
          l.size, 1 + kSharedStep / 4 / (kGates * l.size),
          [&](int64_t from, int64_t to, int) { step<kGates>(l, t, b, rows, from, to, pre); });
    });
  } else {
    const int64_t pairs = (l.batch + 1) / 2;
    parallel_for(pairs, 1 + 65536 / (1 + 2 * work * l.steps), [&](int64_t from, int64_t to, int k) {
      const int64_t end = 2 * to < l.batch ? 2 * to : l.batch;
      sequences<kGates>(l, 2 * from, end, [&](int64_t t, int64_t b, int rows) {
        step<kGates>(l, t, b, rows, 0, l.size, pre + own * k);
      });
    });
  }
  for (int64_t b = 0; b < l.batch; ++b) {
    const int64_t n = l.length(b);
    memcpy(l.h + b * l.size, n == 0 ? l.h0 + b * l.size : l.out(l.reverse ? 0 : n - 1, b), row);
  }
  return nullptr;
}

bool is_floats(const View& v, int64_t a, int64_t b, int64_t c = -1) {
  const int64_t shape[] = {a, b, c};
  if (v.dtype != DType::f32 || v.ndim != (c < 0 ? 2 : 3) || !v.contiguous()) return false;
  for (int i = 0; i < v.ndim; ++i)
    if (v.shape[i] != shape[i]) return false;
  return true;
}

// out y h [c] x weight bias h0 [c0] lengths reverse order: that of gate g is order >> 2 * g & 3.
template <int kGates>
const char* recurrent(const Arg* args, int) {
  constexpr int states = kGates == 4 ? 2 : 1;
  const View &y = *args[0].a, &x = *args[1 + states].a, &w = *args[2 + states].a;
  const View *bias = args[3 + states].a, *lengths = args[4 + 2 * states].a;
  Layer l{};
  if (y.ndim != 3) return "recurrent layer: expected a result (steps, batch, size)";
  l.steps = y.shape[0], l.batch = y.shape[1], l.size = y.shape[2], l.gates = kGates;
  bool fits = is_floats(y, l.steps, l.batch, l.size) &&
              is_floats(x, l.steps, l.batch, kGates * l.size) &&
              is_floats(w, kGates * l.size, l.size) &&
              (!bias || (bias->ndim == 1 && bias->dtype == DType::f32 && bias->contiguous() &&
                         bias->shape[0] == kGates * l.size)) &&
              (!lengths || (lengths->ndim == 1 && lengths->dtype == DType::i64 &&
                            lengths->contiguous() && lengths->shape[0] == l.batch));
  for (int i = 0; i < states; ++i)
    fits = fits && is_floats(*args[1 + i].a, l.batch, l.size) &&
           is_floats(*args[4 + states + i].a, l.batch, l.size);
  if (!fits) return "recurrent layer: expected f32 without gaps, of the sizes of the result";
  l.y = y.ptr<float>(), l.h = args[1].a->ptr<float>();
  l.x = x.ptr<float>(), l.w = w.ptr<float>(), l.bias = bias ? bias->ptr<float>() : nullptr;
  l.h0 = args[4 + states].a->ptr<float>();
  if (states == 2) l.c = args[2].a->ptr<float>(), l.c0 = args[5 + states].a->ptr<float>();
  l.lengths = lengths ? lengths->ptr<int64_t>() : nullptr;
  l.reverse = args[5 + 2 * states].i != 0;
  for (int g = 0; g < kGates; ++g) {
    l.order[g] = (args[6 + 2 * states].i >> (2 * g)) & 3;
    if (l.order[g] >= kGates) return "recurrent layer: expected an order of its gates";
  }
  return run<kGates>(l);
}

}  // namespace

void register_recurrent(KernelTable& t);
void register_recurrent(KernelTable& t) {
  t.add("lstm",
        "y:out h:out c:out x:in weight:in bias:in? h0:in c0:in lengths:in? reverse:i order:i",
        recurrent<4>);
  t.add("gru", "y:out h:out x:in weight:in bias:in? h0:in lengths:in? reverse:i order:i",
        recurrent<3>);
}

}  // namespace tl::TL_ISA
