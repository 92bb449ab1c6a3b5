// RMS norm and layer norm, one row at a time; batch norm and group norm. Computed in float (f64 in
// double).
#include "norm.h"

namespace tl::TL_ISA {
namespace {

// Sum of f(x[i]) with four independent accumulators; f(0 lanes) of the tail must be masked by the
// caller through `fill`.
template <class T, class F>
TL_INLINE typename OpMath<T>::Scalar sum_of(const T* x, int64_t n, typename OpMath<T>::Scalar fill,
                                            const F& f) {
  constexpr int w = OpMath<T>::kWidth;
  typename OpMath<T>::Vector a{}, b{}, c{}, d{};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    a += f(load(x + i));
    b += f(load(x + i + w));
    c += f(load(x + i + 2 * w));
    d += f(load(x + i + 3 * w));
  }
  for (; i + w <= n; i += w) a += f(load(x + i));
  if (i < n) b += f(load_or(x + i, n - i, fill));
  return sum((a + b) + (c + d));
}

const char* check_norm(const char* kernel, const View& out, const View& x, const Arg* extras,
                       int n_extras) {
  if (x.ndim < 1) return fail("%s: expected at least one axis, got none", kernel);
  if (!same_shape(out, x) || out.dtype != x.dtype) return fail("%s: expected out like x", kernel);
  for (int i = 0; i < n_extras; ++i) {
    if (extras[i].kind == Arg::none) continue;
    const View& w = *extras[i].a;
    if (w.ndim != 1 || w.shape[0] != x.back(1)) {
      return fail("%s: expected weights of shape (%lld,), got %d axes ending in %lld", kernel,
                  static_cast<long long>(x.back(1)), w.ndim, static_cast<long long>(w.back(1)));
    }
    if (w.dtype != x.dtype && w.dtype != DType::f32) {
      return fail("%s: expected weights in f32 or x's dtype, got %s", kernel, row(w.dtype).name);
    }
  }
  return nullptr;
}

// x is rounded to its own dtype before the weight, as the models that were trained in half
// precision did.
template <class T>
TL_INLINE void rms_row(const T* x, T* out, const typename OpMath<T>::Scalar* weight, int64_t n,
                       double eps) {
  using W = typename OpMath<T>::Scalar;
  constexpr int w = OpMath<T>::kWidth;
  const W squares = sum_of(x, n, W(0), [](auto v) { return v * v; });
  const W scale = 1 / root(squares / static_cast<W>(n) + static_cast<W>(eps));
  auto rounded = [](typename OpMath<T>::Vector v) {
    if constexpr (sizeof(T) == 2) {
      T buffer[kLanes];
      store(buffer, v);
      return load(buffer);
    } else {
      return v;
    }
  };
  int64_t i = 0;
  if (weight) {
    for (; i + w <= n; i += w) store(out + i, rounded(load(x + i) * scale) * load(weight + i));
    if (i < n)
      store_first(out + i,
                  rounded(load_or(x + i, n - i, W(0)) * scale) * load_or(weight + i, n - i, W(0)),
                  n - i);
  } else {
    for (; i + w <= n; i += w) store(out + i, load(x + i) * scale);
    if (i < n) store_first(out + i, load_or(x + i, n - i, W(0)) * scale, n - i);
  }
}

const char* rms_norm(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const double eps = args[3].f;
  if (const char* error = check_norm("rms_norm", out, x, args + 2, 1)) return error;
  return for_float(x.dtype, "rms_norm", [&]<class T>() -> const char* {
    using W = typename OpMath<T>::Scalar;
    const int64_t n = x.back(1);
    const Weights<W> weight(args[2], n);
    if (!weight.ok) return "rms_norm: out of memory";
    return each_row<T>(out, x, x.ndim - 1, 200,
                       [&](const T* in, T* to) { rms_row(in, to, weight.data, n, eps); });
  });
}

// The mean is rounded to the wide type, which far from zero is coarse: what the deviations from it
// still have in common, `rest`, is taken off them and off their squares.
template <class W>
struct Moments {
  W mean, rest, scale;  // scale: 1 / standard deviation
};
template <class T, class W = typename OpMath<T>::Scalar>
__attribute__((noinline)) Moments<W> moments(const T* x, int64_t n, double eps) {
  constexpr int w = OpMath<T>::kWidth, kChains = 4;
  const W mean = sum_of(x, n, W(0), [](auto v) { return v; }) / static_cast<W>(n);
  typename OpMath<T>::Vector squares[kChains]{}, together[kChains]{};
  auto gather = [&](int chain, auto v) {
    v = v - mean;
    together[chain] += v;
    squares[chain] += v * v;
  };
  int64_t i = 0;
  // A few vectors are added in order: chains would save nothing.
  for (; n >= 2 * kChains * w && i + kChains * w <= n; i += kChains * w) {
#pragma GCC unroll 4
    for (int chain = 0; chain < kChains; ++chain) gather(chain, load(x + i + chain * w));
  }
  for (; i + w <= n; i += w) gather(0, load(x + i));
  if (i < n) gather(1, load_or(x + i, n - i, mean));
  auto total = [](const auto* parts) { return sum((parts[0] + parts[1]) + (parts[2] + parts[3])); };
  const W rest = total(together) / static_cast<W>(n);
  const W var = total(squares) / static_cast<W>(n) - rest * rest;
  return {mean, rest, 1 / root((var > 0 ? var : var * 0) + static_cast<W>(eps))};
}

template <class T>
TL_INLINE void layer_row(const T* x, T* out, const typename OpMath<T>::Scalar* weight,
                         const typename OpMath<T>::Scalar* bias, int64_t n, double eps) {
  using W = typename OpMath<T>::Scalar;
  constexpr int w = OpMath<T>::kWidth;
  const auto [mean, rest, scale] = moments(x, n, eps);
  auto finish = [&, mean = mean, rest = rest, scale = scale](auto v, int64_t i, auto get) {
    v = (v - mean - rest) * scale;
    if (weight) v = v * get(weight + i);
    if (bias) v = v + get(bias + i);
    return v;
  };
  int64_t i = 0;
  for (; i + w <= n; i += w)
    store(out + i, finish(load(x + i), i, [](const W* p) { return load(p); }));
  if (i < n) {
    const int64_t left = n - i;
    store_first(out + i,
                finish(load_or(x + i, left, W(0)), i,
                       [left](const W* p) { return load_or(p, left, W(0)); }),
                left);
  }
}

const char* layer_norm(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const double eps = args[4].f;
  if (const char* error = check_norm("layer_norm", out, x, args + 2, 2)) return error;
  return for_float(x.dtype, "layer_norm", [&]<class T>() -> const char* {
    using W = typename OpMath<T>::Scalar;
    const int64_t n = x.back(1);
    const Weights<W> weight(args[2], n), bias(args[3], n);
    if (!weight.ok || !bias.ok) return "layer_norm: out of memory";
    return each_row<T>(out, x, x.ndim - 1, 300, [&](const T* in, T* to) {
      layer_row(in, to, weight.data, bias.data, n, eps);
    });
  });
}

// --- by channels ---------------------------------------------------------------------------------

// (x - mean) * scale + shift: in this order, since far from zero x * scale is coarse. `p` is the
// step of mean, scale and shift, 0 or 1. Always by vectors, so that bits do not depend on where an
// element lies.
template <class T>
void affine_line(const std::byte* from, int64_t xs, std::byte* to, int64_t os, const float* mean,
                 const float* scale, const float* shift, int64_t p, int64_t n) {
  const T* x = reinterpret_cast<const T*>(from);
  T* out = reinterpret_cast<T*>(to);
  vf m = splat(*mean), s = splat(*scale), b = splat(*shift);
  int64_t i = 0;
  if (xs == 1 && os == 1 && !p)
    for (; i + kLanes <= n; i += kLanes) store(out + i, fma(load(x + i) - m, s, b));
  for (; i < n; i += kLanes) {
    const int lanes = static_cast<int>(n - i < kLanes ? n - i : kLanes);
    const bool whole = lanes == kLanes;
    if (p) {
      m = whole ? load(mean + i) : load_part(mean + i, lanes);
      s = whole ? load(scale + i) : load_part(scale + i, lanes);
      b = whole ? load(shift + i) : load_part(shift + i, lanes);
    }
    vf v{};
    if (whole && xs == 1)
      v = load(x + i);
    else
      for (int j = 0; j < lanes; ++j) v[j] = to_opmath(x[(i + j) * xs]);
    v = fma(v - m, s, b);
    if (whole && os == 1)
      store(out + i, v);
    else
      for (int j = 0; j < lanes; ++j) out[(i + j) * os] = from_opmath<T>(v[j]);
  }
}

// What depends on the dtype; the rest is compiled once.
struct ChannelLoops {
  decltype(&affine_line<float>) affine;
  Moments<float> (*moments)(const std::byte* x, int64_t n, double eps);
  int64_t bytes;
};
struct Lines {
  const std::byte* x;
  std::byte* out;
  const float *mean, *scale, *shift;  // of the first channel
};
template <class T>
Moments<float> moments_at(const std::byte* x, int64_t n, double eps) {
  return moments(reinterpret_cast<const T*>(x), n, eps);
}
const char* loops_of(DType d, const char* kernel, ChannelLoops* to) {
  return for_float32(d, kernel, [&]<class T>() -> const char* {
    *to = {affine_line<T>, moments_at<T>, sizeof(T)};
    return nullptr;
  });
}

// The elements of n channels of one sample; `out` and `x` are (batch, channels, ...).
void affine_channels(const ChannelLoops& loops, const View& out, const View& x, const Lines& at,
                     int64_t n) {
  const int64_t xs = x.strides[1], os = out.strides[1], bytes = loops.bytes;
  StridedIterator<2> it;
  for (int i = 2; i < x.ndim; ++i) it.axis(x.shape[i], {out.strides[i], x.strides[i]});
  const int last = it.ndim - 1;
  // Else channels lie side by side, or there is nothing else.
  const bool along = it.ndim && (it.strides[0][last] == 1 || os != 1 || n < 8);
  const int64_t length = along ? it.shape[last] : n, lines = along ? it.count / length : it.count;
  const int64_t line_os = along ? it.strides[0][last] : os;
  const int64_t line_xs = along ? it.strides[1][last] : xs;
  if (along) it.ndim = last;
  for (int64_t c = 0; c < (along ? n : 1); ++c) {
    it.seek(0);
    for (int64_t i = 0; i < lines; ++i, it.next())
      loops.affine(at.x + (c * xs + it.offset[1]) * bytes, line_xs,
                   at.out + (c * os + it.offset[0]) * bytes, line_os, at.mean + c, at.scale + c,
                   at.shift + c, along ? 0 : 1, length);
  }
}

// All of them, in pieces for the threads.
void affine_all(const ChannelLoops& loops, const View& out, const View& x, const Lines& at) {
  const int64_t channels = x.shape[1];
  const int64_t each = x.size() / x.shape[0] / channels;  // elements of a channel
  const int64_t most = 8192 / each + 1, group = channels < most ? channels : most;
  const int64_t groups = (channels + group - 1) / group;
  parallel_for(
      x.shape[0] * groups, 16384 / (group * each) + 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t b = i / groups, c = i % groups * group;
          const Lines part{x.data + (b * x.strides[0] + c * x.strides[1]) * loops.bytes,
                           out.data + (b * out.strides[0] + c * out.strides[1]) * loops.bytes,
                           at.mean + c, at.scale + c, at.shift + c};
          affine_channels(loops, out, x, part, channels - c < group ? channels - c : group);
        }
      });
}

