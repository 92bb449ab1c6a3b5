// Convolution over 1 to 3 axes and its two gradients: "conv", "conv_input_grad" (also the
// transposed convolution) and "conv_weight_grad".
#include "conv_arrange.h"
#include "conv_linear.h"
#include "conv_planes.h"
#include "gemm_linear.h"

namespace tl::TL_ISA {

const char* convolve(const Conv& v) {
  if (v.out.size() == 0) return nullptr;
  if (few_fit(v)) return few_results(v);
  if (is_linear(v)) return conv_as_linear(v);
  if (v.transformed)
    return winograd_computes(v) ? winograd(v) : "conv_transformed: expected 3 x 3 and stride 1";
  if (depthwise_fits(v)) return depthwise(v);
  if (winograd_fits(v)) return winograd(v);
  if (direct_fits(v)) return direct(v);
  if constexpr (kLanes >= 8) {
    if (planes_fit(v))
      return channels_are_neighbours(v.x) ? with_lines(v, conv_by_planes) : conv_by_planes(v);
  }
  return for_computing(v.out.dtype, "conv", [&]<class T>() { return conv_by_product<T>(v); });
}

namespace {

// (batch, channels, spatial…) with missing spatial axes of length 1 put in front.
const char* widened(const View& x, View* to) {
  if (x.ndim < 3 || x.ndim > 5) return "conv: expected arrays of 3 to 5 axes";
  *to = x;
  to->ndim = 5;
  const int missing = 5 - x.ndim;
  for (int i = 0; i < missing; ++i) {
    to->shape[2 + i] = 1;
    to->strides[2 + i] = 0;
  }
  for (int i = 2; i < x.ndim; ++i) {
    to->shape[i + missing] = x.shape[i];
    to->strides[i + missing] = x.strides[i];
  }
  for (int i = 0; i < 5; ++i) {  // so that a borrowed line's stride is never odd for length 1
    if (to->shape[i] == 1) to->strides[i] = i == 4 ? 1 : 0;
  }
  return nullptr;
}

// Whether the sizes leave room for what is computed of them in 64 bits: a view can repeat one
// element more often than any memory holds.
bool moderate(const Conv& v) {
  const int64_t most = int64_t{1} << 40;
  for (const View* x : {&v.out, &v.x, &v.weight}) {
    int64_t size = 1;
    for (int i = 0; i < 5; ++i) {
      if (__builtin_mul_overflow(size, max64(1, x->shape[i]), &size) || size > most) return false;
    }
  }
  // What is laid out of x has at most as many elements as x has for each kernel element, or out for
  // each channel of x.
  int64_t laid, channels;
  if (__builtin_mul_overflow(v.x.size(), max64(1, v.kernel_elements()), &laid) ||
      __builtin_mul_overflow(v.x.shape[0] * v.x.shape[1], v.out_positions(), &channels) ||
      max64(laid, channels) > int64_t{1} << 56)
    return false;
  for (int i = 0; i < 3; ++i) {
    int64_t effective_kernel, width;
    if (__builtin_mul_overflow(v.weight.shape[2 + i], v.dilation[i], &effective_kernel) ||
        __builtin_mul_overflow(v.out.shape[2 + i], v.stride[i], &width) ||
        max64(effective_kernel, width) > int64_t{1} << 60)
      return false;
  }
  return true;
}

// The problem in which `out`, `x` and `weight` stand as in the forward direction; args holds
// stride, offset, dilation (3 each) and groups.
const char* read(const View& out, const View& x, const View& weight, const View* bias,
                 const Arg* args, Conv* v) {
  if (out.ndim != x.ndim || out.ndim != weight.ndim) return "conv: expected arrays of as many axes";
  if (const char* error = widened(out, &v->out)) return error;
  widened(x, &v->x);
  widened(weight, &v->weight);
  if (x.dtype != out.dtype || weight.dtype != out.dtype)
    return "conv: expected arrays of one dtype";
  // Not every way of computing asks again, and floats do not fit where bools lie.
  const auto nothing = []<class T>() -> const char* { return nullptr; };
  if (const char* error = for_computing(out.dtype, "conv", nothing)) return error;
  for (int i = 0; i < 3; ++i) {
    v->stride[i] = args[i].i;
    v->offset[i] = args[3 + i].i;
    v->dilation[i] = args[6 + i].i;
    if (v->stride[i] < 1 || v->dilation[i] < 1)
      return "conv: expected a positive stride and dilation";
    const int64_t far = int64_t{1} << 40;
    if (v->stride[i] > far || v->dilation[i] > far || v->offset[i] > far || v->offset[i] < -far)
      return "conv: expected a stride, padding and dilation below 2^40";
  }
  v->groups = args[9].i;
  const int64_t g = v->groups;
  if (g < 1 || v->out.shape[1] % g || v->x.shape[1] % g)
    return "conv: groups do not divide channels";
  if (v->out.shape[0] != v->x.shape[0] || v->weight.shape[0] != v->out.shape[1] ||
      v->weight.shape[1] != v->channels())
    return "conv: shapes do not fit";
  v->has_bias = bias != nullptr;
  if (bias) v->bias = *bias;
  if (!moderate(*v)) return "conv: expected shapes of fewer elements";
  lay_down(v);
  return nullptr;
}

const char* check_bias(const View* bias, const View& out) {
  if (bias && (bias->ndim != 1 || bias->shape[0] != out.shape[1] || bias->dtype != out.dtype))
    return "conv: expected a bias with one element per output channel";
  return nullptr;
}

const View* optional(const Arg& arg) { return arg.kind == Arg::array ? arg.a : nullptr; }

// out[n, c, …] = bias[c]
template <class T>
void fill(const View& out, const View* bias) {
  const int64_t lines = out.shape[0] * out.shape[1] * out.shape[2] * out.shape[3];
  parallel_for(lines, 1 + 16384 / (1 + out.shape[4]), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t rest = i, at = 0;
      for (int axis = 3; axis >= 0; --axis) {
        at += rest % out.shape[axis] * out.strides[axis];
        rest /= out.shape[axis];
      }
      const int64_t channel = i / (out.shape[2] * out.shape[3]) % out.shape[1];
      const T value = bias ? scalar_at<T>(*bias, channel * bias->strides[0]) : T(0);
      const T zero = 0;
      for (int64_t x = 0; x < out.shape[4]; ++x)
        write_line<T>(out, at + x * out.strides[4], 1, 1, &zero, value);
    }
  });
}

