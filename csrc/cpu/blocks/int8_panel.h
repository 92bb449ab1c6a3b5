// Many rows: panels of 8 to 32 columns of weights are unpacked into cache once and multiplied with
// all rows.
#pragma once
#include "../gemm_linear.h"
#include "../simd/int8_tile.h"
#include "unpack.h"

namespace tl::TL_ISA {

// The tile of a format: masked weights become unsigned by a shift, plain ones take 16 bits.
template <class F>
struct TileFormat {
  static constexpr bool kPlain = F::kForm == Form::plain, kMasked = F::kForm == Form::masked;
  static constexpr int kShift = kMasked ? -F::kTop : F::kShift;
  static constexpr int kTop = kPlain ? 255 : kMasked ? 2 * F::kTop : F::kTop;
  static constexpr Extra kExtra = F::kMins      ? Extra::minimum
                                  : kShift != 0 ? Extra::shift
                                                : Extra::none;
  typedef Tile<kTop, F::kGroup, kExtra> Type;

  template <class B>
  static TL_INLINE b32 values(const B& block, int unit) {
    b32 w = F::values(block, unit);
    if constexpr (kMasked) w = add32(negate32(w, F::mask(block, unit)), splat32(-kShift));
    return w;
  }
};

// Rounded activations of `rows` rows in chunks of `chunk` rows. In a chunk the rows of one unit of
// 32 lie side by side, as the tile kernel reads them.
template <class F>
struct PanelActivations {
  typedef typename TileFormat<F>::Type T;
  typedef typename T::Activation Q;
  static constexpr int kPer = 32 / F::kGroup;
  static constexpr bool kExtra = TileFormat<F>::kExtra != Extra::none;
  Q* q;
  float *d, *extra;
  int64_t chunk, units;

  static size_t bytes(int64_t rows, int64_t chunk, int64_t units) {
    int64_t all = ceil_div(rows, chunk) * chunk * units;
    return all * (32 * sizeof(Q) + sizeof(float) * (1 + (kExtra ? kPer : 0)));
  }
  PanelActivations(void* memory, int64_t rows, int64_t chunk_, int64_t units_)
      : chunk(chunk_), units(units_) {
    int64_t all = ceil_div(rows, chunk) * chunk * units;
    q = static_cast<Q*>(memory);
    d = reinterpret_cast<float*>(q + all * 32);
    extra = d + all;
  }
  typename T::Rows rows_of(int64_t c, int64_t unit, int count) const {
    int64_t at = (c * units + unit) * chunk;
    return {q + at * 32, d + at, extra + at * kPer, chunk, count};
  }

  template <class X>
  void round_row(const X* x, int64_t row) const {
    int64_t at = row / chunk * units * chunk + row % chunk;
    for (int64_t u = 0; u < units; ++u, x += 32, at += chunk) {
      int32_t sums[2];
      alignas(32) int8_t narrow[32];
      d[at] = round_any32(x, narrow, sums);
      for (int i = 0; i < 32; ++i) q[at * 32 + i] = narrow[i];
      if constexpr (!kExtra) continue;
      for (int g = 0; g < kPer; ++g) {
        int32_t total = kPer == 1 ? sums[0] + sums[1] : sums[g];
        float* to = extra + (at - row % chunk) * kPer + g * chunk + row % chunk;
        if constexpr (F::kMins) {
          *to = static_cast<float>(total);
        } else {
          total *= TileFormat<F>::kShift;
          memcpy(to, &total, 4);
        }
      }
    }
  }
};

// Up to 4 × 8 columns of weights, unpacked: tiles, and 8 scales (and minima) to a group.
template <class F>
struct Panel {
  typedef typename TileFormat<F>::Type T;
  static constexpr int kTiles = 4;
  uint8_t* tiles;
  float *d, *m, *row;  // m only with minima; row: room for one column's scales and minima
  int64_t blocks;

  static int64_t groups(int64_t blocks) { return blocks * F::kGroups + 8; }
  static size_t bytes(int64_t blocks) {
    size_t floats = groups(blocks) * (kTileColumns * kTiles + 1) * (F::kMins ? 2 : 1);
    return kTiles * blocks * F::kUnits * T::kBytes + floats * sizeof(float);
  }
  Panel(void* memory, int64_t blocks_) : blocks(blocks_) {
    tiles = static_cast<uint8_t*>(memory);
    d = reinterpret_cast<float*>(tiles + kTiles * blocks * F::kUnits * T::kBytes);
    m = d + groups(blocks) * kTileColumns * kTiles;
    row = m + (F::kMins ? groups(blocks) * kTileColumns * kTiles : 0);
  }
  const uint8_t* tile_at(int tile, int64_t unit) const {
    return tiles + (tile * blocks * F::kUnits + unit) * T::kBytes;
  }
  int64_t scale_at(int tile, int64_t group) const {
    return (tile * groups(blocks) + group) * kTileColumns;
  }

