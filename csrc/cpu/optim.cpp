// One step of an optimiser over one parameter: value, gradient and state are read and written in a
// single pass. A formula is a row of this file; layouts, dtypes and threads are handled once.
//
// Parameters may be f32, f64, f16 or bf16; state and master copy are f32 (f64 for f64). A state or
// master copy that is not wanted comes as an array without elements.
#include "norm_rows.h"
#include "strided.h"

namespace tl::TL_ISA {
namespace {

TL_INLINE vf root(vf x) { return sqrt(x); }
TL_INLINE vd root(vd x) { return sqrt(x); }
TL_INLINE vf size(vf x) { return abs(x); }
TL_INLINE vd size(vd x) { return (vd)((vl)x & INT64_MAX); }
TL_INLINE vf choose(vi mask, vf a, vf b) { return select(mask, a, b); }
TL_INLINE vd choose(vl mask, vd a, vd b) { return (vd)(((vl)a & mask) | ((vl)b & ~mask)); }
// A NaN in either stays.
template <class V>
TL_INLINE V larger(V a, V b) {
  return choose((a > b) | (a != a), a, b);
}

constexpr int kMaxStates = 3;

// What a formula is made from: its numbers in the order of the signature, and which states it has.
struct Numbers {
  double k[10];
  bool has[kMaxStates + 1];  // the last: the master copy
};

// --- formulas: p, g and the states s are vectors of S --------------------------------------------

// torch.optim.SGD: `first` is 0 in the step that fills the momentum buffer.
template <class S>
struct Sgd {
  static constexpr int kStates = 1, kNumbers = 7;
  S lr, sign, decay, momentum, scale, ahead;
  bool nesterov, buffer;
  explicit Sgd(const Numbers& n)
      : lr(S(n.k[0])),
        sign(S(n.k[1])),
        decay(S(n.k[2])),
        momentum(S(n.k[3])),
        scale(S(n.k[4])),
        ahead(S(n.k[5])),
        nesterov(n.k[6] != 0),
        buffer(n.has[0]) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    g = g * sign + p * decay;
    if (buffer) {
      s[0] = s[0] * momentum + g * scale;
      g = nesterov ? g + s[0] * ahead : s[0];
    }
    p -= g * lr;
  }
};

// What Adam, NAdam and RAdam share: weight decay, and the means of the gradient and its square.
template <class S>
struct Moments {
  S sign, decay, keep, beta2, rest1, rest2;
  explicit Moments(const Numbers& n)
      : sign(S(n.k[0])),
        decay(S(n.k[1])),
        keep(S(n.k[2])),
        beta2(S(n.k[4])),
        rest1(S(1 - n.k[3])),
        rest2(S(1 - n.k[4])) {}
  template <class V>
  TL_INLINE void take(V& p, V& g, V* s) const {
    g = g * sign + p * decay;
    p = p * keep;
    s[0] += (g - s[0]) * rest1;
    s[1] = s[1] * beta2 + g * g * rest2;
  }
};

// Adam (arXiv 1412.6980), AdamW (1711.05101) by `keep`, AMSGrad (1904.09237) by the third state.
template <class S>
struct Adam : Moments<S> {
  static constexpr int kStates = 3, kNumbers = 8;
  S step, scale, eps;
  bool amsgrad;
  explicit Adam(const Numbers& n)
      : Moments<S>(n), step(S(n.k[5])), scale(S(n.k[6])), eps(S(n.k[7])), amsgrad(n.has[2]) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    this->take(p, g, s);
    V second = s[1];
    if (amsgrad) second = s[2] = larger(s[2], second);
    p -= s[0] / (root(second) * scale + eps) * step;
  }
};

// NAdam (Dozat 2016): the momentum of the next step is applied already.
template <class S>
struct NAdam : Moments<S> {
  static constexpr int kStates = 2, kNumbers = 9;
  S step, ahead, scale, eps;
  explicit NAdam(const Numbers& n)
      : Moments<S>(n), step(S(n.k[5])), ahead(S(n.k[6])), scale(S(n.k[7])), eps(S(n.k[8])) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    this->take(p, g, s);
    p -= (g * step + s[0] * ahead) / (root(s[1]) * scale + eps);
  }
};

// RAdam (arXiv 1908.03265): without `adapt` the second moment is not trusted yet.
template <class S>
struct RAdam : Moments<S> {
  static constexpr int kStates = 2, kNumbers = 8;
  S step, eps;
  bool adapt;
  explicit RAdam(const Numbers& n)
      : Moments<S>(n), step(S(n.k[5])), eps(S(n.k[6])), adapt(n.k[7] != 0) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    this->take(p, g, s);
    p -= adapt ? s[0] / (root(s[1]) + eps) * step : s[0] * step;
  }
};

// Adamax (arXiv 1412.6980, section 7).
template <class S>
struct Adamax {
  static constexpr int kStates = 2, kNumbers = 6;
  S sign, decay, beta2, step, eps, rest1;
  explicit Adamax(const Numbers& n)
      : sign(S(n.k[0])),
        decay(S(n.k[1])),
        beta2(S(n.k[3])),
        step(S(n.k[4])),
        eps(S(n.k[5])),
        rest1(S(1 - n.k[2])) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    g = g * sign + p * decay;
    s[0] += (g - s[0]) * rest1;
    s[1] = larger(s[1] * beta2, size(g) + eps);
    p -= s[0] / s[1] * step;
  }
};