// Kernel elements of one axis that reach the inputs of one phase, as a convolution of stride 1 over
// outputs.
struct Phase {
  int64_t first, step, count;  // kernel elements first, first + step, …
  int64_t at, length;          // inputs at, at + stride, …
  int64_t offset, dilation;    // of that convolution, its kernel elements in reverse order
};

Phase phase_of(const Conv& v, int axis, int64_t element) {
  const int64_t s = v.stride[axis], d = v.dilation[axis], shared = common_divisor(s, d);
  const int64_t kernel = v.weight.shape[2 + axis], length = v.x.shape[2 + axis];
  Phase p;
  p.first = element;
  p.step = s / shared;
  p.count = ceil_div(kernel - element, p.step);
  p.at = floor_mod(v.offset[axis] + element * d, s);
  p.length = p.at < length ? ceil_div(length - p.at, s) : 0;
  p.dilation = d / shared;
  p.offset = floor_div(p.at - v.offset[axis] - element * d, s) - (p.count - 1) * p.dilation;
  return p;
}

// The weights of one phase: to[(group, channel), row, kernel elements reversed] = weight[(group,
// row), channel].
template <class T>
void phase_weight(const Conv& v, const T* weight, const Phase (&p)[3], T* to) {
  const int64_t out_channels = v.out_channels(), channels = v.channels(), all = v.kernel_elements();
  const int64_t kernel_elements = p[0].count * p[1].count * p[2].count;
  const int64_t high = v.weight.shape[3], wide = v.weight.shape[4];
  // Some channels together: their kernel elements follow each other in the weight, rows lie pages
  // apart.
  constexpr int64_t kBlock = 16;
  const int64_t blocks = ceil_div(channels, kBlock);
  parallel_for(v.groups * blocks, 1 + 512 / (1 + out_channels * kernel_elements),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t group = i / blocks, c0 = i % blocks * kBlock;
                   const int64_t some = min64(kBlock, channels - c0);
                   int64_t r = 0, c = c0;
                   for (int64_t j = 0; j < out_channels * some; ++j, ++c) {
                     if (c == c0 + some) {
                       c = c0;
                       ++r;
                     }
                     const T* from = weight + ((group * out_channels + r) * channels + c) * all;
                     T* line = to + ((group * channels + c) * out_channels + r) * kernel_elements;
                     if (kernel_elements == all) {
                       for (int64_t t = 0; t < kernel_elements; ++t)
                         line[t] = from[kernel_elements - 1 - t];
                       continue;
                     }
                     for (int64_t z = p[0].count - 1; z >= 0; --z) {
                       for (int64_t y = p[1].count - 1; y >= 0; --y) {
                         const int64_t row =
                             (p[0].first + z * p[0].step) * high + p[1].first + y * p[1].step;
                         const T* at = from + row * wide + p[2].first;
                         for (int64_t x = p[2].count - 1; x >= 0; --x) *line++ = at[x * p[2].step];
                       }
                     }
                   }
                 }
               });
}

