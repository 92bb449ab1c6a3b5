// `linear` of many rows: packed panels of x and of weights.
#include "linear_order.h"

namespace tl::TL_ISA {
namespace {

// How weights of a dtype become packed panels; one table for each dtype, or all that multiplies
// would be compiled for each.
struct Packing {
  // Elements k0 … k0 + depth of `columns` rows of weights, as floats. Blocks are unpacked into
  // `buffer`.
  void (*pack)(const Linear& l, int64_t column0, int columns, int64_t k0, int64_t depth,
               const Order& order, float* buffer, float* to);
  // Whether weights are fetched ahead (Ahead): not where unpacking takes longer.
  bool fetches;
};
constexpr int64_t kBuffer = kColumns * Order::kMostRun;

template <class T>
void pack_floats(const Linear& l, int64_t column0, int columns, int64_t k0, int64_t depth,
                 const Order& order, float*, float* to) {
  const int64_t stride = l.weight.back_stride(2), step = l.weight.back_stride(1);
  pack_run<kColumns>(l.weight.ptr<const T>() + column0 * stride + k0 * step, stride, step, columns,
                     depth, order, to);
}

// Asks for a part of a panel at each tile, so that it comes from memory while another one is
// multiplied. Divides once a panel: for each tile that took 2 to 3 % of a product's time.
class Ahead {
 public:
  Ahead() = default;
  Ahead(const Linear& l, int64_t column0, int64_t k0, int64_t depth, int64_t tiles)
      : stride_(l.weight.back_stride(2) * bytes_of(l.weight.dtype)),
        across_(ceil_div(depth * bytes_of(l.weight.dtype), 64)),
        left_(across_ * kColumns),
        each_(ceil_div(left_, tiles)) {
    from_ = l.weight.ptr<const uint8_t>() + column0 * stride_ + k0 * bytes_of(l.weight.dtype);
  }
  void some() {
    const int64_t count = min64(each_, left_);
    left_ -= count;
    for (int64_t i = 0; i < count; ++i) {
      __builtin_prefetch(from_ + line_ * 64, 0, 2);
      if (++line_ == across_) line_ = 0, from_ += stride_;
    }
  }

