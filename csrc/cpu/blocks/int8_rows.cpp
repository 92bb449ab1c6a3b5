// `linear` of few rows with int8 activations. Weights are unpacked in registers where the format
// has a kernel for that, else a run of a row at a time into the first-level cache.
#include "int8_rows.h"

#include "int8_interleaved.h"
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

// Of `units` unpacked ones of a tile's rows: y += their products.
constexpr int64_t kRun = 32, kRowBytes = kRun * 32 + 32, kScales = 16 * kRun;
using UnpackedKernel = void (*)(const uint8_t* q, int64_t units, const float* d, const float* m,
                                const DotActivations& act, int64_t unit, float* y);
template <class F, int kBatch>
void unpacked_units(const uint8_t* q, int64_t units, const float* d, const float* m,
                    const DotActivations& activations, int64_t unit, float* y) {
  const DotActivations act = activations;  // a copy: it could change with each store
  constexpr int kCount = kEightsOf<kBatch>;
  EightRows w[kCount];
  for (int e = 0; e < kCount; ++e) w[e] = {q + 8 * e * kRowBytes, kRowBytes};
  f32x8 acc[kBatch > 0 ? kBatch : 1];
  for (int a = 0; a < kBatch; ++a) acc[a] = load_as<f32x8>(y + 16 * a);
  add_blocks<F, kBatch, kScales, false>(w, 0, units, d, m, act, unit, acc, y);
  end_sums<kBatch>(acc, y);
}

template <class F>
UnpackedKernel by_rows(int64_t rows) {
  return rows == 1 ? unpacked_units<F, 1> : rows == 2 ? unpacked_units<F, 2> : unpacked_units<F, 0>;
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
  const UnpackedKernel kernel;
  const int64_t run = max64(1, kRun / f.units);  // blocks

  UnpackedRows(const BlockFormat& format, int64_t rows)
      : f(format), kernel(unpacked_kernel(format, rows)) {}

  template <int kCount>
  void tiles(const WeightRows& rows, const DotActivations& act, float* y) const {
    alignas(64) uint8_t q[8 * kCount * kRowBytes];
    alignas(64) float d[kCount * kScales], m[kCount * kScales];
    each_tile<kCount>(rows, y, act.rows, [&](const EightRows* w, float* to) {
      for (int64_t a = 0; a < act.rows; ++a) memset(to + 16 * a, 0, 8 * kCount * sizeof(float));
      for (int64_t b = 0; b < rows.blocks; b += run) {
        const int64_t here = min64(run, rows.blocks - b), at = b * f.bytes;
        fetch_ahead<8 * kCount>(w[0], at, at, static_cast<int>(here) * f.bytes);
        for (int e = 0; e < kCount; ++e) {
          const EightRows& v = w[e];
          const uint8_t* const eight[] = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
          f.eight_scales(eight, at, here, d + e * kScales, m + e * kScales);
          for (int c = 0; c < 8; ++c) f.values(eight[c] + at, here, q + (8 * e + c) * kRowBytes);
        }
        kernel(q, here * f.units, d, m, act, b * f.units, to);
      }
    });
  }
  void operator()(const WeightRows& rows, const DotActivations& act, float* y) const {
    act.rows > 2 ? tiles<kEights>(rows, act, y) : tiles<1>(rows, act, y);
  }
};

template <class T>
void round_row(const BlockFormat& f, const T* x, const DotActivations& act, int64_t units,
               int64_t row) {
  for (int64_t u = 0; u < units; ++u, x += 32) {
    int32_t sums[2];
    *act.d_at(u, row) = round_any32(x, act.q_at(u, row), sums);
    write_extra(f, shift_of(f), sums, act.extra_at(u, row), act.rows);
  }
}