// v.x (written) from v.out (read): each phase of the inputs is a convolution of stride 1.
template <class T>
const char* input_grad(const Conv& v, const View* bias) {
  const DType computing = sizeof(T) == 8 ? DType::f64 : DType::f32;
  Scratch g_memory(plain_bytes<T>(v.out)), weight_memory(v.weight.size() * sizeof(T) + 64),
      plain_memory(plain_bytes<T>(v.weight));
  if (!g_memory.as<char>() || !weight_memory.as<char>() || !plain_memory.as<char>())
    return "conv: out of memory";
  Conv back;
  back.groups = v.groups;
  back.has_bias = bias != nullptr;
  if (bias) back.bias = *bias;
  back.x = v.out;
  back.x.data = reinterpret_cast<std::byte*>(const_cast<T*>(plain<T>(v.out, g_memory.as<T>())));
  back.x.dtype = computing;
  set_strides(back.x);
  const T* weight = plain<T>(v.weight, plain_memory.as<T>());
  back.weight.data = weight_memory.as<std::byte>();
  back.weight.dtype = computing;
  back.weight.ndim = 5;
  int64_t phases[3];
  bool covered = true;
  for (int i = 0; i < 3; ++i) {
    phases[i] =
        min64(v.stride[i] / common_divisor(v.stride[i], v.dilation[i]), v.weight.shape[2 + i]);
    covered = covered && phases[i] == v.stride[i];
  }
  if (!covered) fill<T>(v.x, bias);
  for (int64_t i = 0; i < phases[0] * phases[1] * phases[2]; ++i) {
    const Phase p[3] = {phase_of(v, 0, i / phases[2] / phases[1]),
                        phase_of(v, 1, i / phases[2] % phases[1]), phase_of(v, 2, i % phases[2])};
    back.out = v.x;
    back.weight.shape[0] = v.x.shape[1];
    back.weight.shape[1] = v.out_channels();
    for (int axis = 0; axis < 3; ++axis) {
      back.out.shape[2 + axis] = p[axis].length;
      if (p[axis].length > 0)
        back.out.data += p[axis].at * v.x.strides[2 + axis] * bytes_of(v.x.dtype);
      if (p[axis].length > 1) back.out.strides[2 + axis] *= v.stride[axis];
      back.weight.shape[2 + axis] = p[axis].count;
      back.stride[axis] = 1;
      back.offset[axis] = p[axis].offset;
      back.dilation[axis] = p[axis].dilation;
    }
    if (back.out.size() == 0) continue;
    set_strides(back.weight);
    phase_weight<T>(v, weight, p, weight_memory.as<T>());
    if (const char* error = convolve(back)) return error;
  }
  return nullptr;
}

// `numbers`: those of `read`.
const char* forward(const Arg* args, const Arg* numbers, Conv& v) {
  const View* bias = optional(args[3]);
  if (const char* error = read(*args[0].a, *args[1].a, *args[2].a, bias, numbers, &v)) return error;
  if (const char* error = check_bias(bias, v.out)) return error;
  if (v.x.size() == 0 || v.weight.size() == 0) {
    return for_computing(v.out.dtype, "conv", [&]<class T>() -> const char* {
      fill<T>(v.out, bias);
      if (v.residual || v.clamped)  // -0 leaves all as it is
        write_clamped(v, 0, v.out.size(), v.out.ptr<const float>(), -0.0f);
      activate(v, v.out.ptr<float>(), v.out.size());
      return nullptr;
    });
  }
  return convolve(v);
}

const char* conv(const Arg* args, int) {
  Conv v;
  return forward(args, args + 4, v);
}

