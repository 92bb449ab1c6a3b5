// `linear` with activations rounded to int8 blocks of 32 (`fast`), for block-quantised weights.
// Few rows: dot products straight from the file's bytes. Many: 8 columns of weights are unpacked
// into cache once and multiplied with all rows.
#include "gemm_linear.h"

namespace tl::TL_ISA {
namespace {

// Rounded activations of `rows` rows in chunks of `chunk` rows. In a chunk the rows of one block of
// 32 lie side by side, as the tile kernel reads them; with chunk = 1 each row is contiguous, as the
// dot kernel does. Per group of the weight's format (32 or 16): d = the scale, s = d·Σq. Padded by
// zeros to whole vectors.
struct Activations {
  int8_t* q;
  float *d, *s;
  int64_t chunk, units, groups;  // groups: of a row, padded

  static int64_t padded(int64_t groups) { return (groups + 7) / 8 * 8; }
  static size_t bytes(int64_t rows, int64_t chunk, int64_t units, int64_t groups) {
    return ceil_div(rows, chunk) * chunk * (units * 32 + padded(groups) * 8);
  }
  Activations(void* memory, int64_t rows, int64_t chunk_, int64_t units_, int64_t groups_)
      : chunk(chunk_), units(units_), groups(padded(groups_)) {
    int64_t all = ceil_div(rows, chunk) * chunk;
    d = static_cast<float*>(memory);
    s = d + all * groups;
    q = reinterpret_cast<int8_t*>(s + all * groups);
  }
  int8_t* q_at(int64_t c) const { return q + c * chunk * units * 32; }
  float* d_at(int64_t c) const { return d + c * chunk * groups; }
  float* s_at(int64_t c) const { return s + c * chunk * groups; }
};

template <int kGroup, class T>
void round_row(const T* x, const Activations& a, int64_t row) {
  constexpr int kPer = 32 / kGroup;
  int64_t c = row / a.chunk, r = row % a.chunk;
  int8_t* q = a.q_at(c) + r * 32;
  float *d = a.d_at(c) + r, *s = a.s_at(c) + r;
  for (int64_t u = 0; u < a.units; ++u, x += 32, q += a.chunk * 32) {
    int32_t sums[2];
    float scale;
    if constexpr (__is_same(T, float)) {
      scale = round32(x, q, sums);
    } else {
      float buffer[32];
      for (int i = 0; i < 32; i += kLanes) store(buffer + i, load(x + i));
      scale = round32(buffer, q, sums);
    }
    for (int g = 0; g < kPer; ++g, d += a.chunk, s += a.chunk) {
      *d = scale;
      *s = scale * (kPer == 1 ? static_cast<float>(sums[0]) + static_cast<float>(sums[1])
                              : static_cast<float>(sums[g]));
    }
  }
  for (int64_t g = a.units * kPer; g < a.groups; ++g, d += a.chunk, s += a.chunk) *d = *s = 0;
}

template <int kGroup>
void round_rows(const Linear& l, int64_t row0, int64_t rows, const Activations& a) {
  with_float(l.x.dtype, [&]<class T>(T) {
    // About 0.2 ns an element: a thread should have some 10 µs of it.
    parallel_for(rows, max64(1, 65536 / l.k), [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) round_row<kGroup>(l.x_row<T>(row0 + r), a, r);
    });
  });
}

// --- decode
// ----------------------------------------------------------------------------------------------------------------

// y[a·16 + r] = weight row r · activation row a. The scales of a run of blocks are multiplied
// first, 8 at a time, so that the main loop has one load for them.
template <class F, int kRows, int kBatch>
TL_INLINE void dot_rows(const uint8_t* const* w, int64_t blocks, const Activations& act, float* y) {
  constexpr int kPer = 32 / F::kGroup, kRun = 64 / F::kUnits, kScales = kRun * F::kGroups;
  vf acc[kRows][kBatch] = {}, least[kRows][kBatch] = {};
  alignas(32) float d[kScales], m[kScales], scale[kRows][kBatch][kScales];
  for (int64_t b0 = 0; b0 < blocks; b0 += kRun) {
    int run = static_cast<int>(min64(kRun, blocks - b0)), groups = run * F::kGroups;
    for (int r = 0; r < kRows; ++r) {
      F::scales(w[r] + b0 * F::kBytes, run, d, m);
      // A last part of a vector meets the zeros that pad the activations.
      for (int g = 0; g < groups; g += kLanes) {
        vf dv = load(d + g), mv = F::kMins ? load(m + g) : dv;
        for (int a = 0; a < kBatch; ++a) {
          int64_t at = b0 * F::kGroups + g;
          store(scale[r][a] + g, dv * load(act.d_at(a) + at));
          if constexpr (F::kMins || F::kOffset != 0)
            least[r][a] = fma(mv, load(act.s_at(a) + at), least[r][a]);
        }
      }
    }
    for (int j = 0; j < run; ++j) {
      if constexpr (kBatch == 1) {
        // The rows lie one behind the other in memory but are read side by side, an order that the
        // hardware does not foresee. Two groups of rows ahead, a few lines a step: all at once
        // would hold up the loads of this group.
        const uint8_t* ahead = w[0] + (2 * blocks + b0 + j) * kRows * F::kBytes;
        for (int at = 0; at < kRows * F::kBytes; at += 64) __builtin_prefetch(ahead + at);
      }
#pragma GCC unroll 8
      for (int unit = 0; unit < F::kUnits; ++unit) {
        int64_t u = (b0 + j) * F::kUnits + unit;
        int g = (j * F::kUnits + unit) * kPer;
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          b32 v = F::values(w[r] + (b0 + j) * F::kBytes, unit);
#pragma GCC unroll 4
          for (int a = 0; a < kBatch; ++a) {
            vf part = dot32<F::kSigned>(v, act.q_at(a) + u * 32);
            acc[r][a] = fma(part, load_scale<F::kGroup>(scale[r][a] + g), acc[r][a]);
          }
        }
      }
    }
  }
  for (int a = 0; a < kBatch; ++a) {
    for (int r = 0; r < kRows; ++r) {
      vf& total = acc[r][a];
      if constexpr (F::kMins)
        total = total + least[r][a];
      else if constexpr (F::kOffset != 0)
        total = fma(least[r][a], splat(static_cast<float>(F::kOffset)), total);
    }
    if constexpr (kRows == 4) {
      sum4(acc[0][a], acc[1][a], acc[2][a], acc[3][a], y + a * 16);
    } else {
      for (int r = 0; r < kRows; ++r) y[a * 16 + r] = sum(acc[r][a]);
    }
  }
}

