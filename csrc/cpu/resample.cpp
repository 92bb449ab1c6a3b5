// Resampling along one axis by a table of weights: "resample". Averages over windows and all kinds
// of interpolation are tables; the gradient is the transposed table.
#include "channels_last.h"
#include "conv.h"
#include "copy.h"
#include "overlap.h"
#include "words.h"

namespace tl::TL_ISA {
namespace {

// Output o is Σ weight[offset[o] + j] · x[start[o] + j] for j up to offset[o + 1] - offset[o].
struct WeightTable {
  const int64_t *start, *offset;
  const double* weight;
  int64_t length, results;
};

const char* read(const View& start, const View& offset, const View& weight, int64_t length,
                 int64_t results, WeightTable* t) {
  if (start.dtype != DType::i64 || offset.dtype != DType::i64 || weight.dtype != DType::f64 ||
      start.ndim != 1 || offset.ndim != 1 || weight.ndim != 1 || !start.contiguous() ||
      !offset.contiguous() || !weight.contiguous() || start.shape[0] != results ||
      offset.shape[0] != results + 1)
    return "resample: expected a table of contiguous i64 start, i64 offset and f64 weight";
  *t = {start.ptr<const int64_t>(), offset.ptr<const int64_t>(), weight.ptr<const double>(), length,
        results};
  if (t->offset[0] != 0 || t->offset[results] != weight.shape[0])
    return "resample: offsets do not fit the weights";
  for (int64_t o = 0; o < results; ++o) {
    const int64_t count = t->offset[o + 1] - t->offset[o];
    if (count < 0 || t->offset[o + 1] > weight.shape[0] || t->start[o] < 0 || count > length ||
        t->start[o] > length - count)
      return "resample: a window leaves the axis";
  }
  return nullptr;
}

template <class To, class From, class S>
void one_line(double weight, const From* from, int64_t n, To* to) {
  const S w = static_cast<S>(weight);
  for (int64_t k = 0; k < n; ++k) to[k] = from_opmath<To>(w * static_cast<S>(to_opmath(from[k])));
}
// to = weight[0] · a + weight[1] · b; sums begin with 0, as those of more lines do.
template <class To, class From, class S>
void two_lines(const double* weight, const From* a, const From* b, int64_t n, To* to) {
  const S w = static_cast<S>(weight[0]), v = static_cast<S>(weight[1]);
  for (int64_t k = 0; k < n; ++k) {
    S sum = 0;
    sum += w * static_cast<S>(to_opmath(a[k]));
    sum += v * static_cast<S>(to_opmath(b[k]));
    to[k] = from_opmath<To>(sum);
  }
}

// Arrays are (outer, axis, inner). Lines along the inner axis are weighed and added up.
template <class To, class From, class S>
void by_lines(const WeightTable& t, const View& out, const View& x) {
  constexpr int64_t kLine = 512;
  const int64_t inner = out.shape[2], cuts = ceil_div(inner, kLine);
  const int64_t xs = x.strides[2], os = out.strides[2];
  parallel_for(
      out.shape[0] * t.results * cuts, 1 + 16384 / (1 + 4 * min64(inner, kLine)),
      [&](int64_t begin, int64_t end, int) {
        S sums[kLine];
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = i % cuts * kLine, rest = i / cuts, n = min64(kLine, inner - first);
          const int64_t o = rest % t.results, outer = rest / t.results;
          const int64_t count = t.offset[o + 1] - t.offset[o];
          const double* weight = t.weight + t.offset[o];
          const From* from =
              x.ptr<const From>() + outer * x.strides[0] + t.start[o] * x.strides[1] + first * xs;
          To* to = out.ptr<To>() + outer * out.strides[0] + o * out.strides[1] + first * os;
          if (count == 1 && xs == 1 && os == 1) {
            one_line<To, From, S>(*weight, from, n, to);
            continue;
          }
          if (count == 2 && xs == 1 && os == 1) {
            two_lines<To, From, S>(weight, from, from + x.strides[1], n, to);
            continue;
          }
          for (int64_t k = 0; k < n; ++k) sums[k] = 0;
          for (int64_t j = 0; j < count; ++j, from += x.strides[1]) {
            const S w = static_cast<S>(weight[j]);
            if (xs == 1) {
              for (int64_t k = 0; k < n; ++k) sums[k] += w * static_cast<S>(to_opmath(from[k]));
            } else {
              for (int64_t k = 0; k < n; ++k)
                sums[k] += w * static_cast<S>(to_opmath(from[k * xs]));
            }
          }
          for (int64_t k = 0; k < n; ++k) to[k * os] = from_opmath<To>(sums[k]);
        }
      });
}

// Whether each result is one element times a weight, as in nearest neighbours.
bool one_each(const WeightTable& t) {
  if (t.offset[t.results] != t.results) return false;
  for (int64_t o = 0; o < t.results; ++o) {
    if (t.offset[o] != o) return false;
  }
  return true;
}

// Results by vectors, of windows of two elements each: where both lie, and their weights.
struct Pairs {
  const int32_t* first;
  const float *low, *high;  // weights
  int64_t begin, end;       // the results that have windows of two

