// What the files of the convolution share: the problem in one form for 1 to 3 spatial axes, the
// input laid out so that a kernel element reads along a contiguous line, and a product whose left
// side stays unpacked.
#pragma once
#include "gemm.h"
#include "norm_rows.h"
#include "simd/math.h"

namespace tl::TL_ISA {

// out[n, r, o] = bias[r] + Σ x[n, c, o·stride + offset + t·dilation] · weight[r, c, t]; what lies
// outside x counts as zero. Arrays are (batch, channels, depth, height, width), missing axes of
// length 1. A padding p is an offset of -p; the shape of out says where it ends.
//
// Of contiguous f32 results there may be more: act(… + residual), where the residual lies as out
// does, on other memory, and `act` overwrites a line of floats.
struct Conv {
  View out, x, weight, bias;
  bool has_bias = false;
  const float* residual = nullptr;
  bool clamped = false;  // act is: to 0 … high
  float high = __builtin_inff();
  const float* transformed = nullptr;  // the weight, as Winograd's way takes it
  int64_t transformed_rows = 0;        // of that
  int winograd_out = 2;                // results along a side of a tile
  void (*act)(void* out, const void* const* in, int64_t n, const double* numbers) = nullptr;
  int64_t groups = 1;
  int64_t stride[3], offset[3], dilation[3];

  TL_INLINE int64_t batch() const { return out.shape[0]; }
  TL_INLINE int64_t out_channels() const { return out.shape[1] / groups; }  // per group
  TL_INLINE int64_t channels() const { return x.shape[1] / groups; }        // per group
  TL_INLINE int64_t kernel_elements() const {
    return weight.shape[2] * weight.shape[3] * weight.shape[4];
  }
  TL_INLINE int64_t out_positions() const { return out.shape[2] * out.shape[3] * out.shape[4]; }
};

TL_INLINE int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
TL_INLINE int64_t floor_mod(int64_t a, int64_t b) { return a % b + (a % b < 0 ? b : 0); }
TL_INLINE int64_t common_divisor(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

TL_INLINE void set_strides(View& x) {
  int64_t step = 1;
  for (int i = x.ndim - 1; i >= 0; --i) {
    x.strides[i] = step;
    step *= x.shape[i];
  }
}

// f.operator()<T>() for the type T that dtype d is computed in.
template <class F>
TL_INLINE const char* for_computing(DType d, const char* kernel, const F& f) {
  switch (d) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return f.template operator()<float>();
#ifndef TL_HOT
    case DType::f64:
      return f.template operator()<double>();
#endif
    default:
      return fail("%s: expected a float dtype, got %s", kernel, row(d).name);
  }
}

// Every second element, n >= 8 of them: eight of fifteen at a time; the last eight overlap those
// before.
TL_INLINE void copy_halves(const float* from, int64_t n, float* to) {
  for (int64_t i = 0;; i = min64(i + 8, n - 8)) {
    const f32x8 a = load_as<f32x8>(from + 2 * i), b = load_as<f32x8>(from + 2 * i + 7);
    store_at(to + i, __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15));
    if (i + 8 == n) return;
  }
}