template <class F, int kBatch>
void decode(const Linear& l, int64_t row0, const Activations& act) {
  int64_t blocks = l.k / block_of(F::kDType), row_bytes = l.weight_row(1) - l.weight_row(0);
  constexpr int kRows = kBatch == 1 ? 4 : 2;
  parallel_for(l.n, decode_grain(l.n, blocks * F::kBytes), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i += 16) {
      int columns = static_cast<int>(min64(16, end - i));
      float y[kBatch * 16];
      const uint8_t* first = l.weight_row(i);
      for (int c = 0; c < columns; c += kRows) {
        const uint8_t* w[kRows];
        for (int r = 0; r < kRows; ++r) w[r] = first + (c + r < columns ? c + r : c) * row_bytes;
        dot_rows<F, kRows, kBatch>(w, blocks, act, y + c);
      }
      write_tile(l, row0, kBatch, i, columns, y, 16);
    }
  });
}

// --- prefill
// ---------------------------------------------------------------------------------------------------------------

// 8 columns of weights, unpacked: tiles of 256 bytes, and 8 scales (and minima) per group.
template <class F>
struct Panel {
  uint8_t* tiles;
  float *d, *m, *rows;

  static size_t bytes(int64_t blocks) {
    int64_t groups = blocks * F::kGroups + 8;
    return blocks * F::kUnits * kTileBytes + groups * 8 * 2 * sizeof(float) +
           groups * 2 * sizeof(float) + 64;
  }
  Panel(void* memory, int64_t blocks) {
    int64_t groups = blocks * F::kGroups + 8;
    tiles = static_cast<uint8_t*>(memory);
    d = reinterpret_cast<float*>(tiles + blocks * F::kUnits * kTileBytes);
    m = d + groups * 8;
    rows = m + groups * 8;
  }

  void fill(const Linear& l, int64_t column0, int columns, int64_t blocks) {
    const uint8_t* w[kTileColumns];
    int64_t groups = blocks * F::kGroups;
    float *dr = rows, *mr = rows + groups + 8;
    for (int c = 0; c < kTileColumns; ++c) {
      // A missing column repeats the last one; its results are not written.
      w[c] = l.weight_row(column0 + (c < columns ? c : columns - 1));
      F::scales(w[c], blocks, dr, mr);
      for (int64_t g = 0; g < groups; ++g) {
        d[g * 8 + c] = dr[g];
        if constexpr (F::kMins)
          m[g * 8 + c] = mr[g];
        else if constexpr (F::kOffset != 0)
          m[g * 8 + c] = F::kOffset * dr[g];
      }
    }
    uint8_t* to = tiles;
    for (int64_t b = 0; b < blocks; ++b) {
#pragma GCC unroll 8
      for (int unit = 0; unit < F::kUnits; ++unit, to += kTileBytes) {
        b32 v[kTileColumns];
        for (int c = 0; c < kTileColumns; ++c) v[c] = F::values(w[c] + b * F::kBytes, unit);
        store_tile(to, v);
      }
    }
  }
};

