// Many rows: panels of two or four tiles of columns of weights are unpacked into cache once and
// multiplied with all rows.
#include "int8_interleaved.h"
#include "int8_linear.h"
#include "int8_rows.h"

namespace tl::TL_ISA {
namespace {

// Signed weights of 8 bits become unsigned by a shift, or take 16 bits where products do not take
// any byte.
bool wide(const BlockFormat& f) { return f.kind == BlockFormat::plain && !kAnyByte; }
using WideTile = Tile<255, 32, Extra::none, !kAnyByte>;

// Rounded activations, kTileRows rows side by side: one unit of 32 of each, then the next unit, as
// the tile kernel reads them. Rows that are missing at the end repeat the last one.
struct PanelActivations {
  const BlockFormat& f;
  int8_t* q;  // or int16_t
  float *d, *extra;
  int64_t units;

  static int64_t padded(int64_t rows) { return ceil_div(rows, kTileRows) * kTileRows; }
  static size_t bytes(const BlockFormat& f, int64_t rows, int64_t units) {
    const int64_t all = padded(rows) * units;
    return all * (wide(f) ? 64 : 32) + all * sizeof(float) * (1 + f.per_unit());
  }
  PanelActivations(const BlockFormat& format, void* memory, int64_t rows, int64_t units_)
      : f(format), units(units_) {
    const int64_t all = padded(rows) * units;
    q = static_cast<int8_t*>(memory);
    d = reinterpret_cast<float*>(q + all * (wide(f) ? 64 : 32));
    extra = d + all;
  }
  // From row `row` on, which is even.
  template <class T>
  typename T::Rows rows_at(int64_t row, int64_t unit) const {
    const int64_t across = row % kTileRows, at = (row - across) * units + unit * kTileRows;
    return {reinterpret_cast<const typename T::Activation*>(q) + (at + across) * 32,
            d + at + across, extra + at * f.per_unit() + across};
  }

  template <class X>
  void round_row(const X* x, int64_t row) const {
    const int64_t across = row % kTileRows;
    int64_t at = (row - across) * units;
    for (int64_t u = 0; u < units; ++u, x += 32, at += kTileRows) {
      int32_t sums[2];
      alignas(32) int8_t narrow[32];
      d[at + across] = round_any32(x, wide(f) ? narrow : q + (at + across) * 32, sums);
      if (wide(f)) {
        auto* to = reinterpret_cast<int16_t*>(q) + (at + across) * 32;
        const i16x16 a = signed16(load_as<b16>(narrow)), b = signed16(load_as<b16>(narrow + 16));
        store_at(to, a), store_at(to + 16, b);
        const int32_t own = WideTile::own_products(a, b);
        memcpy(extra + at + across, &own, 4);
      } else {
        write_extra(f, shift_of(f), sums, extra + at * f.per_unit() + across, kTileRows);
      }
    }
  }
};

// Pairs of tiles of columns of weights, unpacked: tiles, and a tile's scales (and minima) to a
// group.
struct Panel {
  static constexpr int kTiles = kTileColumns > 8 ? 2 : 4;
  static constexpr int kUnits = 8;  // unpacked at once
  const BlockFormat& f;
  const InterleavedFormat* interleaved;  // or null
  uint8_t* tiles;
  // m only with minima, or own_products; eight: room for scales and minima of eight columns.
  float *d, *m, *eight;
  int64_t blocks;

  static int64_t groups(const BlockFormat& f, int64_t blocks) { return blocks * f.groups() + 8; }
  static int64_t tile_bytes(const BlockFormat& f) { return 32 * kTileColumns * (wide(f) ? 2 : 1); }
  static size_t bytes(const BlockFormat& f, int64_t blocks) {
    const size_t floats = groups(f, blocks) * (kTileColumns * kTiles + 8) * 2;
    return kTiles * blocks * f.units * tile_bytes(f) + floats * sizeof(float);
  }
  Panel(const BlockFormat& format, DType dtype, void* memory, int64_t blocks_)
      : f(format), interleaved(interleaved_format(dtype)), blocks(blocks_) {
    tiles = static_cast<uint8_t*>(memory);
    d = reinterpret_cast<float*>(tiles + kTiles * blocks * f.units * tile_bytes(f));
    m = d + groups(f, blocks) * kTileColumns * kTiles;
    eight = m + groups(f, blocks) * kTileColumns * kTiles;
  }
  const uint8_t* tile_at(int tile, int64_t unit) const {
    return tiles + (tile * blocks * f.units + unit) * tile_bytes(f);
  }
  int64_t scale_at(int tile, int64_t group) const {
    return (tile * groups(f, blocks) + group) * kTileColumns;
  }

