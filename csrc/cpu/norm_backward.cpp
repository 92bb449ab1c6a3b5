// The gradients of layer_norm and rms_norm: of x row by row, of weight and bias summed over rows.
//
// Mean and scale of a row are computed again, which costs less than to fetch them. The sums over
// rows are taken in blocks of rows that depend on the shape only and are merged in order, so that
// results do not depend on the number of threads.
#include "norm.h"

namespace tl::TL_ISA {
namespace {

// Up to kTogether rows, so that weight, dw and db are fetched once for all of them; the outputs
// that nobody wants are null.
constexpr int kTogether = 4;
template <class T>
struct Rows {
  const T *g[kTogether], *x[kTogether];
  T* dx[kTogether];
  Scalar<T> mean[kTogether], scale[kTogether], shift[kTogether], slope[kTogether];
  Scalar<T> rest[kTogether];  // what the deviations from the rounded mean have in common
  const Scalar<T>* weight;
  Scalar<T>*dw, *db;  // sums of this block
  bool wants_x;
};

// With unit = (x - mean) * scale and inner = g * weight:
// dx = scale * (inner - mean(inner) - unit * mean(inner * unit)); without kCentre the mean is 0 and
// so is that of inner. This takes the means of row r.
template <bool kCentre, class T>
TL_INLINE void measure(Rows<T>& p, int r, int64_t n, double eps) {
  using W = Scalar<T>;
  constexpr int w = OpMath<T>::kWidth;
  const W count = static_cast<W>(n);
  const T *x = p.x[r], *g = p.g[r];
  W mean = 0;
  if constexpr (kCentre)
    mean = sum_over(n, W(0), [&](int64_t i, auto get) { return get(x + i); }) / count;
  // Two chains of each sum: one would wait for its own additions.
  Vector<T> squares[2]{}, inners[2]{}, dots[2]{}, together[2]{};
  auto gather = [&](int chain, int64_t i, auto get, auto get_x) {
    const auto h = get_x(x + i) - mean;
    auto inner = get(g + i);
    if (p.weight) inner = inner * get(p.weight + i);
    squares[chain] += h * h;
    if (kCentre) inners[chain] += inner, together[chain] += h;
    dots[chain] += inner * h;
  };
  int64_t i = 0;
  auto whole = [](const auto* at) { return load(at); };
  for (; i + 2 * w <= n; i += 2 * w) {
    gather(0, i, whole, whole);
    gather(1, i + w, whole, whole);
  }
  if (i + w <= n) gather(0, i, whole, whole), i += w;
  if (i < n) {
    const int64_t rest = n - i;
    gather(
        1, i, [=](const auto* at) { return load_or(at, rest, W(0)); },
        [=](const auto* at) { return load_or(at, rest, mean); });
  }
  auto total = [](const auto* parts) { return sum(parts[0] + parts[1]); };
  const W rest = kCentre ? total(together) / count : 0;
  const W var = total(squares) / count - rest * rest;
  const W scale = 1 / root((var > 0 ? var : var * 0) + static_cast<W>(eps));
  p.mean[r] = mean;
  p.rest[r] = rest;
  p.scale[r] = scale;
  const W inner = total(inners);
  p.shift[r] = inner / count;
  p.slope[r] = (total(dots) - rest * inner) * scale * scale / count;
}

template <bool kCentre, int R, class T>
TL_INLINE void finish(const Rows<T>& p, int64_t n) {
  using W = Scalar<T>;
  // The rows that follow come while these are computed: a row is often a page, at whose end the
  // hardware stops looking ahead.
  const int64_t x_ahead = R > 1 ? R * (p.x[1] - p.x[0]) : 0,
                g_ahead = R > 1 ? R * (p.g[1] - p.g[0]) : 0;
  vectors(n, W(0), [&](int64_t j, auto get, auto put) {
    if (R > 1 && j * sizeof(T) % 64 == 0) {
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        __builtin_prefetch(p.x[r] + x_ahead + j, 0, 3);
        __builtin_prefetch(p.g[r] + g_ahead + j, 0, 3);
      }
    }
    Vector<T> weights{}, toward_w{}, toward_b{};
    if (p.weight) weights = get(p.weight + j);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      auto h = get(p.x[r] + j) - p.mean[r];
      if (kCentre) h = h - p.rest[r];
      const auto g = get(p.g[r] + j);
      if (p.wants_x) {
        auto inner = p.weight ? g * weights : g;
        if (kCentre) inner = inner - p.shift[r];
        put(p.dx[r] + j, (inner - h * p.slope[r]) * p.scale[r]);
      }
      toward_w += g * (h * p.scale[r]);
      toward_b += g;
    }
    if (p.dw) put(p.dw + j, get(p.dw + j) + toward_w);
    if (p.db) put(p.db + j, get(p.db + j) + toward_b);
  });
}

// The sum over blocks of one output's parts, which stand `step` apart.
template <class W>
void merge(const View& out, const W* parts, int64_t step, int64_t blocks, int64_t n) {
  constexpr int64_t kWidth = 256;
  const int64_t stride = out.strides[0];
  parallel_for((n + kWidth - 1) / kWidth, 64 / (blocks + 1) + 1,
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t tile = begin; tile < end; ++tile) {
                   const int64_t first = tile * kWidth;
                   const int64_t width = n - first < kWidth ? n - first : kWidth;
                   double total[kWidth] = {};
                   for (int64_t b = 0; b < blocks; ++b) {
                     const W* from = parts + b * step + first;
                     for (int64_t j = 0; j < width; ++j) total[j] += static_cast<double>(from[j]);
                   }
                   for (int64_t j = 0; j < width; ++j)
                     out.ptr<W>()[(first + j) * stride] = static_cast<W>(total[j]);
                 }
               });
}