template <class F>
const char* prefill(const Linear& l, int64_t row0, int64_t rows, const Activations& act) {
  constexpr int kPer = 32 / F::kGroup;
  constexpr bool kLeast = F::kMins || F::kOffset != 0;
  int64_t blocks = l.k / block_of(F::kDType), units = blocks * F::kUnits;
  int64_t columns8 = ceil_div(l.n, kTileColumns), chunks = ceil_div(rows, act.chunk);
  size_t panel_bytes = (Panel<F>::bytes(blocks) + 63) / 64 * 64,
         c_bytes = act.chunk * kTileColumns * sizeof(float);
  Scratch scratch(num_threads() * (panel_bytes + c_bytes));
  if (!scratch.as<char>()) return "linear: out of memory";
  parallel_for(columns8 * chunks, 1, [&](int64_t begin, int64_t end, int worker) {
    char* mine = scratch.as<char>() + worker * (panel_bytes + c_bytes);
    Panel<F> panel(mine, blocks);
    float* c = reinterpret_cast<float*>(mine + panel_bytes);
    for (int64_t i = begin; i < end; ++i) {
      int64_t chunk = i / columns8, column0 = i % columns8 * kTileColumns;
      int columns = static_cast<int>(min64(kTileColumns, l.n - column0));
      int here = static_cast<int>(min64(act.chunk, rows - chunk * act.chunk));
      panel.fill(l, column0, columns, blocks);
      memset(c, 0, here * kTileColumns * sizeof(float));
      const int8_t* q = act.q_at(chunk);
      const float *da = act.d_at(chunk), *sa = act.s_at(chunk);
      for (int64_t u = 0; u < units; ++u) {
        int64_t g = u * kPer;
        tile_times_rows<F::kBits, F::kGroup>(
            panel.tiles + u * kTileBytes, panel.d + g * 8, kLeast ? panel.m + g * 8 : nullptr,
            q + u * act.chunk * 32, da + g * act.chunk, sa + g * act.chunk, act.chunk, here, c);
      }
      write_tile(l, row0 + chunk * act.chunk, here, column0, columns, c, kTileColumns);
    }
  });
  return nullptr;
}

// Rows of a chunk: its activations should stay in L2 while the columns pass, and every thread
// should get several tiles.
int64_t int8_chunk(int64_t m, int64_t n, int64_t k) {
  int64_t rows = max64(32, min64(256, 196608 / k));
  while (rows > 32 && ceil_div(m, rows) * ceil_div(n, kTileColumns) < 4 * num_threads()) rows /= 2;
  return min64(rows, m);
}

template <class F>
const char* run(const Linear& l) {
  int64_t units = l.k / 32, groups = units * (32 / F::kGroup);
  if (l.m <= kDotRows) {
    Scratch memory(Activations::bytes(l.m, 1, units, groups));
    if (!memory.as<char>()) return "linear: out of memory";
    Activations act(memory.as<char>(), l.m, 1, units, groups);
    round_rows<F::kGroup>(l, 0, l.m, act);
    switch (l.m) {
      case 1:
        decode<F, 1>(l, 0, act);
        break;
      case 2:
        decode<F, 2>(l, 0, act);
        break;
      case 3:
        decode<F, 3>(l, 0, act);
        break;
      default:
        decode<F, 4>(l, 0, act);
    }
    return nullptr;
  }
  int64_t chunk = int8_chunk(l.m, l.n, l.k);
  // The rounded copy of a very tall x is made in parts of some 16 MB.
  int64_t part = max64(1, (int64_t{16} << 20) / (l.k * chunk)) * chunk;
  Scratch memory(Activations::bytes(min64(part, l.m), chunk, units, groups));
  if (!memory.as<char>()) return "linear: out of memory";
  for (int64_t row0 = 0; row0 < l.m; row0 += part) {
    int64_t rows = min64(part, l.m - row0);
    Activations act(memory.as<char>(), rows, chunk, units, groups);
    round_rows<F::kGroup>(l, row0, rows, act);
    if (const char* error = prefill<F>(l, row0, rows, act)) return error;
  }
  return nullptr;
}

}  // namespace

const char* linear_int8(const Linear& l) {
  const char* error = "linear: no kernel for this weight dtype";
  with_format(l.weight.dtype, [&]<class F>(F) { error = run<F>(l); });
  return error;
}

}  // namespace tl::TL_ISA
