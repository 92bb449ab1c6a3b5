// What products and convolutions of 8-bit integers share: sums without zero points, and their ends.
#pragma once
#include "int8_operands.h"

namespace tl::TL_ISA {

// What becomes of sums: see ops/integer.py. `by_row`: scale, bias are of rows; else of columns.
struct Ends {
  DType dtype = DType::i32;
  const float* scale = nullptr;
  const void* bias = nullptr;  // f32 beside f32, i32 beside bytes
  int64_t scale_step = 0, bias_step = 0;
  bool by_row = false;
  int zero = 0;
  TL_INLINE int64_t itemsize() const { return dtype == DType::i32 || dtype == DType::f32 ? 4 : 1; }
};

// Plain additions GCC 12 would put off until everything is multiplied, and on the stack.
TL_INLINE i32x8 add_now(i32x8 sum, i32x8 x) {
#if TL_ANY_BYTE
  return sum + x;
#else
  typedef long long Longs __attribute__((vector_size(32)));
  return (i32x8)sum_longs((Longs)sum, (Longs)x);
#endif
}
// One step of kRows rows: sums[r][half] += unsigned bytes · signed ones.
template <int kRows>
TL_INLINE void add_step(const uint8_t* w, const uint8_t* q, i32x8 (*sums)[2]) {
  const b32 x[] = {load32(w), load32(w + 32)};
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    int32_t four;
    memcpy(&four, q + 32 * r, 4);
    const b32 a = (b32)(i32x8{} + four);
#pragma GCC unroll 2
    for (int t = 0; t < 2; ++t) sums[r][t] = add_now(sums[r][t], dot4(a, x[t]));
  }
}
template <int kRows>
TL_INLINE void multiply_pairs(const PackedRows& rows, const Panel8& panel, int64_t row,
                              int32_t* c) {
  const uint8_t *w = panel.tiles, *q = rows.bytes_at(row, 0);
  i32x8 sums[kRows][2] = {};
  for (int64_t u = 0; u < rows.units; ++u) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < 8; ++i)
      add_step<kRows>(w + i * kStepBytes, q + u * 32 * kTileRows + 4 * i, sums);
    w += 8 * kStepBytes;
  }
  for (int64_t i = 0; i < panel.extra; ++i, w += kStepBytes)
    add_step<kRows>(w, q + panel.offsets[i], sums);
  memcpy(c, sums, sizeof(sums));
}

// c[r][column] = products of kRows rows with a panel.
template <int kRows>
TL_INLINE void multiply_rows(const PackedRows& rows, const Panel8& panel, int64_t row, int32_t* c) {
  if constexpr (kWords)
    if (rows.pairs) return multiply_pairs<kRows>(rows, panel, row, c);
  ti total[kRows][2] = {};
  for (int64_t u = 0; u < rows.units; ++u) {
    const uint8_t* w = panel.tiles + u * BytesTile::kBytes;
    if constexpr (kWords) {
      wide_dots(std::integral_constant<int, kRows>(), w, panel.tile_step(), rows.at(row, u), total);
    } else {
      ti sums[kRows][2];
      tile_dots<255, 8, kRows>(w, panel.tile_step(), rows.at(row, u), sums);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) total[r][0] += sums[r][0], total[r][1] += sums[r][1];
    }
  }
  memcpy(c, total, sizeof(total));
}

// Where a product's results go: rows `row_step` bytes apart; columns in order, or, with a pitch,
// `width` of every `pitch` of them.
struct Target {
  char* out;
  int64_t row_step, pitch, width;
};

// Columns of a panel that stand side by side in the result.
struct Runs {
  int count = 0;
  int64_t from[kAcross], to[kAcross], length[kAcross];

  Runs(const Target& target, int64_t first, int64_t used) {
    if (target.pitch == 0) {
      add(0, first, used);
      return;
    }
    for (int64_t j = 0; j < used;) {
      const int64_t y = (first + j) / target.pitch, x = (first + j) % target.pitch;
      const int64_t run = min64(target.pitch - x, used - j);
      if (x < target.width) add(j, y * target.width + x, min64(run, target.width - x));
      j += run;
    }
  }
  TL_INLINE void write(char* line, const char* at, int64_t itemsize) const {
    for (int i = 0; i < count; ++i)
      memcpy(line + to[i] * itemsize, at + from[i] * itemsize, length[i] * itemsize);
  }

 private:
  TL_INLINE void add(int64_t source, int64_t at, int64_t n) {
    from[count] = source, to[count] = at, length[count++] = n;
  }
};

// One product: rows × columns, with what its zero points and ends need.
struct Product {
  int64_t n;
  const PackedRows* rows;
  Columns columns;
  const uint8_t* panels;  // of the columns, packed before; or null
  Zeros row_zeros, column_zeros;
  Ends ends;
  Target target;
};

// The rows begin … end - 1 (the first a multiple of kTileRows) with panel `panel` of the columns;
// `scratch` of panel_scratch(units) bytes.
void multiply_panel8(const Product& p, int64_t panel, int64_t begin, int64_t end, char* scratch);
inline size_t panel_scratch(int64_t units) { return units * kUnitBytes + 64; }

}  // namespace tl::TL_ISA
