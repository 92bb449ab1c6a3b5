// `linear` of few rows with int8 activations. Weights are unpacked in registers where the format
// has a kernel for that, else a run of a row at a time into the first-level cache.
#include "int8_rows.h"

#include "int8_linear.h"

namespace tl::TL_ISA {
namespace {

// Unpacked units of any format.
template <int kGroupSize, Form kFormOf>
struct Unpacked {
  static constexpr int kBytes = 32, kUnits = 1, kGroup = kGroupSize, kGroups = 32 / kGroupSize;
  static constexpr Form kForm = kFormOf;
  static constexpr int kShift = kForm == Form::shifted ? 1 : 0;  // whatever is in the activations
  static constexpr bool kMins = kForm == Form::minimum;
  static TL_INLINE const uint8_t* open(const uint8_t* b) { return b; }
  static TL_INLINE b32 values(const uint8_t* b, int) { return load32(b); }
};

template <class F, int kBatch>
void unpacked_run(const uint8_t* w, int64_t count, const float* d, const float* m,
                  const DotActivations& activations, int64_t unit, float* to, int64_t stride) {
  const DotActivations act = activations;  // a copy: it could change with each store to `to`
  run_values<F, kBatch>(w, count, d, m, act, unit, to, stride);
}

template <class F>
RunKernel by_rows(int64_t rows) {
  // Every row by itself; one row, where a set is above another.
  if constexpr (kSmall) return unpacked_run<F, 1>;
#ifdef TL_BELOW
  if (rows == 1) return unpacked_run<F, 1>;
#endif
  return rows == 2 ? unpacked_run<F, 2> : rows == 3 ? unpacked_run<F, 3> : unpacked_run<F, 4>;
}

RunKernel unpacked_kernel(const BlockFormat& f, int64_t rows) {
  const bool halves = f.group == 16;
  if (f.kind == BlockFormat::plain) return by_rows<Unpacked<32, Form::plain>>(rows);
  if (f.kind == BlockFormat::minimum)
    return halves ? by_rows<Unpacked<16, Form::minimum>>(rows)
                  : by_rows<Unpacked<32, Form::minimum>>(rows);
  return halves ? by_rows<Unpacked<16, Form::shifted>>(rows)
                : by_rows<Unpacked<32, Form::shifted>>(rows);
}

// y[c] = Σ values[c·stride + group] · da, over the groups in order, for 8·kTiles columns.
template <int kPer, int kTiles>
void add_groups(const float* values, int64_t stride, const float* da, int64_t groups, float* y) {
  f32x8 acc[kTiles] = {};
  for (int64_t g = 0; g < groups; g += 8) {
    f32x8 column[kTiles][8];
    for (int t = 0; t < kTiles; ++t)
      load_transposed(values + 8 * t * stride + g, stride, column[t]);
    auto add = [&](int i) {
      const f32x8 scale = da[(g + i) / kPer] - f32x8{};
      for (int t = 0; t < kTiles; ++t) acc[t] = fma(column[t][i], scale, acc[t]);
    };
    if (g + 8 <= groups) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) add(i);
    } else {
      for (int i = 0; g + i < groups; ++i) add(i);
    }
  }
  for (int t = 0; t < kTiles; ++t) store_at(y + 8 * t, acc[t]);
}

void add_lines(int per, int columns, const float* values, int64_t stride, const float* da,
               int64_t groups, float* y) {
  auto* add = per == 1      ? columns > 8 ? add_groups<1, 2> : add_groups<1, 1>
              : columns > 8 ? add_groups<2, 2>
                            : add_groups<2, 1>;
  add(values, stride, da, groups, y);
}

// The groups of rows of weights by any format: scales and bytes into the first-level cache first.
struct UnpackedRows {
  const BlockFormat& f;
  const int64_t rows, together;  // of activations, and of one call of the kernel
  const RunKernel kernel;
  const int64_t run = kRunUnits / f.units;  // blocks