// RMSprop (Hinton's lecture 6), centred by the second state, with momentum by the third.
template <class S>
struct RMSprop {
  static constexpr int kStates = 3, kNumbers = 6;
  S lr, sign, decay, alpha, eps, momentum, rest;
  bool centered, buffer;
  explicit RMSprop(const Numbers& n)
      : lr(S(n.k[0])),
        sign(S(n.k[1])),
        decay(S(n.k[2])),
        alpha(S(n.k[3])),
        eps(S(n.k[4])),
        momentum(S(n.k[5])),
        rest(S(1 - n.k[3])),
        centered(n.has[1]),
        buffer(n.has[2]) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    g = g * sign + p * decay;
    s[0] = s[0] * alpha + g * g * rest;
    V square = s[0];
    if (centered) {
      s[1] += (g - s[1]) * rest;
      square -= s[1] * s[1];
    }
    g = g / (root(square) + eps);
    if (buffer) g = s[2] = s[2] * momentum + g;
    p -= g * lr;
  }
};

// Adagrad (Duchi et al. 2011).
template <class S>
struct Adagrad {
  static constexpr int kStates = 1, kNumbers = 4;
  S lr, sign, decay, eps;
  explicit Adagrad(const Numbers& n)
      : lr(S(n.k[0])), sign(S(n.k[1])), decay(S(n.k[2])), eps(S(n.k[3])) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    g = g * sign + p * decay;
    s[0] += g * g;
    p -= g / (root(s[0]) + eps) * lr;
  }
};

// Adadelta (arXiv 1212.5701).
template <class S>
struct Adadelta {
  static constexpr int kStates = 2, kNumbers = 5;
  S lr, sign, decay, rho, eps, rest;
  explicit Adadelta(const Numbers& n)
      : lr(S(n.k[0])),
        sign(S(n.k[1])),
        decay(S(n.k[2])),
        rho(S(n.k[3])),
        eps(S(n.k[4])),
        rest(S(1 - n.k[3])) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    g = g * sign + p * decay;
    s[0] = s[0] * rho + g * g * rest;
    g = root(s[1] + eps) / root(s[0] + eps) * g;
    s[1] = s[1] * rho + g * g * rest;
    p -= g * lr;
  }
};

// Lion (arXiv 2302.06675): the sign of an interpolated momentum.
template <class S>
struct Lion {
  static constexpr int kStates = 1, kNumbers = 5;
  S lr, sign, keep, beta1, beta2, rest1, rest2;
  explicit Lion(const Numbers& n)
      : lr(S(n.k[0])),
        sign(S(n.k[1])),
        keep(S(n.k[2])),
        beta1(S(n.k[3])),
        beta2(S(n.k[4])),
        rest1(S(1 - n.k[3])),
        rest2(S(1 - n.k[4])) {}
  template <class V>
  TL_INLINE void operator()(V& p, V g, V* s) const {
    g = g * sign;
    const V c = s[0] * beta1 + g * rest1, one = splat(S(1));
    p = p * keep - choose(c > 0, one, choose(c < 0, -one, c)) * lr;  // 0 and NaN stay
    s[0] = s[0] * beta2 + g * rest2;
  }
};

// --- the pass ------------------------------------------------------------------------------------

// What one call works on, all of unit stride; an absent array is a few zeros that are never left.
template <class T, int states>
struct Flat {
  using S = typename Wide<T>::Scalar;
  T* p;
  const T* g;
  S* s[states + 1];        // the last: the master copy
  int64_t on[states + 1];  // how far to step: 1, or 0 where absent
};

// n is a multiple of the vector's width.
template <template <class> class F, class T, int states>
__attribute__((noinline)) void pass_flat(const Flat<T, states>& at, int64_t n,
                                         const Numbers& numbers) {
  using S = typename Wide<T>::Scalar;
  using V = typename Wide<T>::Vector;
  constexpr int w = Wide<T>::kWidth;
  const F<S> formula(numbers);
  const Flat<T, states> a = at;
  const bool master = numbers.has[states];
  for (int64_t i = 0; i < n; i += w) {
    V x = master ? load(a.s[states] + i) : V(load(a.p + i)), held[states];
    for (int j = 0; j < states; ++j) held[j] = load(a.s[j] + i * a.on[j]);
    formula(x, V(load(a.g + i)), held);
    for (int j = 0; j < states; ++j) store(a.s[j] + i * a.on[j], held[j]);
    store(a.s[states] + i * a.on[states], x);
    store(a.p + i, x);
  }
}