  // A missing column repeats the last one; its results are not written. `columns` may be 0, or
  // less.
  void fill(const Linear& l, int tile, int64_t column0, int columns) {
    if (l.eights && interleaved) return fill_eights(l, tile, column0);
    const uint8_t* w[kTileColumns];
    for (int c = 0; c < kTileColumns; ++c)
      w[c] = l.weight_row(column0 + (c < columns ? c : columns - 1));
    fill_scales(w, tile);
    uint8_t* to = tiles + tile * blocks * f.units * tile_bytes(f);
    const int64_t run = f.units < kUnits ? kUnits / f.units : 1;  // blocks
    alignas(64) uint8_t q[8][kUnits * 32];
    for (int column = 0; f.words && column < kTileColumns; column += 8)
      f.words(w + column, blocks, 4 * kTileColumns, to + 4 * column);
    for (int64_t b = 0; b < blocks && !f.words; b += run) {
      const int64_t here = min64(run, blocks - b);
      for (int column = 0; column < kTileColumns; column += 8) {
        for (int c = 0; c < 8; ++c) f.values(w[column + c] + b * f.bytes, here, q[c]);
        for (int64_t unit = 0; unit < here * f.units; ++unit)
          pack(q, unit, column, to + (b * f.units + unit) * tile_bytes(f));
        for (int64_t unit = b * f.units; wide(f) && unit < (b + here) * f.units; ++unit)
          store_at(m + scale_at(tile, unit), WideTile::own_products(to + unit * tile_bytes(f)));
      }
    }
  }