// act(conv + residual) in one pass over the result; with a transformed weight if there is one.
const char* ended(const Arg* args, const View* transformed) {
  Conv v;
  if (transformed) {
    v.transformed = transformed->ptr<const float>();
    v.transformed_rows = transformed->shape[1];
    v.winograd_out = transformed->shape[0] == 36 ? 4 : 2;
  }
  const View &out = *args[0].a, *residual = optional(args[4]);
  if (out.dtype != DType::f32 || !out.contiguous())
    return "conv_act: expected a contiguous result in f32";
  if (residual) {
    if (residual->dtype != DType::f32 || !residual->contiguous() || !same_shape(*residual, out))
      return "conv_act: expected a contiguous residual in f32 of the result's shape";
    v.residual = residual->ptr<const float>();
  }
  v.act = line_function(args[5].i);
  if (!v.act && args[5].i != 0) return "conv_act: no such activation";
  v.clamped = args[5].i == 4 || args[5].i == 6;
  if (args[5].i == 6) v.high = 6;
  return forward(args, args + 6, v);
}

const char* conv_act(const Arg* args, int) { return ended(args, nullptr); }

// The same of a weight that winograd_weight transformed, for kernels of 3 x 3 and stride 1.
const char* conv_transformed(const Arg* args, int) {
  const View& u = *args[2].a;
  if (u.dtype != DType::f32 || u.ndim != 3 || (u.shape[0] != 16 && u.shape[0] != 36) ||
      !u.contiguous() || args[0].a->ndim != 4)
    return "conv_transformed: expected a weight that winograd_weight gave";
  View weight = u;
  weight.ndim = 4;
  const int64_t shape[] = {args[0].a->shape[1], u.shape[2], 3, 3};
  memcpy(weight.shape, shape, sizeof shape);
  set_strides(weight);
  Arg list[16];
  memcpy(list, args, sizeof list);
  list[2].a = &weight;
  return ended(list, &u);
}

// out: like the convolution's input; x: like its output.
const char* conv_input_grad(const Arg* args, int) {
  Conv v;
  const View* bias = optional(args[3]);
  if (const char* error = read(*args[1].a, *args[0].a, *args[2].a, nullptr, args + 4, &v))
    return error;
  if (const char* error = check_bias(bias, v.x)) return error;
  if (v.x.size() == 0) return nullptr;
  return for_computing(v.x.dtype, "conv", [&]<class T>() -> const char* {
    if (v.out.size() == 0 || v.weight.size() == 0) {
      fill<T>(v.x, bias);
      return nullptr;
    }
    if (__is_same(T, float) && transposed_fits(v)) return transposed(v, bias);
    return input_grad<T>(v, bias);
  });
}

// out: like the weight.
#ifndef TL_INFERENCE
const char* conv_weight_grad_entry(const Arg* args, int) {
  Conv v;
  if (const char* error = read(*args[1].a, *args[2].a, *args[0].a, nullptr, args + 3, &v))
    return error;
  if (v.weight.size() == 0) return nullptr;
  if (v.out.size() == 0 || v.x.size() == 0) {
    return for_computing(v.weight.dtype, "conv", [&]<class T>() -> const char* {
      fill<T>(v.weight, nullptr);
      return nullptr;
    });
  }
  return conv_weight_grad(v);
}
#endif

}  // namespace

void register_conv_last(KernelTable& t);
void register_conv_depthwise_last(KernelTable& t);
void register_most_likely(KernelTable& t);
void register_conv(KernelTable& t);
void register_conv(KernelTable& t) {
#ifndef TL_BELOW
  register_conv_depthwise_last(t);
#endif
#ifndef TL_BELOW
  register_conv_last(t);
  register_most_likely(t);
#endif
#define TL_CONV_NUMBERS " sz:i sy:i sx:i oz:i oy:i ox:i dz:i dy:i dx:i groups:i"
  t.add("conv", "out:out x:in weight:in bias:in?" TL_CONV_NUMBERS, conv);
  t.add("conv_act", "out:out x:in weight:in bias:in? residual:in? act:i" TL_CONV_NUMBERS, conv_act);
  if constexpr (kLanes >= 8) {
    t.add("winograd_weight", "out:out weight:in groups:i", winograd_weight);
    t.add("conv_transformed", "out:out x:in weight:in bias:in? residual:in? act:i" TL_CONV_NUMBERS,
          conv_transformed);
  }
  t.add("conv_input_grad", "out:out g:in weight:in bias:in?" TL_CONV_NUMBERS, conv_input_grad);
#ifndef TL_INFERENCE
  t.add("conv_weight_grad", "out:out g:in x:in" TL_CONV_NUMBERS, conv_weight_grad_entry);
#endif
#undef TL_CONV_NUMBERS
}

}  // namespace tl::TL_ISA
