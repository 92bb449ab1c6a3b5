// Maxima over windows of f32 images whose rows lie in one piece: first down the columns of a
// window, for a whole row of the image, then along that row, a vector of results at a time.
#include "conv_layout.h"
#include "pool.h"

namespace tl::TL_ISA {

namespace {

constexpr auto kAllLanes = std::make_integer_sequence<int, kLanes>();

// `larger` of pool.cpp for all lanes, where any NaN will do: the instruction gives its second
// operand when one is NaN, or both are equal.
TL_INLINE vf larger(vf a, vf b) { return (vf)((vi)max(b, a) | (vi)(b != b)); }

// The maxima of windows that begin at each of the lanes; `hop` elements between those of a window,
// of which there are kCount, or `count`.
template <int kCount>
TL_INLINE vf along(const float* line, int64_t count, int64_t hop) {
  vf m = load(line);
  if constexpr (kCount > 0) {
#pragma GCC unroll 5
    for (int k = 1; k < kCount; ++k) m = larger(m, load(line + k * hop));
  } else {
    for (int64_t k = 1; k < count; ++k) m = larger(m, load(line + k * hop));
  }
  return m;
}

// kLanes results, of windows kStride apart, from `line` on.
template <int kStride, int kCount>
TL_INLINE vf results(const float* line, int64_t count, int64_t hop) {
  if constexpr (kStride == 1) {
    return along<kCount>(line, count, hop);
  } else if constexpr (kStride == 2) {
    return deinterleave<0>(along<kCount>(line, count, hop),
                           along<kCount>(line + kLanes, count, hop), kAllLanes);
  } else {
    // Windows that do not overlap: their first, second, … elements as vectors.
    vf half[4];
    for (int i = 0; i < 2; ++i) {
      const vf a = load(line + 2 * i * kLanes), b = load(line + (2 * i + 1) * kLanes);
      half[i] = deinterleave<0>(a, b, kAllLanes);
      half[2 + i] = deinterleave<1>(a, b, kAllLanes);
    }
    vf m = deinterleave<0>(half[0], half[1], kAllLanes);
    m = larger(m, deinterleave<0>(half[2], half[3], kAllLanes));
    m = larger(m, deinterleave<1>(half[0], half[1], kAllLanes));
    return larger(m, deinterleave<1>(half[2], half[3], kAllLanes));
  }
}

template <int kStride, int kCount>
void put_results(const float* line, int64_t count, int64_t hop, int64_t n, float* to) {
  int64_t o = 0;
  for (; o + kLanes <= n; o += kLanes)
    store(to + o, results<kStride, kCount>(line + o * kStride, count, hop));
  if (o == n) return;
  if (n >= kLanes) {  // again some of those before, for parts are slow
    o = n - kLanes;
    store(to + o, results<kStride, kCount>(line + o * kStride, count, hop));
  } else {
    store_part(to, results<kStride, kCount>(line, count, hop), static_cast<int>(n));
  }
}

// Rows of an image as long as a window has them, and where their maxima go.
struct Column {
  int64_t width, step;  // elements of a row, and from one to the next
  vi rest;              // lanes of the last vector

  // The largest of `count` rows (or kRows), and of what is there already where `add` says so.
  template <int kRows>
  void largest(const float* rows, int64_t count, bool add, float* to) const {
    auto maxima = [&](int64_t i, auto&& read) {
      const float* from = rows + i;
      vf m = read(from);
      if (add) m = larger(load(to + i), m);
      if constexpr (kRows > 0) {
#pragma GCC unroll 5
        for (int r = 1; r < kRows; ++r) m = larger(m, read(from + r * step));
      } else {
        for (int64_t r = 1; r < count; ++r) m = larger(m, read(from += step));
      }
      store(to + i, m);
    };
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) maxima(i, [](const float* p) { return load(p); });
    if (i == width) return;
    const vf least = splat(-__builtin_inff());
    maxima(i, [&](const float* p) { return select(rest, load_masked(p, rest), least); });
  }
  TL_INLINE void put(const float* rows, int64_t count, bool add, float* to) const {
    switch (count) {
      case 1:
        return largest<1>(rows, count, add, to);
      case 2:
        return largest<2>(rows, count, add, to);
      case 3:
        return largest<3>(rows, count, add, to);
      case 5:
        return largest<5>(rows, count, add, to);
      default:
        return largest<0>(rows, count, add, to);
    }
  }
};

// The rows of windows down an axis: the first, and how many.
struct Down {
  int64_t first, count;

