// Many rows: panels of up to four tiles of columns of weights are unpacked into cache once and
// multiplied with all rows.
#include "int8_linear.h"
#include "int8_rows.h"

namespace tl::TL_ISA {
namespace {

// Signed weights of 8 bits become unsigned by a shift, or take 16 bits where products do not take
// any byte.
bool wide(const BlockFormat& f) { return f.kind == BlockFormat::plain && !kAnyByte; }
using WideTile = Tile<255, 32, Extra::none, !kAnyByte>;
int shift_of(const BlockFormat& f) { return f.kind == BlockFormat::plain ? -128 : f.shift; }

// Rounded activations of `rows` rows in chunks of `chunk` rows. In a chunk the rows of one unit of
// 32 lie side by side, as the tile kernel reads them.
struct PanelActivations {
  const BlockFormat& f;
  int8_t* q;  // or int16_t
  float *d, *extra;
  int64_t chunk, units;

  static size_t bytes(const BlockFormat& f, int64_t rows, int64_t chunk, int64_t units) {
    int64_t all = ceil_div(rows, chunk) * chunk * units;
    return all * (wide(f) ? 64 : 32) + all * sizeof(float) * (1 + f.per_unit());
  }
  PanelActivations(const BlockFormat& format, void* memory, int64_t rows, int64_t chunk_,
                   int64_t units_)
      : f(format), chunk(chunk_), units(units_) {
    int64_t all = ceil_div(rows, chunk) * chunk * units;
    q = static_cast<int8_t*>(memory);
    d = reinterpret_cast<float*>(q + all * (wide(f) ? 64 : 32));
    extra = d + all;
  }
  template <class T>
  typename T::Rows rows_of(int64_t c, int64_t unit, int count) const {
    int64_t at = (c * units + unit) * chunk;
    return {reinterpret_cast<const typename T::Activation*>(q) + at * 32, d + at,
            extra + at * f.per_unit(), chunk, count};
  }

  template <class X>
  void round_row(const X* x, int64_t row) const {
    int64_t at = row / chunk * units * chunk + row % chunk;
    for (int64_t u = 0; u < units; ++u, x += 32, at += chunk) {
      int32_t sums[2];
      alignas(32) int8_t narrow[32];
      d[at] = round_any32(x, wide(f) ? narrow : q + at * 32, sums);
      if (wide(f)) {
        auto* to = reinterpret_cast<int16_t*>(q) + at * 32;
        for (int i = 0; i < 32; ++i) to[i] = narrow[i];
      } else {
        write_extra(f, shift_of(f), sums, extra + (at - row % chunk) * f.per_unit() + row % chunk,
                    chunk);
      }
    }
  }
};

// Up to 4 tiles of columns of weights, unpacked: tiles, and a tile's scales (and minima) to a
// group.
struct Panel {
  static constexpr int kTiles = kTileColumns > 8 ? 2 : 4;
  static constexpr int kUnits = 8;  // unpacked at once
  const BlockFormat& f;
  uint8_t* tiles;
  float *d, *m, *row;  // m only with minima; row: room for one column's scales and minima
  int64_t blocks;

  static int64_t groups(const BlockFormat& f, int64_t blocks) { return blocks * f.groups() + 8; }
  static int64_t tile_bytes(const BlockFormat& f) { return 32 * kTileColumns * (wide(f) ? 2 : 1); }
  static size_t bytes(const BlockFormat& f, int64_t blocks) {
    const size_t floats = groups(f, blocks) * (kTileColumns * kTiles + 1) * 2;
    return kTiles * blocks * f.units * tile_bytes(f) + floats * sizeof(float);
  }
  Panel(const BlockFormat& format, void* memory, int64_t blocks_) : f(format), blocks(blocks_) {
    tiles = static_cast<uint8_t*>(memory);
    d = reinterpret_cast<float*>(tiles + kTiles * blocks * f.units * tile_bytes(f));
    m = d + groups(f, blocks) * kTileColumns * kTiles;
    row = m + groups(f, blocks) * kTileColumns * kTiles;
  }
  const uint8_t* tile_at(int tile, int64_t unit) const {
    return tiles + (tile * blocks * f.units + unit) * tile_bytes(f);
  }
  int64_t scale_at(int tile, int64_t group) const {
    return (tile * groups(f, blocks) + group) * kTileColumns;
  }

  // A missing column repeats the last one; its results are not written.
  void fill(const Linear& l, int tile, int64_t column0, int columns) {
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
      }
    }
  }