TL_INLINE bool is_line(const View& v, int64_t n) {
  return v.dtype == DType::f32 && v.size() == n && v.contiguous();
}

const char* check_channels(const char* kernel, const View& out, const View& x, const Arg* per,
                           int n) {
  if (x.ndim < 2 || !same_shape(out, x) || out.dtype != x.dtype)
    return fail("%s: expected x of (batch, channels, ...) and out like it", kernel);
  for (int i = 0; i < n; ++i) {
    if (per[i].kind == Arg::none) continue;
    if (per[i].a->ndim != 1 || per[i].a->shape[0] != x.shape[1])
      return fail("%s: expected one value per channel", kernel);
    const char* error =
        for_float(per[i].a->dtype, kernel, []<class T>() -> const char* { return nullptr; });
    if (error) return error;
  }
  return nullptr;
}

// By given means and variances of the channels; without mean it is 0.
const char* batch_norm(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const float eps = static_cast<float>(args[6].f);
  ChannelLoops loops;
  if (const char* error = check_channels("batch_norm", out, x, args + 2, 4)) return error;
  if (const char* error = loops_of(x.dtype, "batch_norm", &loops)) return error;
  if (out.size() == 0) return nullptr;
  const int64_t channels = x.shape[1];
  const Weights<float> mean(args[2], channels), var(args[3], channels), weight(args[4], channels),
      bias(args[5], channels);
  Scratch memory(3 * channels * sizeof(float));
  float *m = memory.as<float>(), *scale = m + channels, *shift = scale + channels;
  if (!m || !mean.ok || !var.ok || !weight.ok || !bias.ok) return "batch_norm: out of memory";
  for (int64_t c = 0; c < channels; ++c) {
    m[c] = mean.data ? mean.data[c] : 0;
    scale[c] = 1 / root(var.data[c] + eps);
    if (weight.data) scale[c] *= weight.data[c];
    shift[c] = bias.data ? bias.data[c] : 0;
  }
  affine_all(loops, out, x, {x.data, out.data, m, scale, shift});
  return nullptr;
}