 private:
  const uint8_t* from_ = nullptr;
  int64_t stride_ = 0, across_ = 0, left_ = 0, each_ = 0, line_ = 0;
};

void pack_blocks(const Linear& l, int64_t column0, int columns, int64_t k0, int64_t depth,
                 const Order& order, float* buffer, float* to) {
  const int64_t block = block_of(l.weight.dtype), bytes = bytes_of(l.weight.dtype);
  const BlockFormat& format = *block_format(l.weight.dtype);
  for (int c = 0; c < columns; ++c) {
    format.floats(l.weight_row(column0 + c) + k0 / block * bytes, depth / block,
                  buffer + c * depth);
  }
  pack_run<kColumns>(static_cast<const float*>(buffer), depth, int64_t{1}, columns, depth, order,
                     to);
}

// Weights that are in a cache, or soon.
bool is_small(const Linear& l) { return l.k * l.n < int64_t{1} << 17; }

// Whether the columns are neighbours in memory, which pack_lines is for: a line of one panel after
// the other would be fetched from places a row apart, which share their places in the caches where
// that is a power of two.
bool in_lines(const Linear& l) {
  return l.weight.dtype == DType::f32 && l.weight.back_stride(2) == 1 && l.n >= 4 * kColumns &&
         !is_small(l);
}

// `count` whole panels side by side, `panel_stride` apart.
void pack_lines(const Linear& l, int64_t column0, int64_t count, int64_t k0, int64_t depth,
                const Order& order, int64_t panel_stride, float* to) {
  constexpr int64_t kAhead = 8;  // elements
  const int64_t step = l.weight.back_stride(1), lane = order.lane(depth);
  const float* from = l.weight.ptr<const float>() + column0 + k0 * step;
  for (int64_t e = 0; e < order.padded(depth); ++e, from += step) {
    float* at = to + (e % order.lanes * lane + e / order.lanes) * kColumns;
    const int64_t ahead = e + kAhead < depth ? kAhead * step : 0;
    for (int64_t p = 0; p < count; ++p, at += panel_stride) {
      const float* line = from + p * kColumns;
      __builtin_prefetch(line + ahead);
      for (int i = 0; i < kColumns; i += kLanes) store(at + i, e < depth ? load(line + i) : vf{});
    }
  }
}

// Column panels that pass by a slab of A (chunk × a run) while it is in L2. One after the other
// over the whole depth, they would read A from L3 as often as there are panels: 60% of the FMA peak
// where this is 80%.
constexpr int kTogether = 8;

inline int panels_together(int64_t column_panels, int64_t chunks) {
  int together = kTogether;
  while (together > 1 && ceil_div(column_panels, together) * chunks < 4 * num_threads())
    together /= 2;
  return together;
}

// c (6 × 16) = or += the lanes of a run, one after the other: a and b packed lane by lane, `steps`
// elements in each. One tile meets all lanes at once, so that c and the panel b stay in L1.
TL_INLINE void multiply_run(int64_t steps, int lanes, const float* a, const float* b, float* c,
                            bool add) {
  for (int j = 0; j < lanes; ++j) {
    vf acc[kPanelRows][2] = {};
    auto step = [&](int at) {
      const vf b0 = load(b + at * kColumns), b1 = load(b + at * kColumns + kLanes);
#pragma GCC unroll 6
      for (int i = 0; i < kPanelRows; ++i) {
        const vf x = a[at * kPanelRows + i] - vf{};
        acc[i][0] = fma(x, b0, acc[i][0]);
        acc[i][1] = fma(x, b1, acc[i][1]);
      }
    };
    int64_t p = 0;
    for (; p + 8 <= steps; p += 8, a += 8 * kPanelRows, b += 8 * kColumns) {
#pragma GCC unroll 8
      for (int at = 0; at < 8; ++at) step(at);
    }
    for (; p < steps; ++p, a += kPanelRows, b += kColumns) step(0);
#pragma GCC unroll 6
    for (int i = 0; i < kPanelRows; ++i) {
      float* to = c + i * kColumns;
      store(to, add || j ? load(to) + acc[i][0] : acc[i][0]);
      store(to + kLanes, add || j ? load(to + kLanes) + acc[i][1] : acc[i][1]);
    }
  }
}

// Whole panels of rows that are neighbours in memory (a transposed x, as in gradients of weights).
// One panel alone would use 24 bytes of every cache line, so groups of panels are packed together.
template <class T>
void pack_neighbours(const T* from, int64_t step, int64_t panels, int64_t depth, const Order& order,
                     int64_t panel_size, float* to) {
  constexpr int64_t kGroup = 8, kAhead = 12;  // 192 bytes of a line; lines fetched before use
  const int64_t lane = order.lane(depth), end = order.padded(depth);
  for (int64_t p0 = 0; p0 < panels; p0 += kGroup) {
    const int64_t p1 = min64(panels, p0 + kGroup);
    for (int64_t e = 0; e < end; ++e) {
      float* at = to + (order.lanes == 1 ? e : e % kLanes * lane + e / kLanes) * kPanelRows;
      const T* line = from + e * step;
      if (e + kAhead < depth)
        for (int64_t i = p0 * kPanelRows; i < p1 * kPanelRows; i += 64 / sizeof(T))
          __builtin_prefetch(line + kAhead * step + i);
      for (int64_t p = p0; p < p1; ++p) {
        float six[kPanelRows] = {};
        if (e < depth)
          for (int i = 0; i < kPanelRows; ++i) six[i] = widen<float>(line[p * kPanelRows + i]);
        memcpy(at + p * panel_size, six, sizeof six);
      }
    }
  }
}

// Panels p of 6 rows of x, from row `row0` on: `to` is the place of panel 0.
void pack_rows(const Linear& l, const Order& order, int64_t row0, int64_t rows, int64_t begin,
               int64_t end, float* to) {
  const int64_t padded = order.padded(l.k), step = l.x.back_stride(1);
  with_float(l.x.dtype, [&]<class T>(T) {
    int64_t p = begin;
    if (l.x.back_stride(2) == 1 && step != 1 && l.x.ndim == 2) {
      const int64_t whole = min64(end, rows / kPanelRows);
      for (int64_t k0 = 0; p < whole && k0 < l.k; k0 += order.run)
        pack_neighbours(l.x_row<T>(row0 + p * kPanelRows) + k0 * step, step, whole - p,
                        min64(order.run, l.k - k0), order, padded * kPanelRows,
                        to + (p * padded + k0) * kPanelRows);
      p = max64(p, whole);
    }
    for (; p < end; ++p) {
      const int lines = static_cast<int>(min64(kPanelRows, rows - p * kPanelRows));
      const T* from = l.x_row<T>(row0 + p * kPanelRows);
      for (int64_t k0 = 0; k0 < l.k; k0 += order.run) {
        pack_run<kPanelRows>(from + k0 * step, l.x.back_stride(2), step, lines,
                             min64(order.run, l.k - k0), order,
                             to + (p * padded + k0) * kPanelRows);
      }
    }
  });
}

// The panels of 16 weight rows: packed once for all rows of x, or each time into a thread's
// workspace.
struct Panels {
  const Linear& l;
  const Packing packing;
  const Order order;
  float* packed = nullptr;  // all panels, panel after panel