  static size_t bytes(const WeightTable& t) { return t.results * 3 * sizeof(float) + 64; }
  Pairs(const WeightTable& t, void* memory)
      : first(nullptr), low(nullptr), high(nullptr), begin(0), end(0) {
    if (!memory || t.length > int64_t{1} << 30) return;
    int32_t* at = static_cast<int32_t*>(memory);
    float *a = reinterpret_cast<float*>(at + t.results), *b = a + t.results;
    first = at, low = a, high = b;
    auto two = [&](int64_t o) { return t.offset[o + 1] - t.offset[o] == 2; };
    while (begin < t.results && !two(begin)) ++begin;
    for (end = begin; end < t.results && two(end); ++end) {
      at[end] = static_cast<int32_t>(t.start[end]);
      a[end] = static_cast<float>(t.weight[t.offset[end]]);
      b[end] = static_cast<float>(t.weight[t.offset[end] + 1]);
    }
    end = begin + (end - begin) / kLanes * kLanes;
  }
  // Sums begin with 0, as those of other windows do: it turns -0 into 0.
  TL_INLINE void line(const float* from, float* to) const {
    for (int64_t o = begin; o < end; o += kLanes) {
      const vi at = load_as<vi>(first + o);
      const vf sum = fma(load(low + o), gather(from, at), vf{});
      store(to + o, fma(load(high + o), gather(from + 1, at), sum));
    }
  }
};

// The axis is the innermost one.
template <class To, class From, class S>
void along_line(const WeightTable& t, const View& out, const View& x, const S* weight) {
  const int64_t xs = x.strides[1], os = out.strides[1], inner = out.shape[2];
  const bool single = one_each(t);
  constexpr bool kFloats = __is_same(To, float) && __is_same(From, float);
  Scratch memory(Pairs::bytes(t));
  const bool paired = kFloats && !single && xs == 1 && os == 1 && memory.as<char>();
  const Pairs pairs(t, paired ? memory.as<char>() : nullptr);
  auto one_by_one = [&](const From* from, To* to, int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const S* w = weight + t.offset[o];
      const int64_t count = t.offset[o + 1] - t.offset[o];
      const From* p = from + t.start[o] * xs;
      S sum = 0;
      for (int64_t j = 0; j < count; ++j) sum += w[j] * static_cast<S>(to_opmath(p[j * xs]));
      to[o * os] = from_opmath<To>(sum);
    }
  };
  parallel_for(out.shape[0] * inner, 1 + 16384 / (1 + 2 * t.offset[t.results] + t.results),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const From* from =
                       x.ptr<const From>() + i / inner * x.strides[0] + i % inner * x.strides[2];
                   To* to = out.ptr<To>() + i / inner * out.strides[0] + i % inner * out.strides[2];
                   for (int64_t o = 0; single && o < t.results; ++o)
                     to[o * os] = from_opmath<To>(weight[o] *
                                                  static_cast<S>(to_opmath(from[t.start[o] * xs])));
                   if (single) continue;
                   one_by_one(from, to, 0, pairs.begin);
                   if constexpr (kFloats) pairs.line(from, to);
                   one_by_one(from, to, pairs.end, t.results);
                 }
               });
}

template <class To, class From>
const char* typed(const WeightTable& t, const View& out, const View& x) {
  using S = typename OpMath<To>::Scalar;
  if (out.shape[2] > 4) {
    by_lines<To, From, S>(t, out, x);
    return nullptr;
  }
  Scratch memory(t.offset[t.results] * sizeof(S) + 64);
  S* weight = memory.as<S>();
  if (!weight) return "resample: out of memory";
  for (int64_t i = 0; i < t.offset[t.results]; ++i) weight[i] = static_cast<S>(t.weight[i]);
  along_line<To, From, S>(t, out, x, weight);
  return nullptr;
}

// Axes first to end - 1 as one: its length and stride. False where no stride fits.
bool merge(const View& v, int first, int end, int64_t* length, int64_t* stride) {
  *length = 1, *stride = 0;
  for (int i = end - 1; i >= first; --i) {
    if (v.shape[i] == 1) continue;
    if (*length == 1)
      *stride = v.strides[i];
    else if (v.strides[i] != *stride * *length)
      return false;
    *length *= v.shape[i];
  }
  return true;
}

// As (outer, axis, inner), if that is a view.
bool in_three(const View& v, int axis, View* to) {
  *to = v;
  to->ndim = 3;
  to->shape[1] = v.shape[axis], to->strides[1] = v.strides[axis];
  return merge(v, 0, axis, &to->shape[0], &to->strides[0]) &&
         merge(v, axis + 1, v.ndim, &to->shape[2], &to->strides[2]);
}