// Slots: the parameter, its states, the master copy, the gradient. What is strided, and the last
// few elements, go through small copies.
template <template <class> class F, class T>
void pass(std::byte* const* at, const int64_t* s, int64_t n, const void* context) {
  using S = typename Wide<T>::Scalar;
  constexpr int w = Wide<T>::kWidth, states = F<S>::kStates;
  const Numbers& numbers = *static_cast<const Numbers*>(context);
  T p[w] = {}, g[w] = {};
  S held[states + 1][w] = {};
  Flat<T, states> flat{p, g, {}, {}}, small = flat;
  bool unit = s[0] == sizeof(T) && s[states + 2] == sizeof(T);
  for (int j = 0; j <= states; ++j) {
    const bool has = numbers.has[j];
    unit = unit && (!has || s[j + 1] == sizeof(S));
    small.s[j] = held[j];
    flat.s[j] = has ? reinterpret_cast<S*>(at[j + 1]) : held[j];
    flat.on[j] = small.on[j] = has;
  }
  int64_t i = 0;
  if (unit) {
    flat.p = reinterpret_cast<T*>(at[0]);
    flat.g = reinterpret_cast<const T*>(at[states + 2]);
    i = n - n % w;
    pass_flat<F, T, states>(flat, i, numbers);
  }
  for (; i < n; i += w) {
    const int64_t count = n - i < w ? n - i : w;
    auto slot = [&]<class E>(E*, int j, int64_t l) {
      return reinterpret_cast<E*>(at[j] + (i + l) * s[j]);
    };
    for (int64_t l = 0; l < count; ++l) {
      p[l] = *slot(p, 0, l);
      g[l] = *slot(g, states + 2, l);
      for (int j = 0; j <= states; ++j) {
        if (numbers.has[j]) held[j][l] = *slot(held[0], j + 1, l);
      }
    }
    pass_flat<F, T, states>(small, w, numbers);
    for (int64_t l = 0; l < count; ++l) {
      *slot(p, 0, l) = p[l];
      for (int j = 0; j <= states; ++j) {
        if (numbers.has[j]) *slot(held[0], j + 1, l) = held[j][l];
      }
    }
  }
}

template <template <class> class F>
const char* update(const Arg* args, int) {
  constexpr int states = F<float>::kStates;
  const View& p = *args[0].a;
  const View& g = *args[states + 2].a;
  if (!same_shape(p, g) || p.dtype != g.dtype)
    return "expected a gradient of the parameter's shape and dtype";
  const DType wide = p.dtype == DType::f64 ? DType::f64 : DType::f32;
  const View* views[states + 3] = {&p};
  Numbers numbers{};
  for (int j = 0; j <= states; ++j) {
    const View& state = *args[j + 1].a;
    numbers.has[j] = state.ndim != 1 || state.shape[0] != 0 || p.size() == 0;
    views[j + 1] = numbers.has[j] ? &state : &p;
    if (numbers.has[j] && p.size() > 0 && (!same_shape(p, state) || state.dtype != wide))
      return "expected state of the parameter's shape in f32 (f64 for f64)";
  }
  if (p.size() == 0) return nullptr;
  views[states + 2] = &g;
  for (int i = 0; i < F<float>::kNumbers; ++i) numbers.k[i] = args[states + 3 + i].f;

  auto run = [&]<class T>() -> const char* {
    Loop<states + 3>(views).run(pass<F, T>, &numbers);
    return nullptr;
  };
  return for_float(p.dtype, "optimizer step", run);
}

}  // namespace

void register_optim(KernelTable& t) {
  t.add("sgd_step",
        "parameter:inout buffer:inout master:inout g:in lr:f sign:f decay:f momentum:f scale:f "
        "ahead:f "
        "nesterov:f",
        update<Sgd>);
  t.add("adam_step",
        "parameter:inout m:inout v:inout max:inout master:inout g:in sign:f decay:f keep:f beta1:f "
        "beta2:f step:f "
        "scale:f eps:f",
        update<Adam>);
  t.add("nadam_step",
        "parameter:inout m:inout v:inout master:inout g:in sign:f decay:f keep:f beta1:f beta2:f "
        "step:f ahead:f "
        "scale:f eps:f",
        update<NAdam>);
  t.add("radam_step",
        "parameter:inout m:inout v:inout master:inout g:in sign:f decay:f keep:f beta1:f beta2:f "
        "step:f eps:f "
        "adapt:f",
        update<RAdam>);
  t.add("adamax_step",
        "parameter:inout m:inout norm:inout master:inout g:in sign:f decay:f beta1:f beta2:f "
        "step:f eps:f",
        update<Adamax>);
  t.add("rmsprop_step",
        "parameter:inout square:inout mean:inout buffer:inout master:inout g:in lr:f sign:f "
        "decay:f alpha:f eps:f "
        "momentum:f",
        update<RMSprop>);
  t.add("adagrad_step", "parameter:inout sum:inout master:inout g:in lr:f sign:f decay:f eps:f",
        update<Adagrad>);
  t.add(
      "adadelta_step",
      "parameter:inout square:inout delta:inout master:inout g:in lr:f sign:f decay:f rho:f eps:f",
      update<Adadelta>);
  t.add("lion_step", "parameter:inout m:inout master:inout g:in lr:f sign:f keep:f beta1:f beta2:f",
        update<Lion>);
}

}  // namespace tl::TL_ISA