  TL_INLINE Down(const Windows& w, int axis, int64_t o) {
    int64_t end;
    w.window(axis, o, &first, &end);
    const int64_t length = end - first, step = w.dilation[axis];
    count = length <= 0 ? 0 : step == 1 ? length : ceil_div(length, step);
  }
};

// The maxima down the columns of a window, of all columns.
TL_INLINE void columns(const Windows& w, const Column& column, const PoolRow& row, float* to) {
  const View& x = w.x;
  const Down down(w, 1, row.y), in(w, 0, row.z);
  const float* rows = x.ptr<const float>() + row.n * x.strides[0] + row.c * x.strides[1] +
                      in.first * x.strides[2] + down.first * x.strides[3];
  if (in.count == 0 || down.count == 0) {
    for (int64_t i = 0; i < x.shape[4]; ++i) to[i] = -__builtin_inff();
    return;
  }
  for (int64_t i = 0; i < in.count; ++i)
    column.put(rows + i * w.dilation[0] * x.strides[2], down.count, i > 0, to);
}

// The function for windows of `count` elements `stride` apart.
auto putting(int64_t stride, int64_t count) {
  if (stride == 4) return put_results<4, 4>;
  if (stride == 2)
    return count == 2 ? put_results<2, 2> : count == 3 ? put_results<2, 3> : put_results<2, 0>;
  return count == 2   ? put_results<1, 2>
         : count == 3 ? put_results<1, 3>
         : count == 5 ? put_results<1, 5>
                      : put_results<1, 0>;
}

constexpr int kMostLines = 16;

// Rows of windows that lie side by side and cover the image are one long row, if its rows are.
Windows joined(const Windows& given) {
  Windows w = given;
  View &x = w.x, &out = w.out;
  if (w.kernel[1] != 1 || w.stride[1] != 1 || w.padding[1] != 0 || w.padding[2] != 0 ||
      w.kernel[2] != w.stride[2] || w.dilation[2] != 1 || x.shape[3] != out.shape[3] ||
      x.shape[4] != out.shape[4] * w.stride[2] || x.strides[3] != x.shape[4] ||
      out.strides[3] != out.shape[4])
    return w;
  for (View* v : {&x, &out}) {
    v->shape[4] *= v->shape[3];
    v->shape[3] = 1;
  }
  return w;
}

// Whether windows have one row, and all that is read for them lies inside.
bool reads_in_place(const Windows& w, int64_t reach) {
  for (int i = 0; i < 2; ++i) {
    if (w.kernel[i] != 1 || w.padding[i] != 0 ||
        w.out.shape[2 + i] - 1 > (w.x.shape[2 + i] - 1) / w.stride[i])
      return false;
  }
  return w.padding[2] == 0 && w.stride[2] != 2 && w.out.shape[4] >= kLanes && reach <= w.x.shape[4];
}

}  // namespace

bool max_lines_fit(const Windows& w) {
  const View &x = w.x, &out = w.out;
  if (x.dtype != DType::f32 || (x.strides[4] != 1 && x.shape[4] != 1) ||
      (out.strides[4] != 1 && out.shape[4] != 1))
    return false;
  const int64_t kernel = w.kernel[2], stride = w.stride[2];
  return kernel > 0 && (stride <= 2 || (stride == 4 && kernel == 4 && w.dilation[2] == 1));
}

const char* max_lines(const Windows& given) {
  const Windows w = joined(given);
  const View &x = w.x, &out = w.out;
  const int64_t wide = out.shape[4], kernel = w.kernel[2], stride = w.stride[2];
  const int64_t reach = (wide - 1) * stride + (kernel - 1) * w.dilation[2] + 1;
  // What lies under the last vector of windows is read, too.
  const int64_t length = max64(reach, x.shape[4] + w.padding[2]) + 8 * kLanes;
  // A line is read across the vectors that were written: of short ones some are written before the
  // first is read, so that reading does not wait.
  const int64_t lines = max64(1, min64(kMostLines, 512 / length));
  Scratch memory(length * lines * sizeof(float) * num_threads());
  if (!memory.as<char>()) return "max_pool: out of memory";
  const auto put = putting(stride, kernel);
  const Column column{x.shape[4], w.dilation[1] * x.strides[3],
                      lanes_between(0, x.shape[4] % kLanes)};
  const bool bare = reads_in_place(w, reach);
  const int64_t work = wide * w.kernel[0] * w.kernel[1] * kernel;
  parallel_for(w.lines(), 1 + 32768 / (1 + work), [&](int64_t begin, int64_t end, int worker) {
    float* line = memory.as<float>() + worker * lines * length;
    for (int64_t i = 0; i < lines * length; ++i) line[i] = -__builtin_inff();
    PoolRow row(w, begin);
    float* to[kMostLines];
    const float* from[kMostLines];
    for (int64_t i = begin; i < end; i += lines) {
      const int64_t some = min64(lines, end - i);
      for (int64_t j = 0; j < some; ++j, row.next(w)) {
        from[j] = line + j * length;
        to[j] = out.ptr<float>() + row.n * out.strides[0] + row.c * out.strides[1] +
                row.z * out.strides[2] + row.y * out.strides[3];
        if (bare)
          from[j] = x.ptr<const float>() + row.n * x.strides[0] + row.c * x.strides[1] +
                    row.z * w.stride[0] * x.strides[2] + row.y * w.stride[1] * x.strides[3];
        else
          columns(w, column, row, line + j * length + w.padding[2]);
      }
      for (int64_t j = 0; j < some; ++j) put(from[j], kernel, w.dilation[2], wide, to[j]);
    }
  });
  return nullptr;
}

}  // namespace tl::TL_ISA
