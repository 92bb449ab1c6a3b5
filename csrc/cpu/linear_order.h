// What `linear` with float activations has in common for few, some and many rows: the order of
// addition, and packing by it. Few rows and many add up in the same order, so that a row's result
// does not depend on the rows beside it.
#pragma once
#include "blocks/fp8.h"
#include "gemm_linear.h"

namespace tl::TL_ISA {

// The plain dtypes of weights: f(T{}).
template <class F>
TL_INLINE bool with_plain(DType dtype, F f) {
  if (dtype == DType::f8e4m3) return f(F8E4M3{}), true;
  if (dtype == DType::f8e5m2) return f(F8E5M2{}), true;
  return with_float(dtype, f);
}

// The order of addition, which only the depth and the block length decide. The depth is cut into
// runs. In a run, lane i of `lanes` sums the elements i, i + lanes, … in order; then the sums of
// the lanes are added to the result one after the other. Dot products read a run as it lies in
// memory; for panels it is packed lane by lane. A short depth has one lane, and panels alone
// multiply it: its lanes would be too short for them.
struct Order {
  int64_t run;
  int lanes;

  explicit Order(int64_t k, int64_t block = 1) : run(kDepth), lanes(1) {
    if (k < kLeastRun) return;
    block = max64(kLanes, block);
    run = ceil_div(ceil_div(k, ceil_div(k, kMostRun)), block) * block;
    lanes = kLanes;
  }
  explicit Order(const Linear& l) : Order(l.k, block_of(l.weight.dtype)) {}
  static constexpr int64_t kLeastRun = 256, kMostRun = 512;
  // Elements of a packed lane, and of a packed line: zeros fill up the last run.
  int64_t lane(int64_t depth) const { return ceil_div(depth, lanes); }
  int64_t padded(int64_t depth) const { return lane(depth) * lanes; }
};

inline constexpr int kColumns = kPanelColumns<float>;

// Stands for rows that a panel does not have.
template <class From>
alignas(64) inline constexpr From kZeros[Order::kMostRun] = {};

// 8 elements of 16 rows change places, rows i and i + 8 in the halves of a vector: half the
// shuffles of 8 × 8 floats.
template <class From>
TL_INLINE void transpose_halves(const From* const* row, int64_t e, From (*to)[16]) {
  u16x16 a[8], b[8];
  for (int i = 0; i < 8; ++i) a[i] = (u16x16)join16(row[i] + e, row[i + 8] + e);
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = __builtin_shufflevector(a[i], a[i + 4], 0, 16, 1, 17, 2, 18, 3, 19, 8, 24, 9, 25, 10,
                                       26, 11, 27);
    b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 4, 20, 5, 21, 6, 22, 7, 23, 12, 28, 13,
                                           29, 14, 30, 15, 31);
  }
  for (int i = 0; i < 4; ++i) {
    a[2 * i] = __builtin_shufflevector(b[i], b[i + 4], 0, 16, 1, 17, 2, 18, 3, 19, 8, 24, 9, 25, 10,
                                       26, 11, 27);
    a[2 * i + 1] = __builtin_shufflevector(b[i], b[i + 4], 4, 20, 5, 21, 6, 22, 7, 23, 12, 28, 13,
                                           29, 14, 30, 15, 31);
  }
  for (int i = 0; i < 4; ++i) {
    store_at(to[2 * i], __builtin_shufflevector(a[i], a[i + 4], 0, 16, 1, 17, 2, 18, 3, 19, 8, 24,
                                                9, 25, 10, 26, 11, 27));
    store_at(to[2 * i + 1], __builtin_shufflevector(a[i], a[i + 4], 4, 20, 5, 21, 6, 22, 7, 23, 12,
                                                    28, 13, 29, 14, 30, 15, 31));
  }
}

// Elements e … e + 7 of kWidth rows, one element's `step` behind the one's before. Those of a panel
// of 6 may be stored 8 wide where it is not its last.
template <int kWidth, class From>
TL_INLINE void pack_eight(const From* const* row, int64_t e, int64_t step, bool wider, float* to) {
  if constexpr (sizeof(From) == 2 && kWidth % 16 == 0) {
    for (int i = 0; i < kWidth; i += 16) {
      alignas(32) From part[8][16];
      transpose_halves(row + i, e, part);
      for (int j = 0; j < 8; ++j) {
        store_at(to + j * step + i, load_floats<f32x8>(part[j]));
        store_at(to + j * step + i + 8, load_floats<f32x8>(part[j] + 8));
      }
    }
  } else {
#pragma GCC unroll 4
    for (int i = 0; i < kWidth; i += 8) {
      f32x8 r[8];
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) r[j] = load_floats<f32x8>(row[i + j] + e);
      transpose(r);
      float* at = to + i;
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j, at += step) {
        if (kWidth % 8 == 0 || wider)
          store_at(at, r[j]);
        else
          memcpy(at, &r[j], kWidth * sizeof(float));
      }
    }
  }
}

