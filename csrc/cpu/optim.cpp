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

constexpr int kMaxStates = 3, kMaxNumbers = 9;
constexpr int kOperands =
    kMaxStates + 3;  // the parameter, its states, the master copy, the gradient

// The numbers of a call in the order of its signature, 1 less each of them, and which states it has
// (the last: the master copy).
template <class S>
struct Numbers {
  S k[kMaxNumbers], rest[kMaxNumbers];
  bool has[kMaxStates + 1];
  TL_INLINE S operator[](int i) const { return k[i]; }
};

// --- formulas: p, g and the states s are vectors; an enum names the numbers n
// ---------------------

// torch.optim.SGD: in the step that fills the buffer the momentum is 0 and `scale` 1.
struct Sgd {
  enum { kLr, kSign, kDecay, kMomentum, kScale, kAhead, kNesterov, kNumbers };
  static constexpr int kStates = 1;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    g = g * n[kSign] + p * n[kDecay];
    if (n.has[0]) {
      s[0] = s[0] * n[kMomentum] + g * n[kScale];
      g = n[kNesterov] != 0 ? g + s[0] * n[kAhead] : s[0];
    }
    p -= g * n[kLr];
  }
};

// What Adam, NAdam and RAdam share: weight decay, and the means of the gradient and its square.
struct Moments {
  enum { kSign, kDecay, kKeep, kBeta1, kBeta2, kOwn };
  template <class V, class N>
  static TL_INLINE void take(V& p, V& g, V* s, const N& n) {
    g = g * n[kSign] + p * n[kDecay];
    p = p * n[kKeep];
    s[0] += (g - s[0]) * n.rest[kBeta1];
    s[1] = s[1] * n[kBeta2] + g * g * n.rest[kBeta2];
  }
};

// Adam (arXiv 1412.6980), AdamW (1711.05101) by `keep`, AMSGrad (1904.09237) by the third state.
struct Adam : Moments {
  enum { kStep = kOwn, kScale, kEps, kNumbers };
  static constexpr int kStates = 3;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    take(p, g, s, n);
    V second = s[1];
    if (n.has[2]) second = s[2] = larger(s[2], second);
    p -= s[0] / (root(second) * n[kScale] + n[kEps]) * n[kStep];
  }
};

// NAdam (Dozat 2016): the momentum of the next step is applied already.
struct NAdam : Moments {
  enum { kStep = kOwn, kAhead, kScale, kEps, kNumbers };
  static constexpr int kStates = 2;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    take(p, g, s, n);
    p -= (g * n[kStep] + s[0] * n[kAhead]) / (root(s[1]) * n[kScale] + n[kEps]);
  }
};

// RAdam (arXiv 1908.03265): without `adapt` the second moment is not trusted yet.
struct RAdam : Moments {
  enum { kStep = kOwn, kEps, kAdapt, kNumbers };
  static constexpr int kStates = 2;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    take(p, g, s, n);
    p -= n[kAdapt] != 0 ? s[0] / (root(s[1]) + n[kEps]) * n[kStep] : s[0] * n[kStep];
  }
};

// Adamax (arXiv 1412.6980, section 7).
struct Adamax {
  enum { kSign, kDecay, kBeta1, kBeta2, kStep, kEps, kNumbers };
  static constexpr int kStates = 2;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    g = g * n[kSign] + p * n[kDecay];
    s[0] += (g - s[0]) * n.rest[kBeta1];
    s[1] = larger(s[1] * n[kBeta2], size(g) + n[kEps]);
    p -= s[0] / s[1] * n[kStep];
  }
};

// RMSprop (Hinton's lecture 6), centred by the second state, with momentum by the third.
struct RMSprop {
  enum { kLr, kSign, kDecay, kAlpha, kEps, kMomentum, kNumbers };
  static constexpr int kStates = 3;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    g = g * n[kSign] + p * n[kDecay];
    s[0] = s[0] * n[kAlpha] + g * g * n.rest[kAlpha];
    V square = s[0];
    if (n.has[1]) {
      s[1] += (g - s[1]) * n.rest[kAlpha];
      square -= s[1] * s[1];
    }
    g = g / (root(square) + n[kEps]);
    if (n.has[2]) g = s[2] = s[2] * n[kMomentum] + g;
    p -= g * n[kLr];
  }
};

// Adagrad (Duchi et al. 2011).
struct Adagrad {
  enum { kLr, kSign, kDecay, kEps, kNumbers };
  static constexpr int kStates = 1;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    g = g * n[kSign] + p * n[kDecay];
    s[0] += g * g;
    p -= g / (root(s[0]) + n[kEps]) * n[kLr];
  }
};

// Adadelta (arXiv 1212.5701).
struct Adadelta {
  enum { kLr, kSign, kDecay, kRho, kEps, kNumbers };
  static constexpr int kStates = 2;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    g = g * n[kSign] + p * n[kDecay];
    s[0] = s[0] * n[kRho] + g * g * n.rest[kRho];
    g = root(s[1] + n[kEps]) / root(s[0] + n[kEps]) * g;
    s[1] = s[1] * n[kRho] + g * g * n.rest[kRho];
    p -= g * n[kLr];
  }
};