// By the statistics of x itself: `rest` is what `mean` lost by rounding.
const char* whiten_channels(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  ChannelLoops loops;
  if (const char* error = check_channels("whiten_channels", out, x, args + 2, 2)) return error;
  if (const char* error = loops_of(x.dtype, "whiten_channels", &loops)) return error;
  const int64_t channels = x.shape[1];
  for (int i = 4; i < 7; ++i)
    if (!is_line(*args[i].a, channels))
      return "whiten_channels: expected contiguous statistics of f32, one for each channel";
  if (out.size() == 0) return nullptr;
  const Weights<float> weight(args[2], channels), bias(args[3], channels);
  Scratch memory(2 * channels * sizeof(float));
  float *scale = memory.as<float>(), *shift = scale + channels;
  if (!scale || !weight.ok || !bias.ok) return "whiten_channels: out of memory";
  const float *rest = args[5].a->ptr<float>(), *by = args[6].a->ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    scale[c] = weight.data ? by[c] * weight.data[c] : by[c];
    shift[c] = (bias.data ? bias.data[c] : 0.f) - rest[c] * scale[c];
  }
  affine_all(loops, out, x, {x.data, out.data, args[4].a->ptr<float>(), scale, shift});
  return nullptr;
}

// Mean, what it lost by rounding, and variance of each channel over samples and positions.
const char* channel_moments(const Arg* args, int) {
  const View& x = *args[3].a;
  if (x.ndim < 2 || x.dtype != DType::f32 || !x.contiguous())
    return "channel_moments: expected contiguous x (batch, channels, ...) of f32";
  const int64_t channels = x.shape[1];
  for (int i = 0; i < 3; ++i)
    if (!is_line(*args[i].a, channels))
      return "channel_moments: expected contiguous results of f32, one for each channel";
  if (channels == 0) return nullptr;
  const int64_t samples = x.shape[0], each = x.size() / (samples ? samples : 1) / channels;
  const double n = static_cast<double>(samples * each);
  parallel_for(channels, 16384 / (samples * each + 1) + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; ++c) {
      auto at = [&](int64_t i) { return x.ptr<float>() + (i * channels + c) * each; };
      double total = 0, rest = 0, squares = 0;
      for (int64_t i = 0; i < samples; ++i)
        total += static_cast<double>(sum_of(at(i), each, 0.f, [](vf v) { return v; }));
      const float mean = static_cast<float>(total / n);
      for (int64_t i = 0; i < samples; ++i) {
        vf together{};
        squares += static_cast<double>(sum_of(at(i), each, mean, [&](vf v) {
          v = v - mean;
          together += v;
          return v * v;
        }));
        rest += static_cast<double>(sum(together));
      }
      rest /= n;
      const double var = squares / n - rest * rest;
      args[0].a->ptr<float>()[c] = mean;
      args[1].a->ptr<float>()[c] = static_cast<float>(rest);
      args[2].a->ptr<float>()[c] = static_cast<float>(var > 0 ? var : var * 0);
    }
  });
  return nullptr;
}