// pack_panel, lane by lane: element e of a run goes to place e % lanes · lane + e / lanes. Panels
// of 6 are stored 8 wide, and the next element of the lane overwrites what is too much.
template <int kWidth, class From>
void pack_run(const From* from, int64_t line_stride, int64_t step, int lines, int64_t depth,
              const Order& order, float* to) {
  if (order.lanes == 1) return pack_panel<kWidth>(from, line_stride, step, lines, depth, to);
  constexpr bool lanes_of_eight = kLanes >= 8;
  const int64_t lane = order.lane(depth);
  int64_t e = 0;
  if (lanes_of_eight && step == 1) {  // 8 × 8 elements of 8 lines change places
    const From* row[(kWidth + 7) / 8 * 8];
    for (int i = 0; i < (kWidth + 7) / 8 * 8; ++i)
      row[i] = i < lines ? from + i * line_stride : kZeros<From>;
    for (; e + 8 <= depth; e += 8)
      pack_eight<kWidth>(row, e, lane * kWidth, e + 8 + kLanes <= depth,
                         to + (e % kLanes * lane + e / kLanes) * kWidth);
  } else if (line_stride == 1 && lines == kWidth && kWidth % kLanes == 0) {
    for (; e < depth; ++e) {
      float* at = to + (e % kLanes * lane + e / kLanes) * kWidth;
      for (int i = 0; i < kWidth; i += kLanes) store(at + i, load(from + e * step + i));
    }
  }
  for (const int64_t end = order.padded(depth); e < end; ++e) {
    float* at = to + (e % order.lanes * lane + e / order.lanes) * kWidth;
    for (int i = 0; i < kWidth; ++i)
      at[i] = i < lines && e < depth ? widen<float>(from[i * line_stride + e * step]) : 0.f;
  }
}

// `rows` rows of x as floats: copied where they are none, or not beside each other, or where there
// are fewer; the last one is repeated then.
struct FloatRows {
  bool copied;
  Scratch copy;
  const float* x;
  int64_t stride;

  FloatRows(const Linear& l, int64_t rows)
      : copied(l.x.dtype != DType::f32 || l.x.back_stride(1) != 1 || rows != l.m),
        copy(copied ? rows * l.k * sizeof(float) : 64),
        x(copied ? copy.as<float>() : l.x.ptr<const float>()),
        stride(copied ? l.k : l.x.back_stride(2)) {
    if (!copied || !x) return;
    const int64_t step = l.x.back_stride(1);
    with_float(l.x.dtype, [&]<class T>(T) {
      float* to = copy.as<float>();
      for (int64_t r = 0; r < rows; ++r, to += l.k) {
        const T* from = l.x_row<T>(min64(r, l.m - 1));
        for (int64_t i = 0; i < l.k; ++i) to[i] = to_float(from[i * step]);
      }
    });
  }
};

// Columns [begin, end) of out, of few rows of x as floats.
using FewRowsFn = void (*)(const Linear& l, const float* x, int64_t x_stride, int64_t begin,
                           int64_t end);
FewRowsFn few_rows_kernel(DType weight, int64_t m);
// How many rows of x it reads: three rows take the kernel of four.
TL_INLINE int64_t few_rows_read(int64_t m) { return m == 3 ? 4 : m; }

// Bytes of a row of weights.
TL_INLINE int64_t row_bytes(const Linear& l) {
  return l.k / block_of(l.weight.dtype) * bytes_of(l.weight.dtype);
}

// By the number of rows of x; null, or an error.
const char* linear_few_rows(const LinearSeveral& products);  // where takes_few_rows(l) for each
bool takes_few_rows(const Linear& l);
const char* linear_columns(const Linear& l);  // where takes_columns(l)
bool takes_columns(const Linear& l);
const char* linear_some_rows(const Linear& l);  // where takes_some_rows(l)
bool takes_some_rows(const Linear& l);
const char* linear_many_rows(const Linear& l);

}  // namespace tl::TL_ISA