// Lion (arXiv 2302.06675): the sign of an interpolated momentum.
struct Lion {
  enum { kLr, kSign, kKeep, kBeta1, kBeta2, kNumbers };
  static constexpr int kStates = 1;
  template <class V, class N>
  static TL_INLINE void step(V& p, V g, V* s, const N& n) {
    g = g * n[kSign];
    const V c = s[0] * n[kBeta1] + g * n.rest[kBeta1], one = V{} + 1;
    p = p * n[kKeep] - choose(c > 0, one, choose(c < 0, -one, c)) * n[kLr];  // 0 and NaN stay
    s[0] = s[0] * n[kBeta2] + g * n.rest[kBeta2];
  }
};

// --- the pass ------------------------------------------------------------------------------------

// What one call works on, all of unit stride; an absent array is a few zeros that are never left.
template <class T, int states>
struct Flat {
  using S = typename OpMath<T>::Scalar;
  T* p;
  const T* g;
  S* s[states + 1];        // the last: the master copy
  int64_t on[states + 1];  // how far to step: 1, or 0 where absent
};

// n is a multiple of the vector's width.
template <class F, class T>
__attribute__((noinline)) void pass_flat(const Flat<T, F::kStates>& at, int64_t n,
                                         const Numbers<double>& given) {
  using S = typename OpMath<T>::Scalar;
  using V = typename OpMath<T>::Vector;
  constexpr int w = OpMath<T>::kWidth, states = F::kStates;
  Numbers<S> numbers;
  for (int i = 0; i < F::kNumbers; ++i) {
    numbers.k[i] = static_cast<S>(given.k[i]);
    numbers.rest[i] = static_cast<S>(given.rest[i]);
  }
  for (int j = 0; j <= states; ++j) numbers.has[j] = given.has[j];
  const Flat<T, states> a = at;
  const bool master = numbers.has[states];
  for (int64_t i = 0; i < n; i += w) {
    V x = master ? load(a.s[states] + i) : V(load(a.p + i)), held[states];
    for (int j = 0; j < states; ++j) held[j] = load(a.s[j] + i * a.on[j]);
    F::step(x, V(load(a.g + i)), held, numbers);
    for (int j = 0; j < states; ++j) store(a.s[j] + i * a.on[j], held[j]);
    store(a.s[states] + i * a.on[states], x);
    store(a.p + i, x);
  }
}

// Slots: the parameter, its states, the master copy, the gradient. What is strided, and the last
// few elements, go through small copies.
template <class F, class T>
void pass(std::byte* const* at, const int64_t* s, int64_t n, const void* context) {
  using S = typename OpMath<T>::Scalar;
  constexpr int w = OpMath<T>::kWidth, states = F::kStates;
  const auto& numbers = *static_cast<const Numbers<double>*>(context);
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
    pass_flat<F, T>(flat, i, numbers);
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
    pass_flat<F, T>(small, w, numbers);
    for (int64_t l = 0; l < count; ++l) {
      *slot(p, 0, l) = p[l];
      for (int j = 0; j <= states; ++j) {
        if (numbers.has[j]) *slot(held[0], j + 1, l) = held[j][l];
      }
    }
  }
}

// Every line of the operands, cut into pieces of enough work for a thread. A plain function for all
// formulas and dtypes.
using Pass = void (*)(std::byte* const* at, const int64_t* strides, int64_t n, const void* context);
void each_piece(const View* const* views, int count, Pass pass, const void* context) {
  constexpr int64_t kPiece = 16384;
  StridedIterator<kOperands> lines = iterator_by_stride<kOperands>(views, count);
  const InnerAxis<kOperands> line(lines);
  const int64_t cuts = (line.length + kPiece - 1) / kPiece;
  const int64_t length = (line.length + cuts - 1) / cuts;
  parallel_for(lines.count * cuts, (kPiece + length - 1) / length,
               [&](int64_t begin, int64_t end, int) {
                 StridedIterator<kOperands> it = lines;
                 for (int64_t piece = begin; piece < end; ++piece) {
                   const int64_t start = piece % cuts * length, left = line.length - start;
                   it.seek(piece / cuts);
                   std::byte* at[kOperands];
                   for (int k = 0; k < count; ++k)
                     at[k] = views[k]->data + it.offset[k] + start * line.strides[k];
                   pass(at, line.strides, left < length ? left : length, context);
                 }
               });
}

template <class F>
const char* update(const Arg* args, int) {
  constexpr int states = F::kStates;
  const View& p = *args[0].a;
  const View& g = *args[states + 2].a;
  if (!same_shape(p, g) || p.dtype != g.dtype)
    return "expected a gradient of the parameter's shape and dtype";
  const DType wide = p.dtype == DType::f64 ? DType::f64 : DType::f32;
  const View* views[states + 3] = {&p};
  Numbers<double> numbers{};
  for (int j = 0; j <= states; ++j) {
    const View& state = *args[j + 1].a;
    numbers.has[j] = state.ndim != 1 || state.shape[0] != 0 || p.size() == 0;
    views[j + 1] = numbers.has[j] ? &state : &p;
    if (numbers.has[j] && p.size() > 0 && (!same_shape(p, state) || state.dtype != wide))
      return "expected state of the parameter's shape in f32 (f64 for f64)";
  }
  if (p.size() == 0) return nullptr;
  views[states + 2] = &g;
  for (int i = 0; i < F::kNumbers; ++i) {
    numbers.k[i] = args[states + 3 + i].f;
    numbers.rest[i] = 1 - numbers.k[i];
  }

  auto run = [&]<class T>() -> const char* {
    each_piece(views, states + 3, pass<F, T>, &numbers);
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
