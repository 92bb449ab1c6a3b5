// `linear` of few rows: dot products, weights converted in registers or through a small buffer.
#include "linear_order.h"

namespace tl::TL_ISA {
namespace {

// Weights are asked for this long before their use, into the second-level cache: short rows side by
// side are too many streams for the hardware to follow, and half or twice the distance is slower by
// a tenth (docs/log.md).
constexpr int64_t kAhead = 8192;  // bytes

template <int kRows, class T>
TL_INLINE void fetch_ahead(const T* const* w, int64_t i) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    __builtin_prefetch(reinterpret_cast<const char*>(w[r] + i) + kAhead, 0, 2);
}

// y[a·kRows + r] += the lanes of Σ w[r][i]·x[a][i], one after the other.
template <int kRows, int kBatch, class T>
TL_INLINE void dot_run(const T* const* w, const float* x, int64_t x_stride, int64_t depth,
                       bool fetch, float* y) {
  vf acc[kBatch][kRows] = {};
  int64_t i = 0;
  if constexpr (kRows > 4) {
    // Of each row two vectors at once: so many rows a power of two apart share a place in the
    // cache, and would lose it between the halves of a line of it.
    for (; i + 2 * kLanes <= depth; i += 2 * kLanes) {
      if (fetch) fetch_ahead<kRows>(w, i);
      const vf low = load(x + i), high = load(x + i + kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        acc[0][r] = fma(load(w[r] + i), low, acc[0][r]);
        acc[0][r] = fma(load(w[r] + i + kLanes), high, acc[0][r]);
      }
    }
  }
  for (; i + kLanes <= depth; i += kLanes) {
    if (fetch && i * static_cast<int64_t>(sizeof(T)) % 64 == 0) fetch_ahead<kRows>(w, i);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const vf v = load(w[r] + i);
#pragma GCC unroll 4
      for (int a = 0; a < kBatch; ++a) acc[a][r] = fma(v, load(x + a * x_stride + i), acc[a][r]);
    }
  }
  if (i < depth) {
    int rest = static_cast<int>(depth - i);
    for (int r = 0; r < kRows; ++r) {
      const vf v = load_part(w[r] + i, rest);
      for (int a = 0; a < kBatch; ++a)
        acc[a][r] = fma(v, load_part(x + a * x_stride + i, rest), acc[a][r]);
    }
  }
  constexpr int kSums = kRows * kBatch;
  static_assert(kSums <= 8);
  if constexpr (kLanes >= 8) {
    f32x8 total = load_as<f32x8>(y);
    for (int eight = 0; eight < kLanes; eight += 8) {
      f32x8 lanes[8];
      for (int j = 0; j < 8; ++j) {
        const vf& sum = acc[j / kRows % kBatch][j % kRows];
        if constexpr (kLanes == 8)
          lanes[j] = j < kSums ? (f32x8)sum : f32x8{};
        else if (j < kSums)  // through memory, which for lanes of 8 would keep the sums there
          memcpy(&lanes[j], reinterpret_cast<const float*>(&sum) + eight, 32);
        else
          lanes[j] = f32x8{};
      }
      transpose(lanes);
      for (int j = 0; j < 8; ++j) total = total + lanes[j];
    }
    store_at(y, total);
  } else {
    for (int j = 0; j < kSums; ++j) {
      for (int lane = 0; lane < kLanes; ++lane) y[j] += acc[j / kRows][j % kRows][lane];
    }
  }
}

// Rows of weights that are multiplied together: enough that no addition waits for the one before.
// Lanes of eight are joined as fast as those of four, and floats take no time to convert.
template <int kBatch, class T>
inline constexpr int kTogetherRows = kBatch == 1 && __is_same(T, float) ? 8
                                     : kBatch <= 2                      ? 4
                                                                        : 2;

// Rows of weights whose results are written together.
constexpr int kWritten = 16;

// Calls row(i, y) for kRows rows from i on, which writes Σ w[i + r]·x[a] to y[a · kRows + r].
template <int kBatch, int kRows, class Row>
TL_INLINE void decode_rows(const Linear& l, int64_t begin, int64_t end, const Row& row) {
  for (int64_t i = begin; i < end; i += kWritten) {
    const int columns = static_cast<int>(min64(kWritten, end - i));
    alignas(32) float tile[kBatch * kWritten];
    for (int r0 = 0; r0 < columns; r0 += kRows) {
      alignas(32) float y[8] = {};
      row(i + r0, y);
#pragma GCC unroll 4
      for (int a = 0; a < kBatch; ++a)
        memcpy(tile + a * kWritten + r0, y + a * kRows, kRows * sizeof(float));
    }
    write_tile(l, 0, min64(kBatch, l.m), i, columns, tile, kWritten);
  }
}

template <int kBatch, class T>
void decode_floats(const Linear& l, const float* x, int64_t x_stride, int64_t begin, int64_t end) {
  constexpr int kRows = kTogetherRows<kBatch, T>;
  const Order order(l);
  const int64_t stride = l.weight.back_stride(2);
  decode_rows<kBatch, kRows>(l, begin, end, [&](int64_t i, float* y) {
    for (int64_t k0 = 0; k0 < l.k; k0 += order.run) {
      const T* w[kRows];
      for (int r = 0; r < kRows; ++r)
        w[r] = l.weight.ptr<const T>() + (i + (i + r < end ? r : 0)) * stride + k0;
      dot_run<kRows, kBatch>(w, x + k0, x_stride, min64(order.run, l.k - k0), !l.near, y);
    }
  });
}

template <int kBatch>
void decode_blocks(const Linear& l, const float* x, int64_t x_stride, int64_t begin, int64_t end) {
  constexpr int kRows = kTogetherRows<kBatch, void>;
  const BlockFormat& format = *block_format(l.weight.dtype);
  const int64_t block = block_of(l.weight.dtype), bytes = bytes_of(l.weight.dtype);
  const Order order(l);
  alignas(64) float buffer[kRows][Order::kMostRun];  // stays in L1
  decode_rows<kBatch, kRows>(l, begin, end, [&](int64_t i, float* y) {
    const int rows = static_cast<int>(min64(kRows, end - i));
    for (int64_t k0 = 0; k0 < l.k; k0 += order.run) {
      const int64_t depth = min64(order.run, l.k - k0);
      const float* w[kRows];
      for (int r = 0; r < kRows; ++r) {
        w[r] = buffer[r < rows ? r : 0];
        if (r < rows)
          format.floats(l.weight_row(i + r) + k0 / block * bytes, depth / block, buffer[r]);
      }
      dot_run<kRows, kBatch>(w, x + k0, x_stride, depth, false, y);
    }
  });
}

template <int kBatch>
FewRowsFn decode(DType dtype) {
  FewRowsFn found = decode_blocks<kBatch>;
  with_plain(dtype, [&]<class T>(T) { found = decode_floats<kBatch, T>; });
  return found;
}

}  // namespace

FewRowsFn few_rows_kernel(DType weight, int64_t m) {
  return m == 1 ? decode<1>(weight) : m == 2 ? decode<2>(weight) : decode<4>(weight);
}

const char* linear_few_rows(const LinearSeveral& products) {
  const Linear& l = products.each[0];
  const FloatRows rows(l, few_rows_read(l.m));
  if (!rows.x) return "linear: out of memory";
  const FewRowsFn kernel = few_rows_kernel(l.weight.dtype, l.m);
  share_rows(products, row_bytes(l), [&](const Linear& each, int64_t begin, int64_t end) {
    kernel(each, rows.x, rows.stride, begin, end);
  });
  return nullptr;
}

}  // namespace tl::TL_ISA