  int64_t count() const { return ceil_div(l.n, kColumns); }
  int64_t size() const { return count() * order.padded(l.k) * kColumns; }
  int columns(int64_t panel) const {
    return static_cast<int>(min64(kColumns, l.n - panel * kColumns));
  }
  void pack(int64_t panel, int64_t k0, float* buffer, float* to) const {
    packing.pack(l, panel * kColumns, columns(panel), k0, min64(order.run, l.k - k0), order, buffer,
                 to);
  }
  // `panels` of them, `stride` apart.
  void pack_several(int64_t panel, int64_t panels, int64_t k0, float* buffer, int64_t stride,
                    float* to) const {
    int64_t whole = 0;
    if (in_lines(l)) {
      whole = min64(panels, l.n / kColumns - panel);
      pack_lines(l, panel * kColumns, whole, k0, min64(order.run, l.k - k0), order, stride, to);
    }
    for (; whole < panels; ++whole) pack(panel + whole, k0, buffer, to + whole * stride);
  }
  void pack_all(float* to) {
    constexpr int64_t kGroup = 4;
    packed = to;
    const int64_t stride = order.padded(l.k) * kColumns;
    parallel_for(ceil_div(count(), kGroup), 1, [&](int64_t begin, int64_t end, int) {
      alignas(64) float buffer[kBuffer];
      for (int64_t panel = begin * kGroup; panel < min64(count(), end * kGroup); panel += kGroup) {
        const int64_t panels = min64(kGroup, count() - panel);
        for (int64_t k0 = 0; k0 < l.k; k0 += order.run)
          pack_several(panel, panels, k0, buffer, stride, place(panel, k0));
      }
    });
  }
  float* place(int64_t panel, int64_t k0) const {
    return packed + (panel * order.padded(l.k) + k0) * kColumns;
  }
};

// What a thread works in, in floats: sums of `together` panels, packed panels (one, or all of them
// where they are packed together), unpacked weights. A line more between panels keeps them apart in
// the first-level cache.
struct Workspace {
  static constexpr int64_t kStride = Order::kMostRun * kColumns + 16;
  int64_t c_stride, c, buffer, size;
  bool lines;
  Workspace(const Panels& weights, int64_t rows, int together)
      : c_stride(rows * kColumns), c(together * c_stride) {
    lines = !weights.packed && in_lines(weights.l);
    buffer = c + (lines ? together : 1) * kStride;
    size = buffer + (weights.packing.fetches ? 0 : kBuffer) + 16;
  }
};

constexpr int64_t kWritten = 4 * kPanelRows;  // rows whose results are written together

// The tiles of `panels` column panels from `panel0` on, and `rows` packed rows from `a` on (row
// `row0` of x). Sums of a depth of several runs wait in the workspace, one tile behind the other.
void multiply_panels(const Panels& weights, const float* a, int64_t row0, int64_t rows,
                     int64_t panel0, int panels, const Workspace& workspace, float* scratch) {
  const Linear& l = weights.l;
  const Order& order = weights.order;
  const int64_t padded = order.padded(l.k);
  const bool lines = workspace.lines, fetches = weights.packing.fetches && !weights.packed &&
                                                l.weight.back_stride(1) == 1 && !is_small(l);
  float *b = scratch + workspace.c, *buffer = scratch + workspace.buffer;
  for (int64_t k0 = 0; k0 == 0 || k0 < l.k; k0 += order.run) {
    const int64_t depth = min64(order.run, l.k - k0);
    const bool last = k0 + order.run >= l.k;
    if (lines) weights.pack_several(panel0, panels, k0, buffer, workspace.kStride, b);
    for (int p = 0; p < panels; ++p) {
      if (!weights.packed && !lines) weights.pack(panel0 + p, k0, buffer, b);
      const float* panel = weights.packed ? weights.place(panel0 + p, k0)
                           : lines        ? b + p * workspace.kStride
                                          : b;
      const Epilogue epilogue(l, (panel0 + p) * kColumns, weights.columns(panel0 + p));
      const int64_t next = (panel0 + p + 1) * kColumns;
      Ahead ahead;
      if (fetches && next + kColumns <= l.n)
        ahead = Ahead(l, next, k0, depth, ceil_div(rows, kPanelRows));
      const bool sums_wait = l.k > order.run;
      for (int64_t r = 0; r < rows; r += kWritten) {
        float* tile = scratch + (sums_wait ? p * workspace.c_stride + r * kColumns : 0);
        const int64_t here = min64(kWritten, rows - r);
        if (last) epilogue.fetch(row0 + r, here);
        for (int64_t i = 0; i < here; i += kPanelRows) {
          ahead.some();
          multiply_run(order.lane(depth), order.lanes, a + (r + i) * padded + k0 * kPanelRows,
                       panel, tile + i * kColumns, k0 > 0);
        }
        if (last) epilogue.rows(row0 + r, here, tile, kColumns);
      }
    }
  }
}

// Packed weights of at most 16 MB are kept for a whole product of several chunks of rows.
constexpr int64_t kMostPacked = int64_t{4} << 20;

// Very many rows: a thread takes a chunk of them, packs it where it stays in L2, and walks over all
// weights.
constexpr int64_t kOwnRows = 120;

const char* own_chunks(const Panels& weights) {
  const Linear& l = weights.l;
  const int64_t padded = weights.order.padded(l.k);
  const Workspace workspace(weights, kOwnRows, kTogether);
  const int64_t a_size = kOwnRows * padded, own = workspace.size + a_size + 16;
  Scratch scratch(own * sizeof(float) * num_threads() + 64);
  if (!scratch.as<char>()) return "linear: out of memory";
  parallel_for(ceil_div(l.m, kOwnRows), 1, [&](int64_t begin, int64_t end, int worker) {
    float *a = scratch.as<float>() + worker * own, *rest = a + a_size + 16;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row0 = i * kOwnRows, rows = min64(kOwnRows, l.m - row0);
      pack_rows(l, weights.order, row0, rows, 0, ceil_div(rows, kPanelRows), a);
      for (int64_t panel = 0; panel < weights.count(); panel += kTogether) {
        multiply_panels(weights, a, row0, rows, panel,
                        static_cast<int>(min64(kTogether, weights.count() - panel)), workspace,
                        rest);
      }
    }
  });
  return nullptr;
}

// All threads share one packed copy of x, or of some 16 MB of it.
const char* shared_chunks(const Panels& weights) {
  const Linear& l = weights.l;
  const int64_t padded = weights.order.padded(l.k);
  const int64_t chunk = chunk_rows(l.m, weights.count());
  const int64_t part = min64(l.m, max64(1, kMostPacked / (max64(1, l.k) * chunk)) * chunk);
  const int together = panels_together(weights.count(), ceil_div(part, chunk));
  const int64_t groups = ceil_div(weights.count(), together);
  const Workspace workspace(weights, chunk, together);
  Scratch packed(packed_rows_size(part, padded) * sizeof(float) + 64),
      scratch(workspace.size * sizeof(float) * num_threads());
  if (!packed.as<char>() || !scratch.as<char>()) return "linear: out of memory";
  for (int64_t row0 = 0; row0 < l.m; row0 += part) {
    const int64_t rows = min64(part, l.m - row0);
    parallel_for(ceil_div(rows, kPanelRows), max64(1, 8192 / max64(1, l.k)),
                 [&](int64_t begin, int64_t end, int) {
                   pack_rows(l, weights.order, row0, rows, begin, end, packed.as<float>());
                 });
    parallel_for(groups * ceil_div(rows, chunk), 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i / groups * chunk, panel = i % groups * together;
        multiply_panels(weights, packed.as<float>() + first * padded, row0 + first,
                        min64(chunk, rows - first), panel,
                        static_cast<int>(min64(together, weights.count() - panel)), workspace,
                        scratch.as<float>() + worker * workspace.size);
      }
    });
  }
  return nullptr;
}

const char* many_rows(const Linear& l, const Packing& packing) {
  Panels weights{l, packing, Order(l)};
  // Halves are packed as fast as twice their bytes are read again, for few chunks.
  const int64_t few = packing.fetches && bytes_of(l.weight.dtype) == 2 ? 4 : 2;
  const bool repeats = l.m > few * kChunkRows && weights.size() <= kMostPacked;
  Scratch packed(repeats ? weights.size() * sizeof(float) + 64 : 64);
  if (!packed.as<char>()) return "linear: out of memory";
  if (!repeats) return shared_chunks(weights);
  weights.pack_all(packed.as<float>());
  const bool enough = ceil_div(l.m, kOwnRows) >= 4 * num_threads() && l.k <= 4096;
  return enough ? own_chunks(weights) : shared_chunks(weights);
}

}  // namespace

const char* linear_many_rows(const Linear& l) {
  Packing packing{pack_blocks, false};
  with_plain(l.weight.dtype, [&]<class T>(T) { packing = {pack_floats<T>, true}; });
  return many_rows(l, packing);
}

}  // namespace tl::TL_ISA