template <class T, class From>
TL_INLINE void copy_line(const From* from, int64_t step, int64_t n, T* to) {
  int64_t i = 0;
  if (step == 1) {
    if constexpr (__is_same(T, From)) {
      memcpy(to, from, n * sizeof(T));
      return;
    }
    for (; i < n; ++i) to[i] = widen<T>(from[i]);
    return;
  }
  if constexpr (__is_same(T, float) && __is_same(From, float)) {
    if (step == 2 && n >= 8) return copy_halves(from, n, to);
  }
  for (; i < n; ++i) to[i] = widen<T>(from[i * step]);
}
// n elements of an array of any float dtype, `step` apart, as T.
template <class T>
TL_INLINE void copy_line(const View& x, int64_t offset, int64_t step, int64_t n, T* to) {
  if constexpr (__is_same(T, double)) {
    copy_line(x.ptr<const double>() + offset, step, n, to);
  } else {
    switch (x.dtype) {
      case DType::f16:
        return copy_line(x.ptr<const f16>() + offset, step, n, to);
      case DType::bf16:
        return copy_line(x.ptr<const bf16>() + offset, step, n, to);
      default:
        return copy_line(x.ptr<const float>() + offset, step, n, to);
    }
  }
}
template <class T>
TL_INLINE void write_line(const View& out, int64_t offset, int64_t step, int64_t n,
                          const T* __restrict from, T add) {
  auto go = [&]<class To>(To* __restrict to) {
    if (step == 1) {
      for (int64_t i = 0; i < n; ++i) to[i] = from_opmath<To>(from[i] + add);
    } else {
      for (int64_t i = 0; i < n; ++i) to[i * step] = from_opmath<To>(from[i] + add);
    }
  };
  if constexpr (__is_same(T, double)) {
    go(out.ptr<double>() + offset);
  } else {
    switch (out.dtype) {
      case DType::f16:
        return go(out.ptr<f16>() + offset);
      case DType::bf16:
        return go(out.ptr<bf16>() + offset);
      default:
        return go(out.ptr<float>() + offset);
    }
  }
}
// minimum(maximum(x, 0), high) where high is a number: a NaN compares false, and stays.
TL_INLINE vf clamped(vf x, vf high) {
  x = select(x < vf{}, vf{}, x);
  return select(x > high, high, x);
}
template <bool kResidual, bool kClamped>
TL_INLINE void end_line(const float* from, const float* residual, int64_t n, vf add, vf high,
                        float* to) {
  auto ended = [&](vf x, vf y) {
    x = x + add;
    if (kResidual) x = x + y;
    return kClamped ? clamped(x, high) : x;
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    store(to + i, ended(load(from + i), kResidual ? load(residual + i) : vf{}));
  if (i < n && n >= kLanes && from != to) {  // again some of those before, for parts are slow
    i = n - kLanes;
    store(to + i, ended(load(from + i), kResidual ? load(residual + i) : vf{}));
  } else if (const int rest = static_cast<int>(n - i)) {
    const vf y = kResidual ? load_part(residual + i, rest) : vf{};
    store_part(to + i, ended(load_part(from + i, rest), y), rest);
  }
}
// n results of a line in f32, with residual and clamp on the way.
inline void write_clamped(const Conv& v, int64_t offset, int64_t n, const float* from, float add) {
  float* to = v.out.ptr<float>() + offset;
  const float* residual = v.residual ? v.residual + offset : nullptr;
  const vf all = splat(add), high = splat(v.high);
  if (v.clamped)
    return residual ? end_line<true, true>(from, residual, n, all, high, to)
                    : end_line<false, true>(from, residual, n, all, high, to);
  if (residual)
    end_line<true, false>(from, residual, n, all, high, to);
  else
    end_line<false, false>(from, residual, n, all, high, to);
}
// Activations that are no clamp, of n results that have just been written.
TL_INLINE void activate(const Conv& v, float* line, int64_t n) {
  const void* in[] = {line};
  if (v.act && !v.clamped) v.act(line, in, n, nullptr);
}
// The same of a tile of sums before it is written: a call for each line costs more than a pass.
// What is written then gets -0 added, which changes nothing. Not where a residual comes between.
TL_INLINE bool activates_tile(const Conv& v) { return v.act && !v.clamped && !v.residual; }
TL_INLINE void add_to_line(float* line, int64_t n, float add) {
  for (int64_t i = 0; i < n; ++i) line[i] += add;
}
// n results of a line of any dtype, `step` apart; only contiguous f32 ones have more than the sum.
template <class T>
TL_INLINE void write_results(const Conv& v, int64_t offset, int64_t n, const T* from, T add) {
  if constexpr (__is_same(T, float)) {
    if (v.out.dtype == DType::f32 && v.out.strides[4] == 1)
      return write_clamped(v, offset, n, from, add);
  }
  write_line<T>(v.out, offset, v.out.strides[4], n, from, add);
}
template <class T>
TL_INLINE T scalar_at(const View& x, int64_t offset) {
  T value;
  copy_line<T>(x, offset, 1, 1, &value);
  return value;
}

// Where a kernel element of the last axis reads: output o takes element `at + o` of the row, and it
// lies inside for low <= o < high.
struct KernelElement {
  int64_t at, low, high;
};

// The input as T whose rows can be read along the output's last axis: a stride s along it is undone
// by storing the s phases of a row one after the other. Borrowed where x already is like that.
template <class T>
struct Input {
  const T* data = nullptr;
  int64_t n = 0, c = 0, d = 0, h = 0;  // strides
  const KernelElement* elements = nullptr;

  static size_t bytes(const Conv& v) {
    const int64_t s = v.stride[2];
    int64_t size = 0;
    if (!direct(v)) {
      size = 1;
      for (int i = 0; i < 4; ++i) size *= v.x.shape[i];
      size *= min64(s, v.weight.shape[4]) * ceil_div(v.x.shape[4], s);
    }
    return size * sizeof(T) + v.weight.shape[4] * sizeof(KernelElement) + 128;
  }
  static bool direct(const Conv& v) {
    return v.x.dtype == (sizeof(T) == 8 ? DType::f64 : DType::f32) && v.stride[2] == 1 &&
           (v.x.strides[4] == 1 || v.x.shape[4] == 1);
  }

  Input(const Conv& v, void* memory) {
    const int64_t s = v.stride[2], width = v.x.shape[4], kernel = v.weight.shape[4];
    const int64_t line = ceil_div(width, s);
    KernelElement* element = static_cast<KernelElement*>(memory);
    elements = element;
    // Kernel elements k and k + period read the same phase; slot k % period holds it.
    const int64_t period = s / common_divisor(s, v.dilation[2]);
    const int64_t slots = min64(kernel, period);
    auto phase_of = [&](int64_t k) { return floor_mod(v.offset[2] + k * v.dilation[2], s); };
    if (direct(v)) {
      data = v.x.ptr<const T>();
      n = v.x.strides[0], c = v.x.strides[1], d = v.x.strides[2], h = v.x.strides[3];
    } else {
      T* copy = reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(element + kernel) + 63) & ~63ull);
      data = copy;
      h = slots * line;
      d = h * v.x.shape[3];
      c = d * v.x.shape[2];
      n = c * v.x.shape[1];
      const int64_t lines = v.x.shape[0] * v.x.shape[1] * v.x.shape[2] * v.x.shape[3];
      // With few kernel elements a stride skips rows.
      const int64_t rows_period = v.stride[1] / common_divisor(v.stride[1], v.dilation[1]);
      const bool skips = v.stride[1] > 1 && v.weight.shape[3] < v.stride[1];
      auto is_read = [&](int64_t y) {
        for (int64_t k = 0; k < min64(v.weight.shape[3], rows_period); ++k) {
          if ((y - v.offset[1] - k * v.dilation[1]) % v.stride[1] == 0) return true;
        }
        return false;
      };
      parallel_for(lines, max64(1, 16384 / max64(1, h)), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          if (skips && !is_read(i % v.x.shape[3])) continue;
          int64_t rest = i, from = 0;
          for (int axis = 3; axis >= 0; --axis) {
            from += rest % v.x.shape[axis] * v.x.strides[axis];
            rest /= v.x.shape[axis];
          }
          for (int64_t slot = 0; slot < slots; ++slot) {
            const int64_t phase = phase_of(slot);
            if (phase >= width) continue;
            copy_line<T>(v.x, from + phase * v.x.strides[4], s * v.x.strides[4],
                         ceil_div(width - phase, s), copy + i * h + slot * line);
          }
        }
      });
    }
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t phase = phase_of(k), shift = floor_div(v.offset[2] + k * v.dilation[2], s);
      const int64_t length = phase < width ? ceil_div(width - phase, s) : 0;
      element[k] = {k % period * line + shift, -shift, length - shift};
    }
  }
};

