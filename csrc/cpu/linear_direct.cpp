// Small products of floats. Packing both sides, as large ones do, costs them a quarter of their
// time; here rows of a are broadcast from where they lie, and b is read there, too, or packed one
// panel of columns at a time.
#include "linear_direct.h"

#include "linear_order.h"

namespace tl::TL_ISA {
namespace {

// Elements of b, of which a panel stays in L1 and the whole in L2.
constexpr int64_t kMostElements = int64_t{1} << 17;
// Up to this many rows, reading b in place is cheaper than packing it.
constexpr int64_t kRowsInPlace = 144;
constexpr int64_t kGrain = 32768;  // multiplications that repay handing them out

// Where a run of a and of a panel of b lies: the elements of a lane are `a_step` and `b_step`
// apart, its first ones `a_lane` and `b_lane` behind those of the lane before.
struct Run {
  int64_t depth;
  int lanes;
  int64_t a_lane, a_step;
  const float* b;
  int64_t b_lane, b_step;
};

// c (rows × kV vectors) = or += `rows` of the kRows rows of a at `row` · a panel of b, by the order
// of linear_order.h.
template <int kRows, int kV>
void multiply_rows(const Run& run, const float* const* row, int64_t rows, float* c,
                   int64_t c_stride, bool add) {
  for (int j = 0; j < run.lanes; ++j) {
    const int64_t steps = (run.depth - j + run.lanes - 1) / run.lanes;
    const float *a[kRows], *b = run.b + j * run.b_lane;
    for (int i = 0; i < kRows; ++i) a[i] = row[i] + j * run.a_lane;
    vf acc[kRows][kV] = {};
    for (int64_t p = 0, at = 0; p < steps; ++p, at += run.a_step, b += run.b_step) {
      vf y[kV];
      for (int v = 0; v < kV; ++v) y[v] = load(b + v * kLanes);
#pragma GCC unroll 6
      for (int i = 0; i < kRows; ++i) {
        const vf x = a[i][at] - vf{};
        for (int v = 0; v < kV; ++v) acc[i][v] = fma(x, y[v], acc[i][v]);
      }
    }
    const bool more = add || j > 0;
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      if (i >= rows) break;
      for (int v = 0; v < kV; ++v) {
        float* to = c + i * c_stride + v * kLanes;
        store(to, (more ? load(to) : vf{}) + acc[i][v]);
      }
    }
  }
}

// Of `rows` rows, as many as the next tile takes: sixes, and fours where the last six would be
// mostly empty.
int tile_rows(int64_t rows) {
  const int64_t rest = rows % kPanelRows;
  if (rows > 8) return rest == 1 || rest == 2 ? (rows <= 14 ? 4 : 6) : 6;
  return rows == 5 || rows == 6 ? 6 : 4;
}

// Rows [begin, end) of the panel of columns from `column0` on.
void multiply_panel(const Direct& d, const Order& order, int64_t begin, int64_t end,
                    int64_t column0) {
  const int columns = static_cast<int>(min64(kColumns, d.n - column0));
  const bool whole = columns == kColumns,
             in_place = whole && d.b_column == 1 && d.m <= kRowsInPlace;
  alignas(64) float packed[kColumns * Order::kMostRun], tile[kPanelRows * kColumns];
  for (int64_t k0 = 0; k0 < d.k; k0 += order.run) {
    const int64_t depth = min64(order.run, d.k - k0);
    const float* b = d.b + column0 * d.b_column + k0 * d.b_step;
    Run run{depth,    order.lanes,           d.a_step, order.lanes * d.a_step, b,
            d.b_step, order.lanes * d.b_step};
    if (!in_place) {
      pack_run<kColumns>(b, d.b_column, d.b_step, columns, depth, order, packed);
      run.b = packed, run.b_lane = order.lane(depth) * kColumns, run.b_step = kColumns;
    }
    for (int64_t r = begin; r < end;) {
      const int kind = tile_rows(end - r);
      const int64_t rows = min64(kind, end - r);
      const float* row[kPanelRows];
      for (int i = 0; i < kPanelRows; ++i)
        row[i] = d.a + (r + min64(i, rows - 1)) * d.a_row + k0 * d.a_step;
      float* out = d.out + r * d.out_row + column0;
      float* c = whole ? out : tile;
      const int64_t stride = whole ? d.out_row : kColumns;
      if (!whole && k0 > 0)
        for (int64_t i = 0; i < rows; ++i)
          memcpy(tile + i * kColumns, out + i * d.out_row, columns * sizeof(float));
      if (columns <= kLanes)
        multiply_rows<kPanelRows, 1>(run, row, rows, c, stride, k0 > 0);
      else if (kind == kPanelRows)
        multiply_rows<kPanelRows, 2>(run, row, rows, c, stride, k0 > 0);
      else
        multiply_rows<4, 2>(run, row, rows, c, stride, k0 > 0);
      if (!whole)
        for (int64_t i = 0; i < rows; ++i)
          memcpy(out + i * d.out_row, tile + i * kColumns, columns * sizeof(float));
      r += rows;
    }
  }
}

}  // namespace

bool takes_direct(const Direct& d) {
  return d.m > kDotRows && d.n >= kLanes && d.k > 0 && d.k * d.n <= kMostElements &&
         d.b_column == 1;
}

void multiply_direct(const Direct& d) {
  const Order order(d.k);
  const int64_t panels = ceil_div(d.n, kColumns);
  if (d.m * panels * kColumns * d.k <= kGrain) {  // where finding out how to share takes long
    for (int64_t i = 0; i < panels; ++i) multiply_panel(d, order, 0, d.m, i * kColumns);
    return;
  }
  const int64_t chunk = chunk_rows(d.m, panels), chunks = ceil_div(d.m, chunk);
  parallel_for(panels * chunks, max64(1, kGrain / (chunk * kColumns * d.k)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t row = i / panels * chunk;
                   multiply_panel(d, order, row, min64(d.m, row + chunk), i % panels * kColumns);
                 }
               });
}

}  // namespace tl::TL_ISA
