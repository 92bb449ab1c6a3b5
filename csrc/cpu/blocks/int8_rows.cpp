// `linear` of few rows with int8 activations. Weights are unpacked in registers where the format
// has a kernel for that, else a run of a row at a time into the first-level cache.
#include "int8_rows.h"

#include "int8_linear.h"

namespace tl::TL_ISA {
namespace {

// Unpacked units of any format.
template <int kGroupSize, QuantScheme kSchemeOf>
struct Unpacked {
  static constexpr int kBytes = 32, kUnits = 1, kGroup = kGroupSize, kGroups = 32 / kGroupSize;
  static constexpr QuantScheme kScheme = kSchemeOf;
  static constexpr int kStep = 1, kTop = 128;
  static constexpr int kShift =
      kScheme == QuantScheme::shifted ? 1 : 0;  // whatever is in the activations
  static constexpr bool kMins = kScheme == QuantScheme::minimum;
  static TL_INLINE b32 half(const uint8_t* a, const uint8_t* b, int, int, int h) {
    return join16(a + 16 * h, b + 16 * h);
  }
};

// Of `units` unpacked ones of eight rows: acc += 8 columns for each row of activations.
using UnpackedKernel = void (*)(const EightRows& w, int64_t units, const float* d, const float* m,
                                const DotActivations& act, int64_t unit, float* acc);
template <class F, int kBatch>
void unpacked_units(const EightRows& w, int64_t units, const float* d, const float* m,
                    const DotActivations& activations, int64_t unit, float* y) {
  const DotActivations act = activations;  // a copy: it could change with each store
  f32x8 acc[kBatch];
  for (int a = 0; a < kBatch; ++a) acc[a] = load_as<f32x8>(y + 16 * a);
  add_blocks<F, kBatch, false>(w, 0, units, d, m, act, unit, acc);
  for (int a = 0; a < kBatch; ++a) store_at(y + 16 * a, acc[a]);
}

template <class F>
UnpackedKernel by_rows(int64_t rows) {
  if constexpr (kSmall) return unpacked_units<F, 1>;  // every row by itself
  return rows == 1 ? unpacked_units<F, 1> : rows == 2 ? unpacked_units<F, 2> : unpacked_units<F, 4>;
}

UnpackedKernel unpacked_kernel(const BlockFormat& f, int64_t rows) {
  const bool halves = f.group == 16;
  if (f.kind == BlockFormat::plain) return by_rows<Unpacked<32, QuantScheme::plain>>(rows);
  if (f.kind == BlockFormat::minimum)
    return halves ? by_rows<Unpacked<16, QuantScheme::minimum>>(rows)
                  : by_rows<Unpacked<32, QuantScheme::minimum>>(rows);
  return halves ? by_rows<Unpacked<16, QuantScheme::shifted>>(rows)
                : by_rows<Unpacked<32, QuantScheme::shifted>>(rows);
}

// A RowsKernel for any format: scales and bytes go into the first-level cache first.
struct UnpackedRows {
  const BlockFormat& f;
  const int64_t rows, together;  // of activations, and of one call of the kernel
  const UnpackedKernel kernel;
  static constexpr int64_t kRun = 32, kRowBytes = kRun * 32 + 32;
  const int64_t run = max64(1, kRun / f.units);  // blocks

  UnpackedRows(const BlockFormat& format, int64_t m)
      : f(format), rows(m), together(kSmall ? 1 : m), kernel(unpacked_kernel(format, m)) {}

  void eight(const EightRows& w, int64_t blocks, const DotActivations& act, float* y) const {
    alignas(64) uint8_t q[8 * kRowBytes];
    alignas(32) float d[16 * kRun], m[16 * kRun];
    const EightRows unpacked({q, kRowBytes, run * f.units, 8}, 0);
    for (int64_t a = 0; a < rows; ++a) store_at(y + 16 * a, f32x8{});
    for (int64_t b = 0; b < blocks; b += run) {
      const int64_t here = min64(run, blocks - b), at = b * f.bytes;
      f.eight_scales(w.row, at, here, d, m);
      w.fetch_ahead(at, static_cast<int>(here) * f.bytes);
      for (int c = 0; c < 8; ++c) f.values(w.row[c] + at, here, q + c * kRowBytes);
      for (int64_t a = 0; a < rows; a += together)
        kernel(unpacked, here * f.units, d, m, act.from(a), b * f.units, y + 16 * a);
    }
  }
  void operator()(const WeightRows& w, const DotActivations& act, float* y) const {
    for (int c = 0; c < w.count; c += 8) eight({w, c}, w.blocks, act, y + c);
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

// What no row before asks for: the first rows of `bytes` bytes.
void fetch_first(const uint8_t* first, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(first + i, 0, 2);
}

// `rows` of activations are computed, l.m of them written.
void decode(const Linear& l, const BlockFormat& f, const DotActivations& act, int64_t rows) {
  const RowsKernel direct = direct_kernel(l.weight.dtype, rows);
  const UnpackedRows unpacked(f, rows);
  const int64_t blocks = l.k / (f.units * 32), row_bytes = l.weight_row(1) - l.weight_row(0);
  parallel_for(l.n, decode_grain(l.n, blocks * f.bytes), [&](int64_t begin, int64_t end, int) {
    if (row_bytes < EightRows::kLongRow)
      fetch_first(l.weight_row(begin),
                  min64(8 * row_bytes + EightRows::kFarAhead, (end - begin) * row_bytes));
    for (int64_t i = begin; i < end; i += 16) {
      const int columns = static_cast<int>(min64(16, end - i));
      const WeightRows w{l.weight_row(i), row_bytes, blocks, columns};
      alignas(32) float y[kDotRows * 16];
      direct ? direct(w, act, y) : unpacked(w, act, y);
      write_tile(l, 0, l.m, i, columns, y, 16);
    }
  });
}

}  // namespace

const char* linear_int8(const Linear& l, const BlockFormat& f) {
  if (l.m > kDotRows) return int8_many_rows(l, f);
  // Three rows take the kernels of four: the last one twice.
  const int64_t rows = l.m == 3 && !kSmall ? 4 : l.m;
  const int64_t units = l.k / 32, groups = units * f.per_unit();
  Scratch memory(DotActivations::bytes(rows, units, groups));
  if (!memory.as<char>()) return "linear: out of memory";
  DotActivations act(memory.as<char>(), rows, units, groups);
  with_float(l.x.dtype, [&]<class T>(T) {
    for (int64_t r = 0; r < rows; ++r) round_row(f, l.x_row<T>(min64(r, l.m - 1)), act, r);
  });
  decode(l, f, act, rows);
  return nullptr;
}

}  // namespace tl::TL_ISA