// c (kRows × columns, row stride `c_row`) = or += a (kRows rows, `a_row` apart) · b (k × columns).
template <class T, int kRows>
TL_INLINE void conv_micro(int64_t k, const T* a, int64_t a_row, const T* b, T* c, int64_t c_row,
                          bool add) {
  typedef typename Vec<T>::type V;
  typedef V VU __attribute__((aligned(sizeof(T)), may_alias));
  constexpr int kV = kVec<T>;
  V acc[kRows][2] = {};
  const T* line[kRows];
  for (int i = 0; i < kRows; ++i) line[i] = a + i * a_row;
  for (int64_t p = 0; p < k; ++p, b += 2 * kV) {
    V b0 = *reinterpret_cast<const VU*>(b), b1 = *reinterpret_cast<const VU*>(b + kV);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      V x = line[i][p] - V{};
      acc[i][0] += x * b0;
      acc[i][1] += x * b1;
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
    VU* to = reinterpret_cast<VU*>(c + i * c_row);
    VU* to1 = reinterpret_cast<VU*>(c + i * c_row + kV);
    *to = add ? *to + acc[i][0] : acc[i][0];
    *to1 = add ? *to1 + acc[i][1] : acc[i][1];
  }
}

// c (rows × panels·columns) = or += a (rows × k) · b (panels of k × columns, `b_panel` apart).
// Strips of a are read once from far away and then from L1 for every panel.
template <class T>
inline void conv_product(int64_t rows, int64_t panels, int64_t k, const T* a, int64_t a_row,
                         const T* b, int64_t b_panel, T* c, bool add) {
  constexpr int kN = kPanelColumns<T>;
  const int64_t c_row = panels * kN;
  for (int64_t r = 0; r < rows; r += kPanelRows) {
    const T* from = a + r * a_row;
    for (int64_t p = 0; p < panels; ++p) {
      const T* panel = b + p * b_panel;
      T* to = c + r * c_row + p * kN;
      switch (min64(kPanelRows, rows - r)) {
        case 1:
          conv_micro<T, 1>(k, from, a_row, panel, to, c_row, add);
          break;
        case 2:
          conv_micro<T, 2>(k, from, a_row, panel, to, c_row, add);
          break;
        case 3:
          conv_micro<T, 3>(k, from, a_row, panel, to, c_row, add);
          break;
        case 4:
          conv_micro<T, 4>(k, from, a_row, panel, to, c_row, add);
          break;
        case 5:
          conv_micro<T, 5>(k, from, a_row, panel, to, c_row, add);
          break;
        default:
          conv_micro<T, 6>(k, from, a_row, panel, to, c_row, add);
      }
    }
  }
}