  void fill(const Linear& l, int tile, int64_t column0, int columns) {
    const uint8_t* w[kTileColumns];
    int64_t count = blocks * F::kGroups;
    float *dr = row, *mr = row + groups(blocks), *dt = d + scale_at(tile, 0),
          *mt = m + scale_at(tile, 0);
    for (int c = 0; c < kTileColumns; ++c) {
      // A missing column repeats the last one; its results are not written.
      w[c] = l.weight_row(column0 + (c < columns ? c : columns - 1));
      scales_of<F>(w[c], blocks, dr, mr);
      for (int64_t g = 0; g < count; ++g) {
        dt[g * 8 + c] = dr[g];
        if constexpr (F::kMins) mt[g * 8 + c] = mr[g];
      }
    }
    uint8_t* to = tiles + tile * blocks * F::kUnits * T::kBytes;
    for (int64_t b = 0; b < blocks; ++b) {
      decltype(F::open(nullptr)) block[kTileColumns];
      for (int c = 0; c < kTileColumns; ++c) block[c] = F::open(w[c] + b * F::kBytes);
#pragma GCC unroll 8
      for (int unit = 0; unit < F::kUnits; ++unit, to += T::kBytes) {
        b32 v[kTileColumns];
        for (int c = 0; c < kTileColumns; ++c) v[c] = TileFormat<F>::values(block[c], unit);
        T::pack(v, to);
      }
    }
  }
};

// How the rows and columns are cut: a panel of `tiles` tiles is unpacked once for a group of rows,
// which pass by in chunks of `rows`. Every thread should get several panels.
struct PanelCut {
  int64_t rows, group;
  int tiles;
};
inline PanelCut panel_cut(int64_t m, int64_t n) {
  PanelCut cut{min64(m, 256), m, 4};
  auto work = [&] {
    return ceil_div(m, cut.group) * ceil_div(n, int64_t{cut.tiles} * kTileColumns);
  };
  while (cut.tiles > 1 && work() < 4 * num_threads()) cut.tiles /= 2;
  while (cut.group > 32 && work() < 4 * num_threads()) cut.group = (cut.group + 1) / 2;
  cut.rows = min64(cut.rows, cut.group);
  cut.group = cut.group / cut.rows * cut.rows;
  return cut;
}

// The rows of a group times one panel.
template <class F>
void multiply_panel(const Linear& l, const PanelActivations<F>& act, const Panel<F>& panel,
                    int64_t row0, int64_t column0, int64_t begin, int64_t end, int used, float* c) {
  typedef typename TileFormat<F>::Type T;
  for (int64_t first = begin; first < end; first += act.chunk) {
    int here = static_cast<int>(min64(act.chunk, end - first));
    memset(c, 0, used * here * kTileColumns * sizeof(float));
    for (int64_t u = 0; u < act.units; ++u) {
      const typename T::Rows part = act.rows_of(first / act.chunk, u, here);
      for (int t = 0; t < used; ++t) {
        int64_t at = panel.scale_at(t, u * T::kGroups);
        T::times_rows(panel.tile_at(t, u), panel.d + at, panel.m + at, part,
                      c + t * here * kTileColumns);
      }
    }
    for (int t = 0; t < used; ++t, column0 += kTileColumns) {
      write_tile(l, row0 + first, here, column0,
                 static_cast<int>(min64(kTileColumns, l.n - column0)), c + t * here * kTileColumns,
                 kTileColumns);
    }
    column0 -= used * kTileColumns;
  }
}

template <class F>
const char* multiply(const Linear& l, int64_t row0, int64_t rows, const PanelActivations<F>& act,
                     const PanelCut& cut) {
  int64_t blocks = l.k / block_of(F::kDType), width = int64_t{cut.tiles} * kTileColumns;
  int64_t panels = ceil_div(l.n, width), groups = ceil_div(rows, cut.group);
  size_t panel_bytes = (Panel<F>::bytes(blocks) + 63) / 64 * 64,
         c_bytes = act.chunk * width * sizeof(float);
  Scratch scratch(num_threads() * (panel_bytes + c_bytes));
  if (!scratch.as<char>()) return "linear: out of memory";
  parallel_for(panels * groups, 1, [&](int64_t begin, int64_t end, int worker) {
    char* mine = scratch.as<char>() + worker * (panel_bytes + c_bytes);
    Panel<F> panel(mine, blocks);
    float* c = reinterpret_cast<float*>(mine + panel_bytes);
    for (int64_t i = begin; i < end; ++i) {
      int64_t group = i / panels, column0 = i % panels * width;
      int used = static_cast<int>(ceil_div(min64(width, l.n - column0), kTileColumns));
      for (int t = 0; t < used; ++t) {
        int64_t column = column0 + t * kTileColumns;
        panel.fill(l, t, column, static_cast<int>(min64(kTileColumns, l.n - column)));
      }
      multiply_panel<F>(l, act, panel, row0, column0, group * cut.group,
                        min64(rows, (group + 1) * cut.group), used, c);
    }
  });
  return nullptr;
}

template <class F>
const char* prefill_rows(const Linear& l) {
  typedef PanelActivations<F> Rounded;
  PanelCut cut = panel_cut(l.m, l.n);
  int64_t units = l.k / 32;
  // The rounded copy of a very tall x is made in parts of some 16 MB.
  int64_t part = max64(1, (int64_t{16} << 20) / (l.k * cut.rows)) * cut.rows;
  Scratch memory(Rounded::bytes(min64(part, l.m), cut.rows, units));
  if (!memory.as<char>()) return "linear: out of memory";
  for (int64_t row0 = 0; row0 < l.m; row0 += part) {
    int64_t rows = min64(part, l.m - row0);
    Rounded act(memory.as<char>(), rows, cut.rows, units);
    with_float(l.x.dtype, [&]<class X>(X) {
      // About 0.2 ns an element: a thread should have some 10 µs of it.
      parallel_for(rows, max64(1, 65536 / l.k), [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) act.round_row(l.x_row<X>(row0 + r), r);
      });
    });
    if (const char* error = multiply<F>(l, row0, rows, act, cut)) return error;
  }
  return nullptr;
}

}  // namespace tl::TL_ISA
