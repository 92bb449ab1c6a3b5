// `linear` with float activations (`exact`): weights of any float or block dtype, converted a panel
// at a time.
#include "blocks/fp8.h"
#include "gemm_linear.h"

namespace tl::TL_ISA {
namespace {

// The plain dtypes of weights: f(T{}).
template <class F>
TL_INLINE bool with_plain(DType dtype, F f) {
  if (dtype == DType::f8e4m3) return f(F8E4M3{}), true;
  if (dtype == DType::f8e5m2) return f(F8E5M2{}), true;
  return with_float(dtype, f);
}

// --- few rows: dot products, weights converted in registers or through a small buffer
// ----------------------------------

// y[a·kRows + r] += Σ w[r][i]·x[a][i]
template <int kRows, int kBatch, class T>
TL_INLINE void dot_floats(const T* const* w, const float* x, int64_t x_stride, int64_t k,
                          float* y) {
  constexpr int kChains = kRows * kBatch >= 4 ? 1 : 2;
  vf acc[kRows][kBatch][kChains] = {};
  int64_t i = 0;
  for (; i + kChains * kLanes <= k; i += kChains * kLanes) {
    for (int chain = 0; chain < kChains; ++chain) {
      int64_t at = i + chain * kLanes;
      for (int r = 0; r < kRows; ++r) {
        vf v = load(w[r] + at);
        for (int a = 0; a < kBatch; ++a)
          acc[r][a][chain] = fma(v, load(x + a * x_stride + at), acc[r][a][chain]);
      }
    }
  }
  for (; i < k; i += kLanes) {
    int rest = static_cast<int>(min64(kLanes, k - i));
    for (int r = 0; r < kRows; ++r) {
      vf v = load_part(w[r] + i, rest);
      for (int a = 0; a < kBatch; ++a)
        acc[r][a][0] = fma(v, load_part(x + a * x_stride + i, rest), acc[r][a][0]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int a = 0; a < kBatch; ++a) {
      vf total = acc[r][a][0];
      if constexpr (kChains == 2) total = total + acc[r][a][1];
      y[a * kRows + r] += sum(total);
    }
  }
}

template <int kBatch, class T>
void decode_floats(const Linear& l, const float* x, int64_t x_stride) {
  constexpr int kRows = kBatch == 1 ? 4 : 2;
  int64_t stride = l.weight.back_stride(2);
  parallel_for(l.n, decode_grain(l.n, l.k * sizeof(T)), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i += kRows) {
      int rows = static_cast<int>(min64(kRows, end - i));
      const T* w[kRows];
      for (int r = 0; r < kRows; ++r)
        w[r] = l.weight.ptr<const T>() + (i + (r < rows ? r : 0)) * stride;
      float y[kRows * kBatch] = {};
      dot_floats<kRows, kBatch>(w, x, x_stride, l.k, y);
      write_tile(l, 0, kBatch, i, rows, y, kRows);
    }
  });
}

template <int kBatch>
void decode_blocks(const Linear& l, const BlockKernels& kernels, const float* x, int64_t x_stride) {
  constexpr int64_t kFloats = 1024;  // 4 KB, which stay in L1
  const int64_t block = block_of(l.weight.dtype), bytes = bytes_of(l.weight.dtype);
  const int64_t step = kFloats / block, blocks = l.k / block;
  parallel_for(l.n, decode_grain(l.n, blocks * bytes), [&](int64_t begin, int64_t end, int) {
    alignas(64) float buffer[kFloats];
    const float* w[1] = {buffer};
    for (int64_t i = begin; i < end; ++i) {
      float y[kBatch] = {};
      for (int64_t b = 0; b < blocks; b += step) {
        int64_t run = min64(step, blocks - b);
        kernels.unpack(l.weight_row(i) + b * bytes, run, buffer);
        dot_floats<1, kBatch>(w, x + b * block, x_stride, run * block, y);
      }
      write_tile(l, 0, kBatch, i, 1, y, 1);
    }
  });
}

template <int kBatch>
void decode(const Linear& l, const float* x, int64_t x_stride) {
  with_plain(l.weight.dtype, [&]<class T>(T) { decode_floats<kBatch, T>(l, x, x_stride); }) ||
      (decode_blocks<kBatch>(l, *block_kernels(l.weight.dtype), x, x_stride), true);
}

const char* few_rows(const Linear& l) {
  const float* x = l.x.ptr<const float>();
  int64_t stride = l.x.back_stride(2);
  Scratch copy(l.x.dtype == DType::f32 ? 64 : l.m * l.k * sizeof(float));
  if (l.x.dtype != DType::f32) {
    float* to = copy.as<float>();
    if (!to) return "linear: out of memory";
    with_float(l.x.dtype, [&]<class T>(T) {
      for (int64_t r = 0; r < l.m; ++r) {
        for (int64_t i = 0; i < l.k; ++i) to[r * l.k + i] = to_float(l.x_row<T>(r)[i]);
      }
    });
    x = to;
    stride = l.k;
  }
  switch (l.m) {
    case 1:
      decode<1>(l, x, stride);
      break;
    case 2:
      decode<2>(l, x, stride);
      break;
    case 3:
      decode<3>(l, x, stride);
      break;
    default:
      decode<4>(l, x, stride);
  }
  return nullptr;
}

// --- many rows: GEMM
// ---------------------------------------------------------------------------------------------------------

// Packs a panel of 16 weight rows, elements k0 … k0 + depth, as floats. Block dtypes go through
// `rows`, 16 × kDepth floats.
constexpr int kColumns = kPanelColumns<float>;

template <class T>
struct FloatWeights {
  static constexpr int64_t kBuffer = 0;
  static void pack(const Linear& l, int64_t column0, int columns, int64_t k0, int64_t depth, float*,
                   float* to) {
    int64_t stride = l.weight.back_stride(2), step = l.weight.back_stride(1);
    pack_panel<kColumns>(l.weight.ptr<const T>() + column0 * stride + k0 * step, stride, step,
                         columns, depth, to);
  }
};

struct BlockWeights {
  static constexpr int64_t kBuffer = kColumns * kDepth;
  static void pack(const Linear& l, int64_t column0, int columns, int64_t k0, int64_t depth,
                   float* rows, float* to) {
    const int64_t block = block_of(l.weight.dtype), bytes = bytes_of(l.weight.dtype);
    const BlockKernels& kernels = *block_kernels(l.weight.dtype);
    for (int c = 0; c < columns; ++c) {
      kernels.unpack(l.weight_row(column0 + c) + k0 / block * bytes, depth / block,
                     rows + c * depth);
    }
    pack_panel<kColumns>(static_cast<const float*>(rows), depth, int64_t{1}, columns, depth, to);
  }
};

// Column panels that pass by a slab of A (chunk × kDepth) while it is in L2. One after the other
// over the whole depth, they would read A from L3 as often as there are panels: 60% of the FMA peak
// where this is 80%.
constexpr int kTogether = 8;

inline int panels_together(int64_t column_panels, int64_t chunks) {
  int together = kTogether;
  while (together > 1 && ceil_div(column_panels, together) * chunks < 4 * num_threads())
    together /= 2;
  return together;
}

// The tiles of `panels` column panels and `rows` packed rows from `a` on, one behind the other in
// c.
template <class W>
void multiply_panels(const Linear& l, const float* a, int64_t rows, int64_t column0, int panels,
                     float* b, float* buffer, float* c, int64_t c_stride) {
  for (int64_t k0 = 0; k0 < l.k; k0 += kDepth) {
    int64_t depth = min64(kDepth, l.k - k0);
    for (int p = 0; p < panels; ++p) {
      int64_t column = column0 + p * kColumns;
      W::pack(l, column, static_cast<int>(min64(kColumns, l.n - column)), k0, depth, buffer, b);
      for (int64_t r = 0; r < rows; r += kPanelRows)
        gemm_micro<float>(depth, a + r * l.k + k0 * kPanelRows, b, c + p * c_stride + r * kColumns,
                          k0 > 0);
    }
  }
  if (l.k == 0) memset(c, 0, panels * c_stride * sizeof(float));
}

template <class W>
const char* many_rows(const Linear& l) {
  int64_t column_panels = ceil_div(l.n, kColumns), chunk = chunk_rows(l.m, column_panels);
  // The packed copy of a very tall x is made in parts of some 16 MB.
  int64_t part = min64(l.m, max64(1, (int64_t{4} << 20) / (max64(1, l.k) * chunk)) * chunk);
  int together = panels_together(column_panels, ceil_div(part, chunk));
  int64_t groups = ceil_div(column_panels, together), c_stride = chunk * kColumns;
  size_t own = together * c_stride + kDepth * kColumns + W::kBuffer + 16;  // floats
  Scratch packed(packed_rows_size(part, l.k) * sizeof(float) + 64),
      scratch(own * sizeof(float) * num_threads());
  if (!packed.as<char>() || !scratch.as<char>()) return "linear: out of memory";
  for (int64_t row0 = 0; row0 < l.m; row0 += part) {
    int64_t rows = min64(part, l.m - row0);
    with_float(l.x.dtype, [&]<class T>(T) {
      parallel_for(ceil_div(rows, kPanelRows), max64(1, 8192 / max64(1, l.k)),
                   [&](int64_t begin, int64_t end, int) {
                     for (int64_t p = begin; p < end; ++p) {
                       int lines = static_cast<int>(min64(kPanelRows, rows - p * kPanelRows));
                       pack_panel<kPanelRows>(l.x_row<T>(row0 + p * kPanelRows), l.x.back_stride(2),
                                              l.x.back_stride(1), lines, l.k,
                                              packed.as<float>() + p * kPanelRows * l.k);
                     }
                   });
    });
    parallel_for(groups * ceil_div(rows, chunk), 1, [&](int64_t begin, int64_t end, int worker) {
      float *c = scratch.as<float>() + worker * own, *b = c + together * c_stride,
            *buffer = b + kDepth * kColumns;
      for (int64_t i = begin; i < end; ++i) {
        int64_t first = i / groups * chunk, panel0 = i % groups * together;
        int64_t here = min64(chunk, rows - first), column0 = panel0 * kColumns;
        int panels = static_cast<int>(min64(together, column_panels - panel0));
        multiply_panels<W>(l, packed.as<float>() + first * l.k, here, column0, panels, b, buffer, c,
                           c_stride);
        for (int p = 0; p < panels; ++p) {
          int64_t column = column0 + p * kColumns;
          write_tile(l, row0 + first, here, column, static_cast<int>(min64(kColumns, l.n - column)),
                     c + p * c_stride, kColumns);
        }
      }
    });
  }
  return nullptr;
}

}  // namespace

const char* linear_float(const Linear& l) {
  bool known = with_plain(l.weight.dtype, [](auto) {}) || block_kernels(l.weight.dtype);
  if (!known) return "linear: no kernel for this weight dtype";
  bool whole = l.weight.back_stride(1) == 1 && l.x.back_stride(1) == 1;
  if (l.m <= kDotRows && whole && l.k > 0) return few_rows(l);
  const char* error = nullptr;
  with_plain(l.weight.dtype, [&]<class T>(T) { error = many_rows<FloatWeights<T>>(l); }) ||
      (error = many_rows<BlockWeights>(l), true);
  return error;
}

}  // namespace tl::TL_ISA