// The whole of x as contiguous T: borrowed where it is, else copied into `memory`.
template <class T>
inline bool is_plain(const View& x) {
  return x.dtype == (sizeof(T) == 8 ? DType::f64 : DType::f32) && x.contiguous();
}
template <class T>
inline size_t plain_bytes(const View& x) {
  return is_plain<T>(x) ? 64 : x.size() * sizeof(T) + 64;
}
template <class T>
inline const T* plain(const View& x, T* memory) {
  if (is_plain<T>(x)) return x.ptr<const T>();
  const int last = x.ndim - 1;
  const int64_t length = x.shape[last], lines = length ? x.size() / length : 0;
  parallel_for(lines, max64(1, 16384 / max64(1, length)), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t rest = i, from = 0;
      for (int axis = last - 1; axis >= 0; --axis) {
        from += rest % x.shape[axis] * x.strides[axis];
        rest /= x.shape[axis];
      }
      copy_line<T>(x, from, x.strides[last], length, memory + i * length);
    }
  });
  return memory;
}

// Picks the way (depthwise, direct, Winograd, product) and computes v.
const char* convolve(const Conv& v);
bool depthwise_fits(const Conv& v);
const char* depthwise(const Conv& v);
const char* depthwise_weight_grad(const Conv& v);
bool direct_fits(const Conv& v);
const char* direct(const Conv& v);
bool winograd_fits(const Conv& v);
bool winograd_computes(const Conv& v);  // whether it can, at whatever cost
const char* winograd(const Conv& v);
// out (16 or 36, rows in strips, channels) of a weight (rows, channels, 3, 3).
const char* winograd_weight(const Arg* args, int);
// v.x (written) from v.out (read), for strides: the transposed convolution.
bool transposed_fits(const Conv& v);
const char* transposed(const Conv& v, const View* bias);
// v.weight (written) from v.out (the gradient, read) and v.x.
const char* conv_weight_grad(const Conv& v);

}  // namespace tl::TL_ISA