  UnpackedRows(const BlockFormat& format, int64_t m)
      : f(format), rows(m), together(kSmall ? 1 : m), kernel(unpacked_kernel(format, m)) {}

  void row(const uint8_t* w, int64_t blocks, const DotActivations& act, float* to,
           int64_t stride) const {
    alignas(64) uint8_t q[kRunUnits * 32];
    alignas(32) float d[2 * kRunUnits + 8], m[2 * kRunUnits + 8];
    for (int64_t b = 0; b < blocks; b += run, w += run * f.bytes) {
      const int64_t here = min64(run, blocks - b);
      f.scales(w, here, d, m);
      f.values(w, here, q);
      for (int64_t a = 0; a < rows; a += together)
        kernel(q, here * f.units, d, m, act.from(a), b * f.units, to + a * stride, stride);
    }
  }
  void operator()(const WeightRows& w, const DotActivations& act, float* to, int64_t stride) const {
    for (int c = 0; c < w.count; ++c)
      row(w.first + c * w.bytes, w.blocks, act, to + c * stride, 16 * stride);
  }
};

template <class T>
void round_row(const BlockFormat& f, const T* x, const DotActivations& a, int64_t row) {
  int8_t* q = a.q_at(row);
  float *d = a.d_at(row), *extra = a.extra_at(row);
  for (int64_t u = 0; u < a.units; ++u, x += 32, q += 32, extra += f.per_unit()) {
    int32_t sums[2];
    d[u] = round_any32(x, q, sums);
    write_extra(f, f.shift, sums, extra, 1);
  }
}

// Floats from one row of weights to the next: groups and a vector, an odd number of vectors, which
// spreads them over the cache.
int64_t line_stride(int64_t groups) { return (groups + 8) / 8 * 8 + 8; }

// `lines` has room for 16 lines for each row of activations and thread.
void decode(const Linear& l, const BlockFormat& f, const DotActivations& act, float* lines) {
  const RowsKernel direct = direct_kernel(l.weight.dtype, l.m);
  const UnpackedRows unpacked(f, l.m);
  const int64_t blocks = l.k / (f.units * 32), row_bytes = l.weight_row(1) - l.weight_row(0);
  const int64_t groups = blocks * f.groups(), stride = line_stride(groups), own = l.m * 16 * stride;
  parallel_for(l.n, decode_grain(l.n, blocks * f.bytes), [&](int64_t begin, int64_t end, int me) {
    float* values = lines + me * own;
    for (int64_t i = begin; i < end; i += 16) {
      const int columns = static_cast<int>(min64(16, end - i));
      const WeightRows w{l.weight_row(i), row_bytes, blocks, columns};
      direct ? direct(w, act, values, stride) : unpacked(w, act, values, stride);
      float y[kDotRows * 16];
      for (int64_t a = 0; a < l.m; ++a)
        add_lines(f.per_unit(), columns, values + a * 16 * stride, stride, act.d_at(a), groups,
                  y + a * 16);
      write_tile(l, 0, l.m, i, columns, y, 16);
    }
  });
}

}  // namespace

const char* linear_int8(const Linear& l, const BlockFormat& f) {
  if (l.m > kDotRows) return int8_many_rows(l, f);
  const int64_t units = l.k / 32, groups = units * f.per_unit();
  // Activations and lines stand side by side: apart, some places were a fifth slower (docs/log.md).
  const size_t used = (DotActivations::bytes(l.m, units, groups) + 63) / 64 * 64;
  Scratch memory(used + l.m * 16 * line_stride(groups) * sizeof(float) * num_threads() + 64);
  if (!memory.as<char>()) return "linear: out of memory";
  DotActivations act(memory.as<char>(), l.m, units, groups);
  with_float(l.x.dtype, [&]<class T>(T) {
    for (int64_t r = 0; r < l.m; ++r) round_row(f, l.x_row<T>(r), act, r);
  });
  decode(l, f, act, reinterpret_cast<float*>(memory.as<char>() + used));
  return nullptr;
}

}  // namespace tl::TL_ISA