// By the mean and variance of each of `groups` parts of the channels of a sample.
const char* group_norm(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const int64_t groups = args[4].i, channels = x.ndim > 1 ? x.shape[1] : 0;
  const double eps = args[5].f;
  ChannelLoops loops;
  if (const char* error = check_channels("group_norm", out, x, args + 2, 2)) return error;
  if (const char* error = loops_of(x.dtype, "group_norm", &loops)) return error;
  if (groups < 1 || channels % groups || !x.contiguous() || !out.contiguous())
    return "group_norm: expected groups that divide the channels, and arrays in order";
  if (out.size() == 0) return nullptr;
  const Weights<float> weight(args[2], channels), bias(args[3], channels);
  if (!weight.ok || !bias.ok) return "group_norm: out of memory";
  const int64_t own = channels / groups, each = x.size() / x.shape[0] / channels;
  const int64_t n = own * each;  // elements of a group
  parallel_for(x.shape[0] * groups, 16384 / n + 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * n * loops.bytes;
      const auto of = loops.moments(x.data + first, n, eps);
      for (int64_t k = 0; k < own; ++k) {
        const int64_t c = i % groups * own + k, at = first + k * each * loops.bytes;
        const float by = weight.data ? of.scale * weight.data[c] : of.scale;
        const float shift = (bias.data ? bias.data[c] : 0.f) - of.rest * by;
        loops.affine(x.data + at, 1, out.data + at, 1, &of.mean, &by, &shift, 0, each);
      }
    }
  });
  return nullptr;
}

}  // namespace

void register_norm_backward(KernelTable& t);
void register_softmax(KernelTable& t);
void register_norm(KernelTable& t);
void register_norm(KernelTable& t) {
  t.add("rms_norm", "out:out x:in weight:in? eps:f", rms_norm);
  t.add("layer_norm", "out:out x:in weight:in? bias:in? eps:f", layer_norm);
  t.add("batch_norm", "out:out x:in mean:in? var:in weight:in? bias:in? eps:f", batch_norm);
  t.add("whiten_channels", "out:out x:in weight:in? bias:in? mean:in rest:in rstd:in",
        whiten_channels);
  t.add("channel_moments", "mean:out rest:out var:out x:in", channel_moments);
  t.add("group_norm", "out:out x:in weight:in? bias:in? groups:i eps:f", group_norm);
#ifndef TL_INFERENCE
  register_norm_backward(t);
#endif
  register_softmax(t);
}

}  // namespace tl::TL_ISA
