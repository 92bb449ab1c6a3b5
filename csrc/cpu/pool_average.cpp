// Averages over windows of an image: "avg_pool".
#include "pool.h"

namespace tl::TL_ISA {
namespace {

// a[i] += x[i]
template <class T>
void add_line(const std::byte* p, int64_t step, int64_t n, float* a) {
  const T* x = reinterpret_cast<const T*>(p);
  int64_t i = 0;
  if (step == 1)
    for (; i + kLanes <= n; i += kLanes) store(a + i, load(a + i) + load(x + i));
  for (; i < n; ++i) a[i] += to_opmath(x[i * step]);
}

template <class T>
void put_line(std::byte* p, int64_t step, int64_t n, const float* a) {
  T* to = reinterpret_cast<T*>(p);
  int64_t i = 0;
  if (step == 1)
    for (; i + kLanes <= n; i += kLanes) store(to + i, load(a + i));
  for (; i < n; ++i) to[i * step] = from_opmath<T>(a[i]);
}

// sums[o] = line[o * step] + … + line[o * step + taps - 1]; a step known at compile time becomes
// vectors.
template <int64_t kStep>
void add_taps(const float* line, int64_t step, int64_t taps, int64_t n, float* __restrict sums) {
  if constexpr (kStep > 0) step = kStep;
  for (int64_t o = 0; o < n; ++o) sums[o] = line[o * step];
  for (int64_t k = 1; k < taps; ++k) {
    const float* __restrict from = line + k;
    for (int64_t o = 0; o < n; ++o) sums[o] += from[o * step];
  }
}

struct Average {
  Windows w;
  // What depends on the dtype; the rest is compiled once.
  void (*add)(const std::byte* x, int64_t step, int64_t n, float* a);
  void (*put)(std::byte* to, int64_t step, int64_t n, const float* a);
  int64_t bytes;
  bool include_pad;
  double divisor;  // 0: the number of elements

  // How many elements of an axis the average of output o is over.
  int64_t count(int axis, int64_t o) const {
    int64_t first, end;
    w.window(axis, o, &first, &end);
    if (!include_pad || w.kernel[axis] == 0) return end - first;
    const int64_t start = o * w.stride[axis] - w.padding[axis];
    return min64(start + w.kernel[axis], w.x.shape[2 + axis] + w.padding[axis]) - start;
  }
  // What sums of a row of results are over, but for what depends on the column.
  float of_row(int64_t z, int64_t y) const {
    return static_cast<float>(divisor != 0 ? divisor
                                           : static_cast<double>(count(0, z) * count(1, y)));
  }
};

// One row of results: the sum of the rows of its windows, then along it.
void average_row(const Average& a, const float* columns, int64_t length, const PoolRow& row,
                 float* line, float* sums) {
  const Windows& w = a.w;
  const View &x = w.x, &out = w.out;
  const auto [n, c, z, y] = row;
  const int64_t width = out.shape[4], pad = w.kernel[2] ? w.padding[2] : 0;
  int64_t z0, z1, y0, y1;
  w.window(0, z, &z0, &z1);
  w.window(1, y, &y0, &y1);
  memset(line, 0, static_cast<size_t>(length) * sizeof(float));
  const std::byte* image = x.data + (n * x.strides[0] + c * x.strides[1]) * a.bytes;
  for (int64_t iz = z0; iz < z1; ++iz)
    for (int64_t iy = y0; iy < y1; ++iy)
      a.add(image + (iz * x.strides[2] + iy * x.strides[3]) * a.bytes, x.strides[4], x.shape[4],
            line + pad);
  if (w.kernel[2] == 0) {
    for (int64_t o = 0; o < width; ++o) {
      int64_t first, end;
      w.window(2, o, &first, &end);
      sums[o] = 0;
      for (int64_t i = first; i < end; ++i) sums[o] += line[i];
    }
  } else {
    (w.stride[2] == 1   ? add_taps<1>
     : w.stride[2] == 2 ? add_taps<2>
                        : add_taps<0>)(line, w.stride[2], w.kernel[2], width, sums);
  }
  const float rows = a.of_row(z, y);
  for (int64_t o = 0; o < width; ++o) sums[o] /= rows * columns[o];
  a.put(out.data +
            (n * out.strides[0] + c * out.strides[1] + z * out.strides[2] + y * out.strides[3]) *
                a.bytes,
        out.strides[4], width, sums);
}

const char* avg_pool(const Arg* args, int) {
  Average a;
  PoolCost cost;
  if (const char* error = read_windows("avg_pool", *args[0].a, *args[1].a, args + 2, &a.w, &cost))
    return error;
  a.include_pad = args[14].i != 0;
  a.divisor = args[15].f;
  for (int i = 0; i < 3; ++i)
    if (a.w.dilation[i] != 1) return "avg_pool: expected windows without gaps";
  const char* error = for_float32(a.w.x.dtype, "avg_pool", [&]<class T>() -> const char* {
    a.add = add_line<T>, a.put = put_line<T>, a.bytes = sizeof(T);
    return nullptr;
  });
  if (error || a.w.out.size() == 0) return error;
  const int64_t own = 2 * cost.line, width = a.w.out.shape[4], height = a.w.out.shape[3];
  Scratch memory((own * num_threads() + width + height) * sizeof(float));
  float* lines = memory.as<float>();
  if (!lines) return "avg_pool: out of memory";
  float* columns = lines + own * num_threads();
  for (int64_t o = 0; o < width; ++o)
    columns[o] = a.divisor != 0 ? 1.f : static_cast<float>(a.count(2, o));
  if (pool_last_fits(a.w)) {
    float* rows = columns + width;
    for (int64_t y = 0; y < height; ++y) rows[y] = a.of_row(0, y);
    return avg_pool_last(a.w, rows, columns);
  }
  parallel_for(a.w.lines(), 1 + 16384 / (1 + cost.work), [&](int64_t begin, int64_t end, int t) {
    float* line = lines + own * t;
    PoolRow row(a.w, begin);
    for (int64_t i = begin; i < end; ++i, row.next(a.w))
      average_row(a, columns, cost.line, row, line, line + cost.line);
  });
  return nullptr;
}

}  // namespace

void register_pool_average(KernelTable& t);
void register_pool_average(KernelTable& t) {
  t.add("avg_pool",
        "out:out x:in kernel1:i kernel2:i kernel3:i stride1:i stride2:i stride3:i padding1:i "
        "padding2:i padding3:i dilation1:i dilation2:i dilation3:i include_pad:i divisor:f",
        avg_pool);
}

}  // namespace tl::TL_ISA
