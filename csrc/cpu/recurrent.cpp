// A recurrent layer over a sequence, in one direction: "lstm" and "gru". The product with the input
// has been taken for all steps at once; here is what depends on the step before.
//
// Weights come in tiles of units ("recurrent_weight"), so that sums are whole vectors. For a few
// steps of one call that would cost more than it saves: then rows are read as they lie. Sequences
// are independent; where there are few, threads share the units of a step if these are worth it. No
// sum depends on the number of threads.
#include "norm.h"

namespace tl::TL_ISA {
namespace {

constexpr int kMostGates = 4;
constexpr int64_t kTile = 16;  // units side by side, for every width of vectors
static_assert(kTile % (2 * kLanes) == 0);
constexpr int64_t kSharedStep = int64_t{1} << 18;  // products of a step that threads share

struct Layer {
  float *y, *h, *c;                     // (steps, batch, size), and the last states
  const float *x, *w, *bias, *h0, *c0;  // x (steps, batch, gates * size), w (gates * size, size)
  const float* tiles;                   // (tiles, size, gates, 16), or null: w is to be read
  const int64_t* lengths;
  int64_t steps, batch, size, gates;
  bool reverse;
  int64_t order[kMostGates];  // where the rows of each gate are

  int64_t padded() const { return (size + kTile - 1) / kTile * kTile; }
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

// The gates of the units of [begin, end); pre[g * padded + u] is the product with the hidden state.
template <int kGates>
[[gnu::noinline]] void finish(const Layer& l, int64_t t, int64_t b, int64_t begin, int64_t end,
                              const float* pre) {
  const float *x = l.x + (t * l.batch + b) * kGates * l.size, *old = l.before(t, b);
  float *out = l.out(t, b), *cell = l.c ? l.c + b * l.size : nullptr;
  vectors(end - begin, 0.f, [&](int64_t j, auto get, auto put) {
    const int64_t u = begin + j;
    auto hidden = [&](int g) {
      const vf v = get(pre + g * l.padded() + u);
      return l.bias ? v + get(l.bias + l.order[g] * l.size + u) : v;
    };
    auto input = [&](int g) { return get(x + l.order[g] * l.size + u); };
    if constexpr (kGates == 4) {  // i, f, g, o
      vf gate[3];
      for (int k = 0; k < 3; ++k) {  // one sigmoid, for the size of the code
        const int g = k < 2 ? k : 3;
        gate[k] = sigmoid(input(g) + hidden(g));
      }
      const vf c = fma(gate[1], get(cell + u), gate[0] * tanh(input(2) + hidden(2)));
      put(cell + u, c);
      put(out + u, gate[2] * tanh(c));
    } else {  // r, z, n
      vf gate[2];
      for (int g = 0; g < 2; ++g) gate[g] = sigmoid(input(g) + hidden(g));
      const vf n = tanh(fma(gate[0], hidden(2), input(2)));
      put(out + u, fma(gate[1], get(old + u) - n, n));
    }
  });
}

// Products of kRows sequences from b on, for units of [begin, end), begin at a tile.
template <int kGates, int kRows>
void by_tiles(const Layer& l, int64_t t, int64_t b, int64_t begin, int64_t end, float* pre) {
  constexpr int kVectors = kRows == 1 ? 2 : 1;
  const float* h[kRows];
  for (int r = 0; r < kRows; ++r) h[r] = l.before(t, b + r);
  for (int64_t u = begin; u < end; u += kVectors * kLanes) {
    const float* w = l.tiles + u / kTile * l.size * kGates * kTile + u % kTile;
    vf a[kGates][kVectors][kRows] = {};
    for (int64_t i = 0; i < l.size; ++i, w += kGates * kTile) {
      vf v[kRows];
      for (int r = 0; r < kRows; ++r) v[r] = splat(h[r][i]);
      for (int g = 0; g < kGates; ++g) {
        for (int k = 0; k < kVectors; ++k) {
          const vf each = load(w + g * kTile + k * kLanes);
          for (int r = 0; r < kRows; ++r) a[g][k][r] = fma(each, v[r], a[g][k][r]);
        }
      }
    }
    for (int g = 0; g < kGates; ++g)
      for (int k = 0; k < kVectors; ++k)
        for (int r = 0; r < kRows; ++r)
          store(pre + (r * kGates + g) * l.padded() + u + k * kLanes, a[g][k][r]);
  }
}

// The same for one sequence, by the rows of the weight.
template <int kGates>
void by_rows(const Layer& l, int64_t t, int64_t b, int64_t begin, int64_t end, float* pre) {
  const float* h = l.before(t, b);
  for (int64_t u = begin; u < end; ++u) {
    vf a[kGates][2] = {};
    const float* w[kGates];
    for (int g = 0; g < kGates; ++g) w[g] = l.w + (l.order[g] * l.size + u) * l.size;
    int64_t i = 0;
    for (; i + 2 * kLanes <= l.size; i += 2 * kLanes)
      for (int g = 0; g < kGates; ++g)
        for (int k = 0; k < 2; ++k)
          a[g][k] = fma(load(w[g] + i + k * kLanes), load(h + i + k * kLanes), a[g][k]);
    for (int g = 0; g < kGates; ++g) {
      float total = sum(a[g][0] + a[g][1]);
      for (int64_t j = i; j < l.size; ++j) total += w[g][j] * h[j];
      pre[g * l.padded() + u] = total;
    }
  }
}

template <int kGates>
void step(const Layer& l, int64_t t, int64_t b, int rows, int64_t begin, int64_t end, float* pre) {
  const int64_t own = kGates * l.padded();
  if (!l.tiles) {
    for (int r = 0; r < rows; ++r) by_rows<kGates>(l, t, b + r, begin, end, pre + r * own);
  } else if (rows == 1) {
    by_tiles<kGates, 1>(l, t, b, begin, end, pre);
  } else {
    by_tiles<kGates, 2>(l, t, b, begin, end, pre);
  }
  for (int r = 0; r < rows; ++r) finish<kGates>(l, t, b + r, begin, end, pre + r * own);
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
  // A caller may give what overlaps.
  if (l.c) memmove(l.c, l.c0, row * static_cast<size_t>(l.batch));
  const int64_t own = 2 * kGates * l.padded(), work = kGates * l.size * l.size;
  const int workers = num_threads();
  Scratch memory(static_cast<size_t>(own * workers) * sizeof(float));
  float* pre = memory.as<float>();
  if (!pre) return "recurrent layer: out of memory";
  if (work >= kSharedStep && l.batch < 2 * workers) {
    sequences<kGates>(l, 0, l.batch, [&](int64_t t, int64_t b, int rows) {
      const int64_t grain = 1 + kSharedStep / 4 / (kGates * l.size * kTile);
      parallel_for(l.padded() / kTile, grain, [&](int64_t from, int64_t to, int) {
        const int64_t end = to * kTile < l.size ? to * kTile : l.size;
        step<kGates>(l, t, b, rows, from * kTile, end, pre);
      });
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
    memmove(l.h + b * l.size, n == 0 ? l.h0 + b * l.size : l.out(l.reverse ? 0 : n - 1, b), row);
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

bool is_tiles(const View& v, int64_t gates, int64_t size) {
  return is_floats(v, (size + kTile - 1) / kTile, size, gates * kTile);
}

// out (tiles, size, gates * 16): the unit j of gate g is column 16 * g + j % 16 of tile j / 16.
const char* recurrent_weight(const Arg* args, int) {
  const View &out = *args[0].a, &w = *args[1].a;
  const int64_t gates = args[2].i, order = args[3].i;
  const int64_t size = w.ndim == 2 ? w.shape[1] : 0;
  if (gates < 1 || gates > kMostGates || !is_floats(w, gates * size, size) ||
      !is_tiles(out, gates, size))
    return "recurrent_weight: expected a weight (gates * size, size) and its tiles, in f32";
  const float* from = w.ptr<float>();
  for (int64_t g = 0; g < gates; ++g)
    if ((order >> (2 * g) & 3) >= gates) return "recurrent_weight: expected an order of its gates";
  parallel_for(out.shape[0], 1 + 4096 / (1 + size * gates), [&](int64_t begin, int64_t end, int) {
    for (int64_t tile = begin; tile < end; ++tile) {
      float* to = out.ptr<float>() + tile * size * gates * kTile;
      for (int64_t g = 0; g < gates; ++g) {
        for (int64_t u = 0; u < kTile; ++u) {
          const int64_t j = tile * kTile + u;
          const float* row = from + ((order >> (2 * g) & 3) * size + j) * size;
          float* column = to + g * kTile + u;
          for (int64_t i = 0; i < size; ++i) column[i * gates * kTile] = j < size ? row[i] : 0.f;
        }
      }
    }
  });
  return nullptr;
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
              (is_floats(w, kGates * l.size, l.size) || is_tiles(w, kGates, l.size)) &&
              (!bias || (bias->ndim == 1 && bias->dtype == DType::f32 && bias->contiguous() &&
                         bias->shape[0] == kGates * l.size)) &&
              (!lengths || (lengths->ndim == 1 && lengths->dtype == DType::i64 &&
                            lengths->contiguous() && lengths->shape[0] == l.batch));
  for (int i = 0; i < states; ++i)
    fits = fits && is_floats(*args[1 + i].a, l.batch, l.size) &&
           is_floats(*args[4 + states + i].a, l.batch, l.size);
  if (!fits) return "recurrent layer: expected f32 without gaps, of the sizes of the result";
  l.y = y.ptr<float>(), l.h = args[1].a->ptr<float>();
  l.x = x.ptr<float>(), (w.ndim == 3 ? l.tiles : l.w) = w.ptr<float>();
  l.bias = bias ? bias->ptr<float>() : nullptr;
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

void register_causal_conv(KernelTable& t);
void register_linear_attention(KernelTable& t);
void register_selective_scan(KernelTable& t);
void register_recurrent(KernelTable& t);
void register_recurrent(KernelTable& t) {
  register_causal_conv(t);
  register_linear_attention(t);
  register_selective_scan(t);
  t.add("recurrent_weight", "out:out weight:in gates:i order:i", recurrent_weight);
  t.add("lstm",
        "y:out h:out c:out x:in weight:in bias:in? h0:in c0:in lengths:in? reverse:i order:i",
        recurrent<4>);
  t.add("gru", "y:out h:out x:in weight:in bias:in? h0:in lengths:in? reverse:i order:i",
        recurrent<3>);
}

}  // namespace tl::TL_ISA