const char* dispatch(const WeightTable& t, const View& out, const View& x) {
  if (out.dtype == DType::f64 && x.dtype == DType::f64) return typed<double, double>(t, out, x);
  if (out.dtype == DType::f32) {
    if (x.dtype == DType::f32) return typed<float, float>(t, out, x);
    if (x.dtype == DType::f16) return typed<float, f16>(t, out, x);
    if (x.dtype == DType::bf16) return typed<float, bf16>(t, out, x);
  }
  if (out.dtype == DType::f16) {
    if (x.dtype == DType::f16) return typed<f16, f16>(t, out, x);
    if (x.dtype == DType::f32) return typed<f16, float>(t, out, x);
  }
  if (out.dtype == DType::bf16) {
    if (x.dtype == DType::bf16) return typed<bf16, bf16>(t, out, x);
    if (x.dtype == DType::f32) return typed<bf16, float>(t, out, x);
  }
  return fail("resample: no code for %s to %s", row(x.dtype).name, row(out.dtype).name);
}

const char* resample(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const int64_t axis = args[2].i;
  bool fits = axis >= 0 && axis < out.ndim && x.ndim == out.ndim;
  for (int i = 0; fits && i < out.ndim; ++i) fits = i == axis || out.shape[i] == x.shape[i];
  if (!fits) return "resample: expected arrays that differ along the axis alone";
  WeightTable t;
  if (const char* error =
          read(*args[3].a, *args[4].a, *args[5].a, x.shape[axis], out.shape[axis], &t))
    return error;
  if (out.size() == 0) return nullptr;
  if (may_overlap(out, *args[3].a) || may_overlap(out, *args[4].a))
    return "resample: expected a table that is no part of out";
  View to, from;
  const int at = static_cast<int>(axis);
  if (!in_three(out, at, &to)) return "resample: expected an out in order";
  if (in_three(x, at, &from)) return dispatch(t, to, from);
  const Converted dense(x, x.dtype);
  if (dense.error) return dense.error;
  in_three(dense.view, at, &from);
  return dispatch(t, to, from);
}

// Nearest neighbours by whole factors: each line's elements `columns` times, the line `rows` times.
template <class Word>
void repeat_lines(const View& out, const View& x, int64_t rows, int64_t columns) {
  const int64_t width = x.back(1), wide = width * columns;
  parallel_for(x.size() / width, 1 + 16384 / (wide * rows), [&](int64_t begin, int64_t end, int) {
    for (int64_t line = begin; line < end; ++line) {
      const Word* from = x.ptr<const Word>() + line * width;
      Word* to = out.ptr<Word>() + line * rows * wide;
      if (columns == 2) {
        for (int64_t i = 0; i < width; ++i) to[2 * i] = to[2 * i + 1] = from[i];
      } else {
        for (int64_t i = 0; i < width; ++i)
          for (int64_t k = 0; k < columns; ++k) to[i * columns + k] = from[i];
      }
      for (int64_t k = 1; k < rows; ++k) memcpy(to + k * wide, to, wide * sizeof(Word));
    }
  });
}

// The same where a pixel is a line of channels.
template <class Word>
void repeat_channels(const View& out, const View& x, int64_t rows, int64_t columns) {
  const int64_t width = x.shape[3], channels = x.shape[1], wide = width * columns * channels;
  const size_t bytes = channels * sizeof(Word);
  const auto lines = [&](int64_t begin, int64_t end, int) {
    for (int64_t line = begin; line < end; ++line) {
      const Word* from = x.ptr<const Word>() + line * width * channels;
      Word *first = out.ptr<Word>() + line * rows * wide, *to = first;
      for (int64_t i = 0; i < width; ++i, from += channels)
        for (int64_t k = 0; k < columns; ++k, to += channels) memcpy(to, from, bytes);
      for (int64_t k = 1; k < rows; ++k) memcpy(first + k * wide, first, wide * sizeof(Word));
    }
  };
  parallel_for(x.shape[0] * x.shape[2], 1 + 16384 / (wide * rows), lines);
}

const char* repeat_pixels(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  const int64_t rows = args[2].i, columns = args[3].i;
  bool fits = x.ndim >= 2 && out.ndim == x.ndim && out.dtype == x.dtype && rows > 0 &&
              columns > 0 && !may_overlap(out, x);
  for (int i = 0; fits && i < x.ndim; ++i) {
    const int64_t times = i == x.ndim - 1 ? columns : i == x.ndim - 2 ? rows : 1;
    fits = out.shape[i] % times == 0 && out.shape[i] / times == x.shape[i];
  }
  if (!fits) return "repeat_pixels: expected an out of rows and columns times the last axes of x";
  const bool planes = out.contiguous() && x.contiguous();
  if (!planes && !(is_channels_last(out) && is_channels_last(x)))
    return "repeat_pixels: expected planes, or images whose channels lie next to each other";
  if (x.size() == 0) return nullptr;
  return for_word(x.dtype, [&]<class Word>() {
    if (planes)
      repeat_lines<Word>(out, x, rows, columns);
    else
      repeat_channels<Word>(out, x, rows, columns);
  });
}

}  // namespace

void register_sample_points(KernelTable& t);
void register_resample(KernelTable& t);
void register_resample(KernelTable& t) {
  register_sample_points(t);
  t.add("resample", "out:out x:in axis:i start:in offset:in weight:in", resample);
  t.add("repeat_pixels", "out:out x:in rows:i columns:i", repeat_pixels);
}

}  // namespace tl::TL_ISA
