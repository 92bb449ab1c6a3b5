// The gradients of layer_norm and rms_norm: of x row by row, of weight and bias summed over rows.
//
// Mean and scale of a row are computed again, which costs less than to fetch them. The sums over
// rows are taken in blocks of rows that depend on the shape only and are merged in order, so that
// results do not depend on the number of threads.
#include "norm.h"

namespace tl::TL_ISA {
namespace {

// One call; the outputs that nobody wants are null.
template <class T>
struct Gradients {
  const T *g, *x;
  T* dx;
  const Scalar<T>* weight;
  Scalar<T>*dw, *db;  // sums of this block
};

// With unit = (x - mean) * scale and inner = g * weight:
// dx = scale * (inner - mean(inner) - unit * mean(inner * unit)); without kCentre the mean is 0 and
// so is that of inner.
template <bool kCentre, class T>
TL_INLINE void backward_row(const Gradients<T>& p, int64_t n, double eps) {
  using W = Scalar<T>;
  constexpr int w = Wide<T>::kWidth;
  const W count = static_cast<W>(n);
  W mean = 0;
  if constexpr (kCentre)
    mean = sum_over(n, W(0), [&](int64_t i, auto get) { return get(p.x + i); }) / count;
  Vector<T> squares{}, inners{}, dots{};
  auto gather = [&](int64_t i, auto get, auto get_x) {
    const auto h = get_x(p.x + i) - mean;
    auto inner = get(p.g + i);
    if (p.weight) inner = inner * get(p.weight + i);
    squares += h * h;
    if (kCentre) inners += inner;
    dots += inner * h;
  };
  int64_t i = 0;
  auto whole = [](const auto* at) { return load(at); };
  for (; i + w <= n; i += w) gather(i, whole, whole);
  if (i < n) {
    const int64_t rest = n - i;
    gather(
        i, [=](const auto* at) { return load_or(at, rest, W(0)); },
        [=](const auto* at) { return load_or(at, rest, mean); });
  }
  const W scale = 1 / root(sum(squares) / count + static_cast<W>(eps));
  const W shift = sum(inners) / count, slope = sum(dots) * scale * scale / count;
  vectors(n, W(0), [&](int64_t j, auto get, auto put) {
    const auto h = get(p.x + j) - mean, g = get(p.g + j);
    if (p.dx) {
      auto inner = p.weight ? g * get(p.weight + j) : g;
      if (kCentre) inner = inner - shift;
      put(p.dx + j, (inner - h * slope) * scale);
    }
    if (p.dw) put(p.dw + j, get(p.dw + j) + g * (h * scale));
    if (p.db) put(p.db + j, get(p.db + j) + g);
  });
}

// The sum over blocks of one output's parts, which stand `step` apart.
template <class W>
void merge(const View& out, const W* parts, int64_t step, int64_t blocks, int64_t n) {
  const int64_t stride = out.strides[0];
  parallel_for(n, 32768 / (blocks + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t j = begin; j < end; ++j) {
      double total = 0;
      for (int64_t b = 0; b < blocks; ++b) total += static_cast<double>(parts[b * step + j]);
      out.ptr<W>()[j * stride] = static_cast<W>(total);
    }
  });
}

const char* check(const char* kernel, const Arg* args, const Arg& weight) {
  const View &g = *args[3].a, &x = *args[4].a;
  if (x.ndim < 1 || !same_shape(g, x) || g.dtype != x.dtype)
    return fail("%s: expected g like x, of at least one axis", kernel);
  const int64_t n = x.back(1);
  const DType wide = x.dtype == DType::f64 ? DType::f64 : DType::f32;
  if (args[0].kind == Arg::array && (!same_shape(*args[0].a, x) || args[0].a->dtype != x.dtype))
    return fail("%s: expected the gradient of x like x", kernel);
  for (int i = 1; i < 3; ++i) {
    if (args[i].kind != Arg::array) continue;
    const View& v = *args[i].a;
    if (v.ndim != 1 || v.shape[0] != n || v.dtype != wide) {
      return fail("%s: expected gradients of weight and bias of shape (%lld,) and dtype %s", kernel,
                  static_cast<long long>(n), row(wide).name);
    }
  }
  if (weight.kind == Arg::array && (weight.a->ndim != 1 || weight.a->shape[0] != n))
    return fail("%s: expected a weight of shape (%lld,)", kernel, static_cast<long long>(n));
  for (const View* v : {&g, &x, args[0].kind == Arg::array ? args[0].a : &x}) {
    if (v->back_stride(1) != 1 && n > 1)
      return fail("%s: expected rows without gaps between their elements", kernel);
  }
  return nullptr;
}

// args: out_x? out_weight? out_bias? g x weight? eps
template <bool kCentre>
const char* norm_backward(const Arg* args, int) {
  const char* name = kCentre ? "layer_norm_backward" : "rms_norm_backward";
  if (const char* error = check(name, args, args[5])) return error;
  const View &g = *args[3].a, &x = *args[4].a;
  const double eps = args[6].f;
  return for_float(x.dtype, name, [&]<class T>() -> const char* {
    using W = Scalar<T>;
    const int64_t n = x.back(1);
    const View* dx = args[0].kind == Arg::array ? args[0].a : nullptr;
    const View *dw = args[1].kind == Arg::array ? args[1].a : nullptr,
               *db = args[2].kind == Arg::array ? args[2].a : nullptr;
    const Weights<W> weight(args[5], n);
    if (!weight.ok) return "norm_backward: out of memory";
    Walk<3> rows;
    for (int i = 0; i + 1 < x.ndim; ++i)
      rows.axis(x.shape[i], {x.strides[i], g.strides[i], dx ? dx->strides[i] : 0});
    if (n == 0) return nullptr;
    int64_t per_block = rows.count / 64;
    per_block = per_block < 8 ? 8 : per_block > 512 ? 512 : per_block;
    const int64_t blocks = (rows.count + per_block - 1) / per_block,
                  parts = (dw != nullptr) + (db != nullptr);
    Scratch memory(blocks * parts * n * sizeof(W));
    W* sums = memory.template as<W>();
    if (parts > 0 && blocks > 0 && !sums) return "norm_backward: out of memory";
    parallel_for(blocks, 8000 / (per_block * n) + 1, [&](int64_t begin, int64_t end, int) {
      Walk<3> walk = rows;
      for (int64_t b = begin; b < end; ++b) {
        Gradients<T> p;
        W* own = sums + b * parts * n;
        p.weight = weight.data;
        p.dw = dw ? own : nullptr;
        p.db = db ? own + (parts - 1) * n : nullptr;
        if (parts > 0) memset(own, 0, parts * n * sizeof(W));
        const int64_t first = b * per_block,
                      last = first + per_block < rows.count ? first + per_block : rows.count;
        walk.seek(first);
        for (int64_t r = first; r < last; ++r, walk.next()) {
          p.x = x.ptr<T>() + walk.offset[0];
          p.g = g.ptr<T>() + walk.offset[1];
          p.dx = dx ? dx->ptr<T>() + walk.offset[2] : nullptr;
          backward_row<kCentre>(p, n, eps);
        }
      }
    });
    if (dw) merge<W>(*dw, sums, parts * n, blocks, n);
    if (db) merge<W>(*db, sums + (parts - 1) * n, parts * n, blocks, n);
    return nullptr;
  });
}

}  // namespace

void register_norm_backward(KernelTable& t);
void register_norm_backward(KernelTable& t) {
  const char* signature = "out_x:A? out_weight:A? out_bias:A? g:A x:A weight:A? eps:f";
  t.add("layer_norm_backward", signature, norm_backward<true>);
  t.add("rms_norm_backward", signature, norm_backward<false>);
}

}  // namespace tl::TL_ISA
