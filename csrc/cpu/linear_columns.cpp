// `linear` of few rows with transposed weights (`A @ B` of a row and a row-major matrix): lines of
// many columns are added up where they lie.
#include "linear_order.h"

namespace tl::TL_ISA {
namespace {

// Columns: long lines suit the hardware, their sums stay near. A row alone takes twice as many.
constexpr int kBlock = 2048;
constexpr int kLines = 4;  // multiplied together

// sums[c] = or += Σ x[i · lanes] · w[i · stride + c] over kCount elements of depth, one by one.
template <int kCount, class T>
TL_INLINE void add_lines(const T* w, int64_t stride, const float* x, int lanes, int columns,
                         bool add, float* sums) {
  vf factor[kCount];
  for (int i = 0; i < kCount; ++i) factor[i] = splat(x[i * lanes]);
  int c = 0;
  if constexpr (kCount > kLines) {
    // Of each line two vectors at once: so many lines a power of two apart share a place in the
    // cache, and would lose it between the halves of a line of it.
    for (; c + 2 * kLanes <= columns; c += 2 * kLanes) {
      vf low = add ? load(sums + c) : vf{}, high = add ? load(sums + c + kLanes) : vf{};
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) {
        low = fma(factor[i], load(w + i * stride + c), low);
        high = fma(factor[i], load(w + i * stride + c + kLanes), high);
      }
      store(sums + c, low);
      store(sums + c + kLanes, high);
    }
  }
  for (; c + kLanes <= columns; c += kLanes) {
    vf sum = add ? load(sums + c) : vf{};
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) sum = fma(factor[i], load(w + i * stride + c), sum);
    store(sums + c, sum);
  }
  if (c < columns) {
    vf sum = add ? load(sums + c) : vf{};
    for (int i = 0; i < kCount; ++i)
      sum = fma(factor[i], load_part(w + i * stride + c, columns - c), sum);
    store(sums + c, sum);
  }
}

// y[a · kBlock + c] += lane `lane` of a run at w: every `lanes`-th of `depth` elements.
template <class T>
void add_lane(const T* w, int64_t stride, const float* x, int64_t x_stride, int64_t rows,
              int64_t depth, int lane, int lanes, int columns, float* y) {
  constexpr int64_t kApart = kBlock + 112;  // not at one place in the cache
  alignas(64) float sums[kDotRows * kApart];
  int64_t e = lane;
  if constexpr (__is_same(T, float)) {  // the sums pass through fewer times
    for (; e + (2 * kLines - 1) * lanes < depth; e += 2 * kLines * lanes) {
      for (int64_t a = 0; a < rows; ++a)
        add_lines<2 * kLines>(w + e * stride, lanes * stride, x + a * x_stride + e, lanes, columns,
                              e > lane, sums + a * kApart);
    }
  }
  for (; e + (kLines - 1) * lanes < depth; e += kLines * lanes) {
    for (int64_t a = 0; a < rows; ++a)
      add_lines<kLines>(w + e * stride, lanes * stride, x + a * x_stride + e, lanes, columns,
                        e > lane, sums + a * kApart);
  }
  for (; e < depth; e += lanes) {
    for (int64_t a = 0; a < rows; ++a)
      add_lines<1>(w + e * stride, lanes * stride, x + a * x_stride + e, lanes, columns, e > lane,
                   sums + a * kApart);
  }
  for (int64_t a = 0; a < rows && depth > lane; ++a) {
    for (int c = 0; c < columns; c += kLanes) {
      float* to = y + a * kBlock + c;
      store(to, load(to) + load(sums + a * kApart + c));
    }
  }
}

template <class T>
void add_columns(const Linear& l, const float* x, int64_t x_stride) {
  const Order order(l);
  const int64_t stride = l.weight.back_stride(1);
  const int64_t share = ceil_div(ceil_div(l.n, num_threads()), 16) * 16;
  const int64_t least = 16384 / max64(1, l.k * 16) * 16;  // columns that repay handing them out
  const int64_t block = l.m == 1 ? 2 * kBlock : kBlock;
  parallel_for(l.n, min64(block, max64(share, least)), [&](int64_t begin, int64_t end, int) {
    alignas(64) float y[kDotRows * kBlock + kLanes];
    for (int64_t c0 = begin; c0 < end; c0 += block) {
      const int columns = static_cast<int>(min64(block, end - c0));
      for (int64_t a = 0; a < l.m; ++a)
        memset(y + a * kBlock, 0, (columns + kLanes) * sizeof(float));
      for (int64_t k0 = 0; k0 < l.k; k0 += order.run) {
        const T* w = l.weight.ptr<const T>() + k0 * stride + c0;
        for (int lane = 0; lane < order.lanes; ++lane)
          add_lane(w, stride, x + k0, x_stride, l.m, min64(order.run, l.k - k0), lane, order.lanes,
                   columns, y);
      }
      for (int c = 0; c < columns; c += Epilogue::kMost)
        write_tile(l, 0, l.m, c0 + c, static_cast<int>(min64(Epilogue::kMost, columns - c)), y + c,
                   kBlock);
    }
  });
}

}  // namespace

bool takes_columns(const Linear& l) {
  bool floats = false;
  with_float(l.weight.dtype, [&](auto) { floats = true; });
  return floats && l.m <= kDotRows && l.n > 1 && l.weight.back_stride(2) == 1;
}

const char* linear_columns(const Linear& l) {
  const FloatRows rows(l, l.m);
  if (!rows.x) return "linear: out of memory";
  with_float(l.weight.dtype, [&]<class T>(T) { add_columns<T>(l, rows.x, rows.stride); });
  return nullptr;
}

}  // namespace tl::TL_ISA