 private:
  // Columns that are missing repeat the last eight.
  void fill_eights(const Linear& l, int tile, int64_t column0) {
    uint8_t* to = tiles + tile * blocks * f.units * tile_bytes(f);
    for (int column = 0; column < kTileColumns; column += 8) {
      const int64_t eight = min64(column0 + column, l.n - 1) / 8;
      const int64_t scale = scale_at(tile, 0) + column;
      interleaved->panel(l.eights + eight * eight_rows_bytes(l.weight.dtype, l.k), blocks,
                         to + 4 * column, d + scale, m + scale);
    }
    for (int64_t unit = 0; wide(f) && unit < blocks * f.units; ++unit)
      store_at(m + scale_at(tile, unit), WideTile::own_products(to + unit * tile_bytes(f)));
  }
  void fill_scales(const uint8_t* const* w, int tile) {
    const int64_t count = blocks * f.groups();
    float *dt = d + scale_at(tile, 0), *mt = m + scale_at(tile, 0);
    if (kTileColumns == 8) return f.eight_scales(w, 0, blocks, dt, mt);
    float* minima = eight + 8 * groups(f, blocks);
    for (int column = 0; column < kTileColumns; column += 8) {
      f.eight_scales(w + column, 0, blocks, eight, minima);
      spread(eight, count, dt + column);
      if (f.kind == BlockFormat::minimum) spread(minima, count, mt + column);
    }
  }
  static void spread(const float* from, int64_t count, float* to) {
    for (int64_t g = 0; g < count; ++g)
      store_at(to + kTileColumns * g, load_as<f32x8>(from + 8 * g));
  }
  void pack(const uint8_t (*q)[kUnits * 32], int64_t unit, int column, uint8_t* to) const {
    const b32 flip = splat32(f.kind == BlockFormat::plain && kAnyByte ? 128 : 0);
    b32 v[8];
#pragma GCC unroll 8
    for (int c = 0; c < 8; ++c) v[c] = load32(q[c] + 32 * unit) ^ flip;
    if (wide(f)) return WideTile::pack(v, column, to);
    Tile<16, 32, Extra::shift, false>::pack(v, column, to);
  }
};

// How the rows and columns are cut: a panel of `tiles` tiles is unpacked once for a group of
// rows, which pass by in chunks of `rows`. Every thread should get several panels.
struct PanelTiling {
  int64_t rows, group;
  int tiles;
};
PanelTiling panel_tiling(int64_t m, int64_t n) {
  PanelTiling tiling{min64(m, 256), m, Panel::kTiles};
  auto work = [&] {
    return ceil_div(m, tiling.group) * ceil_div(n, int64_t{tiling.tiles} * kTileColumns);
  };
  while (tiling.tiles > 2 && work() < 4 * num_threads()) tiling.tiles /= 2;
  while (tiling.group > 32 && work() < 4 * num_threads()) tiling.group = (tiling.group + 1) / 2;
  tiling.group = PanelActivations::padded(tiling.group);
  tiling.rows = min64(tiling.rows, tiling.group);
  tiling.group = tiling.group / tiling.rows * tiling.rows;
  return tiling;
}

// c (rows × two tiles' columns) = rows row … row + here times the tiles `tile` and `tile` + 1.
using PairKernel = void (*)(const PanelActivations& act, const Panel& panel, int64_t row,
                            int64_t here, int tile, float* c);
template <class T>
void multiply_pair(const PanelActivations& act, const Panel& panel, int64_t row, int64_t here,
                   int tile, float* c) {
  constexpr int64_t kRun = 24;  // units of two tiles, that stay in the first-level cache
  constexpr int kAcross = 2 * kTileColumns;
  const int64_t runs = ceil_div(act.units, kRun), run = ceil_div(act.units, runs);
  for (int64_t unit = 0; unit < act.units; unit += run) {
    const int64_t units = min64(run, act.units - unit), scale = panel.scale_at(tile, 0);
    const typename T::Weights first{
        panel.tile_at(tile, unit), panel.d + scale + unit * T::kGroups * kTileColumns,
        panel.m + scale + unit * T::kGroups * kTileColumns,
        panel.tile_at(1, 0) - panel.tile_at(0, 0), panel.scale_at(1, 0)};
    auto some_rows = [&]<int kRows>(int64_t r, std::integral_constant<int, kRows>) {
      typename T::Weights w = first;
      typename T::Rows rows = act.rows_at<T>(row + r, unit);
      // A copy of their own, which no store can change, stays in registers, or near.
      alignas(64) float sums[kRows * kAcross];
      for (int i = 0; i < kRows * kAcross; i += kTileColumns)
        store_at(sums + i, unit == 0 ? tf{} : load_as<tf>(c + r * kAcross + i));
      for (int64_t u = 0; u < units; ++u) {
        T::template times_rows<kRows>(w, rows, sums);
        w.next(), rows.next();
      }
      for (int i = 0; i < kRows * kAcross; i += kTileColumns)
        store_at(c + r * kAcross + i, load_as<tf>(sums + i));
    };
    constexpr int kMost = kSmall ? 2 : kTileRows;
    int64_t r = 0;
    for (; r + 2 < here; r += kMost) some_rows(r, std::integral_constant<int, kMost>());
    if (r < here) some_rows(r, std::integral_constant<int, 2>());
  }
}

// By how many products stay within 16 bits, where that matters: `top` is at most kMost.
template <int kGroup, Extra kExtra, int kMost>
PairKernel by_top(int top) {
  if constexpr (kAnyByte) {
    return multiply_pair<Tile<255, kGroup, kExtra, false>>;
  } else if constexpr (kMost > (kGroup == 16 ? 32 : 16)) {
    if (top <= kMost / 2) return by_top<kGroup, kExtra, kMost / 2>(top);
    return multiply_pair<Tile<kMost, kGroup, kExtra, false>>;
  } else {
    return multiply_pair<Tile<kMost, kGroup, kExtra, false>>;
  }
}
PairKernel pair_kernel(const BlockFormat& f) {
  if (wide(f)) return multiply_pair<WideTile>;
  const bool halves = f.group == 16;
  if (f.kind == BlockFormat::minimum)
    return halves ? by_top<16, Extra::minimum, 32>(f.top) : by_top<32, Extra::minimum, 32>(f.top);
  return halves ? by_top<16, Extra::shift, 128>(f.top) : by_top<32, Extra::shift, 128>(f.top);
}

// The rows of a group times one panel.
void multiply_panel(const Linear& l, const PanelActivations& act, const Panel& panel,
                    const PanelTiling& tiling, int64_t row0, int64_t column0, int64_t begin,
                    int64_t end, int used, float* c) {
  constexpr int kAcross = 2 * kTileColumns;
  const PairKernel kernel = pair_kernel(act.f);
  for (int64_t first = begin; first < end; first += tiling.rows) {
    const int64_t here = min64(tiling.rows, end - first);
    for (int t = 0; t < used; t += 2) {
      const int64_t column = column0 + t * kTileColumns;
      const Epilogue epilogue(l, column, static_cast<int>(min64(kAcross, l.n - column)));
      epilogue.fetch(row0 + first, here);
      kernel(act, panel, first, here, t, c);
      epilogue.rows(row0 + first, here, c, kAcross);
    }
  }
}

const char* multiply(const Linear& l, int64_t row0, int64_t rows, const PanelActivations& act,
                     const PanelTiling& tiling) {
  const BlockFormat& f = act.f;
  int64_t blocks = l.k / (f.units * 32), width = int64_t{tiling.tiles} * kTileColumns;
  int64_t panels = ceil_div(l.n, width), groups = ceil_div(rows, tiling.group);
  size_t panel_bytes = (Panel::bytes(f, blocks) + 63) / 64 * 64,
         c_bytes = PanelActivations::padded(tiling.rows) * 2 * kTileColumns * sizeof(float);
  Scratch scratch(num_threads() * (panel_bytes + c_bytes));
  if (!scratch.as<char>()) return "linear: out of memory";
  parallel_for(panels * groups, 1, [&](int64_t begin, int64_t end, int worker) {
    char* mine = scratch.as<char>() + worker * (panel_bytes + c_bytes);
    Panel panel(f, l.weight.dtype, mine, blocks);
    float* c = reinterpret_cast<float*>(mine + panel_bytes);
    for (int64_t i = begin; i < end; ++i) {
      int64_t group = i / panels, column0 = i % panels * width;
      int used = static_cast<int>(2 * ceil_div(min64(width, l.n - column0), 2 * kTileColumns));
      for (int t = 0; t < used; ++t) {
        int64_t column = column0 + t * kTileColumns;
        panel.fill(l, t, column, static_cast<int>(min64(kTileColumns, l.n - column)));
      }
      multiply_panel(l, act, panel, tiling, row0, column0, group * tiling.group,
                     min64(rows, (group + 1) * tiling.group), used, c);
    }
  });
  return nullptr;
}

}  // namespace

const char* int8_many_rows(const Linear& l, const BlockFormat& f) {
  PanelTiling tiling = panel_tiling(l.m, l.n);
  int64_t units = l.k / 32;
  // The rounded copy of a very tall x is made in parts of some 16 MB.
  int64_t part = max64(1, (int64_t{16} << 20) / (l.k * tiling.rows)) * tiling.rows;
  Scratch memory(PanelActivations::bytes(f, min64(part, l.m), units));
  if (!memory.as<char>()) return "linear: out of memory";
  for (int64_t row0 = 0; row0 < l.m; row0 += part) {
    int64_t rows = min64(part, l.m - row0);
    PanelActivations act(f, memory.as<char>(), rows, units);
    with_float(l.x.dtype, [&]<class X>(X) {
      // About 0.2 ns an element: a thread should have some 10 µs of it.
      const int64_t all = PanelActivations::padded(rows);
      parallel_for(all, max64(1, 65536 / l.k), [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r)
          act.round_row(l.x_row<X>(row0 + min64(r, rows - 1)), r);
      });
    });
    if (const char* error = multiply(l, row0, rows, act, tiling)) return error;
  }
  return nullptr;
}

}  // namespace tl::TL_ISA