// What no row before asks for: the first of the rows from `begin` to `end`, of `bytes` each. A
// piece that begins where this thread's last one ended has been asked for.
void fetch_first(const uint8_t* begin, const uint8_t* end, int64_t bytes) {
  static thread_local const uint8_t* last = nullptr;
  const int64_t size = begin == last ? 0 : min64(8 * bytes + kFarAhead, end - begin);
  for (int64_t i = 0; i < size; i += 64) __builtin_prefetch(begin + i, 0, 2);
  last = end;
}

// The rows from `begin` on, of which sixteen are two whole eights.
void eights(const Linear& l, RowsKernel kernel, int64_t blocks, const DotActivations& act,
            int64_t begin, int64_t end) {
  const int64_t bytes = eight_rows_bytes(l.weight.dtype, l.k);
  for (int64_t i = begin; i < end; i += 16) {
    const int columns = static_cast<int>(min64(16, end - i));
    alignas(64) float y[kFewRows * 16];
    kernel({l.eights + i / 8 * bytes, bytes, blocks, columns}, act, y);
    write_tile(l, 0, l.m, i, columns, y, 16);
  }
}

// Columns of the results of few rows, of weights of a dtype and depth.
struct Columns {
  const RowsKernel direct;
  const UnpackedRows unpacked;
  const InterleavedFormat* interleaved;
  const int64_t blocks;

  Columns(const Linear& l, const BlockFormat& f)
      : direct(direct_kernel(l.weight.dtype, l.m)),
        unpacked(f, l.m),
        interleaved(interleaved_format(l.weight.dtype)),
        blocks(l.k / (f.units * 32)) {}

  void operator()(const Linear& l, const DotActivations& act, int64_t begin, int64_t end) const {
    if (l.eights && interleaved)
      return eights(l, act.rows == 1 ? interleaved->one : interleaved->some, blocks, act, begin,
                    end);
    const int64_t row_bytes = l.weight_row(1) - l.weight_row(0);
    fetch_first(l.weight_row(begin), l.weight_row(end), row_bytes);
    for (int64_t i = begin; i < end; i += 16) {
      const int columns = static_cast<int>(min64(16, end - i));
      // Full eights, if the rows before must help out.
      const int again = i >= 8 ? -columns & 7 : 0;
      const WeightRows w{l.weight_row(i - again), row_bytes, blocks, columns + again};
      alignas(32) float y[kFewRows * 16];
      direct ? direct(w, act, y) : unpacked(w, act, y);
      write_tile(l, 0, l.m, i, columns, y + again, 16);
    }
  }
};

}  // namespace

void int8_round_few(const Linear& l, const BlockFormat& f, const DotActivations& act) {
  with_float(l.x.dtype, [&]<class T>(T) {
    for (int64_t r = 0; r < l.m; ++r) round_row(f, l.x_row<T>(r), act, l.k / 32, r);
  });
}

void int8_few_rows(const Linear& l, const BlockFormat& f, const DotActivations& act, int64_t begin,
                   int64_t end) {
  Columns(l, f)(l, act, begin, end);
}

const char* linear_int8(const Linear& l, const BlockFormat& f) {
  return linear_int8_several({&l, 1}, f);
}

const char* linear_int8_several(const LinearSeveral& products, const BlockFormat& f) {
  const Linear& l = products.each[0];
  if (l.m > few_rows(f)) {
    const char* error = nullptr;
    for (int i = 0; !error && i < products.count; ++i) error = int8_many_rows(products.each[i], f);
    return error;
  }
  const int64_t units = l.k / 32;
  Scratch memory(DotActivations::bytes(l.m, units, f.per_unit()));
  if (!memory.as<char>()) return "linear: out of memory";
  const DotActivations act(memory.as<char>(), l.m, units, f.per_unit());
  int8_round_few(l, f, act);
  const Columns columns(l, f);
  share_rows(
      products, columns.blocks * f.bytes,
      [&](const Linear& each, int64_t begin, int64_t end) { columns(each, act, begin, end); });
  return nullptr;
}

}  // namespace tl::TL_ISA