 private:
  void fill_scales(const uint8_t* const* w, int tile) {
    const int64_t count = blocks * f.groups();
    float *dr = row, *mr = row + groups(f, blocks), *dt = d + scale_at(tile, 0),
          *mt = m + scale_at(tile, 0);
    for (int c = 0; c < kTileColumns; ++c) {
      f.scales(w[c], blocks, dr, mr);
      for (int64_t g = 0; g < count; ++g) dt[g * kTileColumns + c] = dr[g];
      if (f.kind != BlockFormat::minimum) continue;
      for (int64_t g = 0; g < count; ++g) mt[g * kTileColumns + c] = mr[g];
    }
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
  while (tiling.tiles > 1 && work() < 4 * num_threads()) tiling.tiles /= 2;
  while (tiling.group > 32 && work() < 4 * num_threads()) tiling.group = (tiling.group + 1) / 2;
  tiling.rows = min64(tiling.rows, tiling.group);
  tiling.group = tiling.group / tiling.rows * tiling.rows;
  return tiling;
}

// The `here` rows of a chunk times the `used` tiles of a panel.
using ChunkKernel = void (*)(const PanelActivations& act, const Panel& panel, int64_t chunk,
                             int here, int used, float* c);
template <class T>
void multiply_chunk(const PanelActivations& act, const Panel& panel, int64_t chunk, int here,
                    int used, float* c) {
  for (int64_t u = 0; u < act.units; ++u) {
    const typename T::Rows part = act.rows_of<T>(chunk, u, here);
    for (int t = 0; t < used; ++t) {
      const int64_t at = panel.scale_at(t, u * T::kGroups);
      T::times_rows(panel.tile_at(t, u), panel.d + at, panel.m + at, part,
                    c + t * here * kTileColumns);
    }
  }
}

// By how many products stay within 16 bits, where that matters.
template <int kGroup, Extra kExtra>
ChunkKernel by_top(int top) {
  if constexpr (kAnyByte) {
    return multiply_chunk<Tile<255, kGroup, kExtra, false>>;
  } else {
    if (top <= 16) return multiply_chunk<Tile<16, kGroup, kExtra, false>>;
    if (top <= 32) return multiply_chunk<Tile<32, kGroup, kExtra, false>>;
    if (top <= 64) return multiply_chunk<Tile<64, kGroup, kExtra, false>>;
    return multiply_chunk<Tile<128, kGroup, kExtra, false>>;
  }
}
ChunkKernel chunk_kernel(const BlockFormat& f) {
  if (wide(f)) return multiply_chunk<WideTile>;
  const bool halves = f.group == 16;
  if (f.kind == BlockFormat::minimum)
    return halves ? by_top<16, Extra::minimum>(f.top) : by_top<32, Extra::minimum>(f.top);
  return halves ? by_top<16, Extra::shift>(f.top) : by_top<32, Extra::shift>(f.top);
}

// The rows of a group times one panel.
void multiply_panel(const Linear& l, const PanelActivations& act, const Panel& panel, int64_t row0,
                    int64_t column0, int64_t begin, int64_t end, int used, float* c) {
  const ChunkKernel kernel = chunk_kernel(act.f);
  for (int64_t first = begin; first < end; first += act.chunk) {
    const int here = static_cast<int>(min64(act.chunk, end - first));
    memset(c, 0, used * here * kTileColumns * sizeof(float));
    kernel(act, panel, first / act.chunk, here, used, c);
    for (int t = 0; t < used; ++t) {
      const int64_t column = column0 + t * kTileColumns;
      write_tile(l, row0 + first, here, column, static_cast<int>(min64(kTileColumns, l.n - column)),
                 c + t * here * kTileColumns, kTileColumns);
    }
  }
}

const char* multiply(const Linear& l, int64_t row0, int64_t rows, const PanelActivations& act,
                     const PanelTiling& tiling) {
  const BlockFormat& f = act.f;
  int64_t blocks = l.k / (f.units * 32), width = int64_t{tiling.tiles} * kTileColumns;
  int64_t panels = ceil_div(l.n, width), groups = ceil_div(rows, tiling.group);
  size_t panel_bytes = (Panel::bytes(f, blocks) + 63) / 64 * 64,
         c_bytes = act.chunk * width * sizeof(float);
  Scratch scratch(num_threads() * (panel_bytes + c_bytes));
  if (!scratch.as<char>()) return "linear: out of memory";
  parallel_for(panels * groups, 1, [&](int64_t begin, int64_t end, int worker) {
    char* mine = scratch.as<char>() + worker * (panel_bytes + c_bytes);
    Panel panel(f, mine, blocks);
    float* c = reinterpret_cast<float*>(mine + panel_bytes);
    for (int64_t i = begin; i < end; ++i) {
      int64_t group = i / panels, column0 = i % panels * width;
      int used = static_cast<int>(ceil_div(min64(width, l.n - column0), kTileColumns));
      for (int t = 0; t < used; ++t) {
        int64_t column = column0 + t * kTileColumns;
        panel.fill(l, t, column, static_cast<int>(min64(kTileColumns, l.n - column)));
      }
      multiply_panel(l, act, panel, row0, column0, group * tiling.group,
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
  Scratch memory(PanelActivations::bytes(f, min64(part, l.m), tiling.rows, units));
  if (!memory.as<char>()) return "linear: out of memory";
  for (int64_t row0 = 0; row0 < l.m; row0 += part) {
    int64_t rows = min64(part, l.m - row0);
    PanelActivations act(f, memory.as<char>(), rows, tiling.rows, units);
    with_float(l.x.dtype, [&]<class X>(X) {
      // About 0.2 ns an element: a thread should have some 10 µs of it.
      parallel_for(rows, max64(1, 65536 / l.k), [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) act.round_row(l.x_row<X>(row0 + r), r);
      });
    });
    if (const char* error = multiply(l, row0, rows, act, tiling)) return error;
  }
  return nullptr;
}

}  // namespace tl::TL_ISA