// An output that nobody wants is an array without elements.
TL_INLINE bool wanted(const Arg& out) { return out.a->size() > 0; }

const char* check(const char* kernel, const Arg* args, const Arg& weight) {
  const View &g = *args[3].a, &x = *args[4].a;
  if (x.ndim < 1 || !same_shape(g, x) || g.dtype != x.dtype)
    return fail("%s: expected g like x, of at least one axis", kernel);
  const int64_t n = x.back(1);
  const DType wide = x.dtype == DType::f64 ? DType::f64 : DType::f32;
  if (wanted(args[0]) && (!same_shape(*args[0].a, x) || args[0].a->dtype != x.dtype))
    return fail("%s: expected the gradient of x like x", kernel);
  for (int i = 1; i < 3; ++i) {
    if (!wanted(args[i])) continue;
    const View& v = *args[i].a;
    if (v.ndim != 1 || v.shape[0] != n || v.dtype != wide) {
      return fail("%s: expected gradients of weight and bias of shape (%lld,) and dtype %s", kernel,
                  static_cast<long long>(n), row(wide).name);
    }
  }
  if (weight.kind == Arg::array && (weight.a->ndim != 1 || weight.a->shape[0] != n))
    return fail("%s: expected a weight of shape (%lld,)", kernel, static_cast<long long>(n));
  for (const View* v : {&g, &x, wanted(args[0]) ? args[0].a : &x}) {
    if (v->back_stride(1) != 1 && n > 1)
      return fail("%s: expected rows without gaps between their elements", kernel);
  }
  return nullptr;
}

// args: out_x out_weight out_bias g x weight? eps
template <bool kCentre>
const char* norm_backward(const Arg* args, int) {
  const char* name = kCentre ? "layer_norm_backward" : "rms_norm_backward";
  if (const char* error = check(name, args, args[5])) return error;
  const View &g = *args[3].a, &x = *args[4].a;
  const double eps = args[6].f;
  return for_float(x.dtype, name, [&]<class T>() -> const char* {
    using W = Scalar<T>;
    const int64_t n = x.back(1);
    const View* dx = wanted(args[0]) ? args[0].a : nullptr;
    const View *dw = wanted(args[1]) ? args[1].a : nullptr,
               *db = wanted(args[2]) ? args[2].a : nullptr;
    const Weights<W> weight(args[5], n);
    if (!weight.ok) return "norm_backward: out of memory";
    StridedIterator<3> rows;
    for (int i = 0; i + 1 < x.ndim; ++i)
      rows.axis(x.shape[i], {x.strides[i], g.strides[i], dx ? dx->strides[i] : 0});
    if (n == 0) return nullptr;
    int64_t per_block = rows.count / 32;
    per_block = per_block < 16 ? 16 : per_block > 512 ? 512 : per_block;
    const int64_t blocks = (rows.count + per_block - 1) / per_block,
                  parts = (dw != nullptr) + (db != nullptr);
    Scratch memory(blocks * parts * n * sizeof(W));
    W* sums = memory.template as<W>();
    if (parts > 0 && blocks > 0 && !sums) return "norm_backward: out of memory";
    parallel_for(blocks, 8000 / (per_block * n) + 1, [&](int64_t begin, int64_t end, int) {
      StridedIterator<3> it = rows;
      for (int64_t b = begin; b < end; ++b) {
        Rows<T> p;
        W* own = sums + b * parts * n;
        p.weight = weight.data;
        p.dw = dw ? own : nullptr;
        p.db = db ? own + (parts - 1) * n : nullptr;
        p.wants_x = dx != nullptr;
        if (parts > 0) memset(own, 0, parts * n * sizeof(W));
        const int64_t first = b * per_block,
                      last = first + per_block < rows.count ? first + per_block : rows.count;
        it.seek(first);
        int held = 0;
        for (int64_t r = first; r < last; ++r, it.next()) {
          p.x[held] = x.ptr<T>() + it.offset[0];
          p.g[held] = g.ptr<T>() + it.offset[1];
          p.dx[held] = dx ? dx->ptr<T>() + it.offset[2] : nullptr;
          measure<kCentre>(p, held++, n, eps);
          if (held == kTogether) {
            finish<kCentre, kTogether>(p, n);
            held = 0;
          } else if (r + 1 == last) {
            for (int i = 0; i < held; ++i) {
              Rows<T> one = p;
              one.x[0] = p.x[i], one.g[0] = p.g[i], one.dx[0] = p.dx[i];
              one.mean[0] = p.mean[i], one.rest[0] = p.rest[i], one.scale[0] = p.scale[i];
              one.shift[0] = p.shift[i], one.slope[0] = p.slope[i];
              finish<kCentre, 1>(one, n);
            }
          }
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
  const char* signature = "out_x:out out_weight:out out_bias:out g:in x:in weight:in? eps:f";
  t.add("layer_norm_backward", signature, norm_backward<true>);
  t.add("rms_norm_backward", signature, norm_backward<false>);
}

}  // namespace tl::TL_ISA
