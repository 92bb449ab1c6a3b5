// `linear` with float activations (`exact`): weights of any float or block dtype, converted a panel
// at a time. Few rows and many add up in the same order, so that a row's result does not depend on
// the rows beside it.
#include "blocks/fp8.h"
#include "gemm_linear.h"

namespace tl::TL_ISA {
namespace {

// The plain dtypes of weights: f(T{}).
template <class F>
TL_INLINE bool with_plain(DType dtype, F f) {
  if (dtype == DType::f8e4m3) return f(F8E4M3{}), true;
  if (dtype == DType::f8e5m2) return f(F8E5M2{}), true;
  return with_float(dtype, f);
}

// The order of addition, which only the depth and the block length decide. The depth is cut into
// runs. In a run, lane i of `lanes` sums the elements i, i + lanes, … in order; then the sums of
// the lanes are added to the result one after the other. Dot products read a run as it lies in
// memory; for panels it is packed lane by lane. A short depth has one lane, and panels alone
// multiply it: its lanes would be too short for them.
struct Order {
  int64_t run;
  int lanes;

  explicit Order(const Linear& l) : run(kDepth), lanes(1) {
    if (l.k < kLeastRun) return;
    const int64_t block = max64(kLanes, block_of(l.weight.dtype)), runs = ceil_div(l.k, kMostRun);
    run = ceil_div(ceil_div(l.k, runs), block) * block;
    lanes = kLanes;
  }
  static constexpr int64_t kLeastRun = 256, kMostRun = 512;
  // Elements of a packed lane, and of a packed line: zeros fill up the last run.
  int64_t lane(int64_t depth) const { return ceil_div(depth, lanes); }
  int64_t padded(int64_t depth) const { return lane(depth) * lanes; }
};

// --- few rows: dot products, weights converted in registers or through a small buffer
// ----------------------------------

// y[a·kRows + r] += the lanes of Σ w[r][i]·x[a][i], one after the other.
template <int kRows, int kBatch, class T>
TL_INLINE void dot_run(const T* const* w, const float* x, int64_t x_stride, int64_t depth,
                       float* y) {
  vf acc[kBatch][kRows] = {};
  int64_t i = 0;
  for (; i + kLanes <= depth; i += kLanes) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const vf v = load(w[r] + i);
#pragma GCC unroll 4
      for (int a = 0; a < kBatch; ++a) acc[a][r] = fma(v, load(x + a * x_stride + i), acc[a][r]);
    }
  }
  if (i < depth) {
    int rest = static_cast<int>(depth - i);
    for (int r = 0; r < kRows; ++r) {
      const vf v = load_part(w[r] + i, rest);
      for (int a = 0; a < kBatch; ++a)
        acc[a][r] = fma(v, load_part(x + a * x_stride + i, rest), acc[a][r]);
    }
  }
  constexpr int kSums = kRows * kBatch;
  static_assert(kSums <= 8);
#ifdef __AVX2__
  __m256 lanes[8];
  for (int j = 0; j < 8; ++j)
    lanes[j] = j < kSums ? (__m256)acc[j / kRows][j % kRows] : _mm256_setzero_ps();
  transpose8(lanes);
  vf total = load(y);
  for (int j = 0; j < 8; ++j) total = total + (vf)lanes[j];
  store(y, total);
#else
  for (int j = 0; j < kSums; ++j) {
    for (int lane = 0; lane < kLanes; ++lane) y[j] += acc[j / kRows][j % kRows][lane];
  }
#endif
}

// Rows of weights that are multiplied together: enough that no addition waits for the one before.
template <int kBatch>
inline constexpr int kTogetherRows = kBatch == 1 ? 4 : 2;

template <int kBatch, class T>
void decode_floats(const Linear& l, const float* x, int64_t x_stride) {
  constexpr int kRows = kTogetherRows<kBatch>;
  const int64_t stride = l.weight.back_stride(2);
  const Order order(l);
  parallel_for(l.n, decode_grain(l.n, l.k * sizeof(T)), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i += kRows) {
      int rows = static_cast<int>(min64(kRows, end - i));
      alignas(32) float y[8] = {};
      for (int64_t k0 = 0; k0 < l.k; k0 += order.run) {
        const T* w[kRows];
        for (int r = 0; r < kRows; ++r)
          w[r] = l.weight.ptr<const T>() + (i + (r < rows ? r : 0)) * stride + k0;
        dot_run<kRows, kBatch>(w, x + k0, x_stride, min64(order.run, l.k - k0), y);
      }
      write_tile(l, 0, kBatch, i, rows, y, kRows);
    }
  });
}

template <int kBatch>
void decode_blocks(const Linear& l, const BlockKernels& kernels, const float* x, int64_t x_stride) {
  constexpr int kRows = kTogetherRows<kBatch>;
  const int64_t block = block_of(l.weight.dtype), bytes = bytes_of(l.weight.dtype);
  const Order order(l);
  parallel_for(l.n, decode_grain(l.n, l.k / block * bytes), [&](int64_t begin, int64_t end, int) {
    alignas(64) float buffer[kRows][Order::kMostRun];  // stays in L1
    for (int64_t i = begin; i < end; i += kRows) {
      int rows = static_cast<int>(min64(kRows, end - i));
      alignas(32) float y[8] = {};
      for (int64_t k0 = 0; k0 < l.k; k0 += order.run) {
        const int64_t depth = min64(order.run, l.k - k0);
        const float* w[kRows];
        for (int r = 0; r < kRows; ++r) {
          w[r] = buffer[r < rows ? r : 0];
          if (r < rows)
            kernels.unpack(l.weight_row(i + r) + k0 / block * bytes, depth / block, buffer[r]);
        }
        dot_run<kRows, kBatch>(w, x + k0, x_stride, depth, y);
      }
      write_tile(l, 0, kBatch, i, rows, y, kRows);
    }
  });
}

template <int kBatch>
void decode(const Linear& l, const float* x, int64_t x_stride) {
  with_plain(l.weight.dtype, [&]<class T>(T) { decode_floats<kBatch, T>(l, x, x_stride); }) ||
      (decode_blocks<kBatch>(l, *block_kernels(l.weight.dtype), x, x_stride), true);
}

const char* few_rows(const Linear& l) {
  const float* x = l.x.ptr<const float>();
  int64_t stride = l.x.back_stride(2);
  Scratch copy(l.x.dtype == DType::f32 ? 64 : l.m * l.k * sizeof(float));
  if (l.x.dtype != DType::f32) {
    float* to = copy.as<float>();
    if (!to) return "linear: out of memory";
    with_float(l.x.dtype, [&]<class T>(T) {
      for (int64_t r = 0; r < l.m; ++r) {
        for (int64_t i = 0; i < l.k; ++i) to[r * l.k + i] = to_float(l.x_row<T>(r)[i]);
      }
    });
    x = to;
    stride = l.k;
  }
  switch (l.m) {
    case 1:
      decode<1>(l, x, stride);
      break;
    case 2:
      decode<2>(l, x, stride);
      break;
    case 3:
      decode<3>(l, x, stride);
      break;
    default:
      decode<4>(l, x, stride);
  }
  return nullptr;
}

// --- many rows: GEMM
// ---------------------------------------------------------------------------------------------------------

constexpr int kColumns = kPanelColumns<float>;

// Stands for rows that a panel does not have.
template <class From>
alignas(64) constexpr From kZeros[Order::kMostRun] = {};

// pack_panel, lane by lane: element e of a run goes to place e % lanes · lane + e / lanes.
template <int kWidth, class From>
void pack_run(const From* from, int64_t line_stride, int64_t step, int lines, int64_t depth,
              const Order& order, float* to) {
  if (order.lanes == 1) return pack_panel<kWidth>(from, line_stride, step, lines, depth, to);
  const int64_t lane = order.lane(depth);
  int64_t e = 0;
#ifdef __AVX2__
  if (step == 1) {  // 8 × 8 elements of 8 lines change places
    const From* row[(kWidth + 7) / 8 * 8];
    for (int i = 0; i < (kWidth + 7) / 8 * 8; ++i)
      row[i] = i < lines ? from + i * line_stride : kZeros<From>;
    for (; e + 8 <= depth; e += 8) {
#pragma GCC unroll 2
      for (int i = 0; i < kWidth; i += 8) {
        __m256 r[8];
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) r[j] = (__m256)load(row[i + j] + e);
        transpose8(r);
        float* at = to + e / 8 * kWidth + i;
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j, at += lane * kWidth) {
          if constexpr (kWidth % 8 == 0) {
            _mm256_storeu_ps(at, r[j]);
          } else {
            static_assert(kWidth == 6);
            _mm_storeu_ps(at, _mm256_castps256_ps128(r[j]));
            _mm_storel_pi(reinterpret_cast<__m64*>(at + 4), _mm256_extractf128_ps(r[j], 1));
          }
        }
      }
    }
  } else if (line_stride == 1 && lines == kWidth && kWidth == 16) {
    for (; e < depth; ++e) {
      float* at = to + (e % 8 * lane + e / 8) * kWidth;
      store(at, load(from + e * step));
      store(at + 8, load(from + e * step + 8));
    }
  }
#endif
  for (const int64_t end = order.padded(depth); e < end; ++e) {
    float* at = to + (e % order.lanes * lane + e / order.lanes) * kWidth;
    for (int i = 0; i < kWidth; ++i)
      at[i] = i < lines && e < depth ? widen<float>(from[i * line_stride + e * step]) : 0.f;
  }
}

// Packs a panel of 16 weight rows, elements k0 … k0 + depth, as floats. Block dtypes go through
// `rows`, 16 × Order::kMostRun floats.

template <class T>
struct FloatWeights {
  static constexpr int64_t kBuffer = 0;
  static void pack(const Linear& l, int64_t column0, int columns, int64_t k0, int64_t depth,
                   const Order& order, float*, float* to) {
    int64_t stride = l.weight.back_stride(2), step = l.weight.back_stride(1);
    pack_run<kColumns>(l.weight.ptr<const T>() + column0 * stride + k0 * step, stride, step,
                       columns, depth, order, to);
  }
  // Asks for the part of a panel that belongs to row r of `rows`, so that it comes from memory
  // while others are multiplied.
  static void fetch(const Linear& l, int64_t column0, int64_t k0, int64_t depth, int64_t r,
                    int64_t rows) {
    constexpr int64_t kLine = 64 / sizeof(T);
    const int64_t across = ceil_div(depth, kLine), lines = across * kColumns;
    const int64_t first = lines * r / rows, last = lines * min64(r + kPanelRows, rows) / rows;
    const T* from = l.weight.ptr<const T>() + column0 * l.weight.back_stride(2) + k0;
    for (int64_t at = first; at < last; ++at)
      __builtin_prefetch(from + at / across * l.weight.back_stride(2) + at % across * kLine, 0, 2);
  }
};

struct BlockWeights {
  static constexpr int64_t kBuffer = kColumns * Order::kMostRun;
  static void pack(const Linear& l, int64_t column0, int columns, int64_t k0, int64_t depth,
                   const Order& order, float* rows, float* to) {
    const int64_t block = block_of(l.weight.dtype), bytes = bytes_of(l.weight.dtype);
    const BlockKernels& kernels = *block_kernels(l.weight.dtype);
    for (int c = 0; c < columns; ++c) {
      kernels.unpack(l.weight_row(column0 + c) + k0 / block * bytes, depth / block,
                     rows + c * depth);
    }
    pack_run<kColumns>(static_cast<const float*>(rows), depth, int64_t{1}, columns, depth, order,
                       to);
  }
  static void fetch(const Linear&, int64_t, int64_t, int64_t, int64_t, int64_t) {}
};

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

// Panels p of 6 rows of x, from row `row0` on: `to` is the place of panel 0.
void pack_rows(const Linear& l, const Order& order, int64_t row0, int64_t rows, int64_t begin,
               int64_t end, float* to) {
  const int64_t padded = order.padded(l.k), step = l.x.back_stride(1);
  with_float(l.x.dtype, [&]<class T>(T) {
    for (int64_t p = begin; p < end; ++p) {
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

// The panels of 16 weight rows: packed once for all rows of x, or each time into a thread's room.
template <class W>
struct Panels {
  const Linear& l;
  const Order order;
  float* packed = nullptr;  // all panels, panel after panel

  int64_t count() const { return ceil_div(l.n, kColumns); }
  int64_t size() const { return count() * order.padded(l.k) * kColumns; }
  int columns(int64_t panel) const {
    return static_cast<int>(min64(kColumns, l.n - panel * kColumns));
  }
  void pack(int64_t panel, int64_t k0, float* buffer, float* to) const {
    W::pack(l, panel * kColumns, columns(panel), k0, min64(order.run, l.k - k0), order, buffer, to);
  }
  void pack_all(float* to) {
    packed = to;
    parallel_for(count(), 1, [&](int64_t begin, int64_t end, int) {
      alignas(64) float buffer[W::kBuffer + 1];
      for (int64_t panel = begin; panel < end; ++panel) {
        for (int64_t k0 = 0; k0 < l.k; k0 += order.run) pack(panel, k0, buffer, place(panel, k0));
      }
    });
  }
  float* place(int64_t panel, int64_t k0) const {
    return packed + (panel * order.padded(l.k) + k0) * kColumns;
  }
};

// What a thread works in, in floats: sums of `together` panels, a packed panel, unpacked weights.
template <class W>
struct Room {
  int64_t c_stride, c, size;
  Room(int64_t rows, int together)
      : c_stride(rows * kColumns),
        c(together * c_stride),
        size(c + Order::kMostRun * kColumns + W::kBuffer + 16) {}
};

// The tiles of `panels` column panels from `panel0` on, and `rows` packed rows from `a` on (row
// `row0` of x). Sums of a depth of several runs wait in the room, one tile behind the other.
template <class W>
void multiply_panels(const Panels<W>& weights, const float* a, int64_t row0, int64_t rows,
                     int64_t panel0, int panels, const Room<W>& room, float* scratch) {
  const Linear& l = weights.l;
  const Order& order = weights.order;
  const int64_t padded = order.padded(l.k);
  float *b = scratch + room.c, *buffer = b + Order::kMostRun * kColumns;
  for (int64_t k0 = 0; k0 == 0 || k0 < l.k; k0 += order.run) {
    const int64_t depth = min64(order.run, l.k - k0);
    const bool last = k0 + order.run >= l.k;
    for (int p = 0; p < panels; ++p) {
      if (!weights.packed) weights.pack(panel0 + p, k0, buffer, b);
      const float* panel = weights.packed ? weights.place(panel0 + p, k0) : b;
      const Finish finish(l, (panel0 + p) * kColumns, weights.columns(panel0 + p));
      const int64_t next = (panel0 + p + 1) * kColumns;
      for (int64_t r = 0; r < rows; r += kPanelRows) {
        float* tile = scratch + (l.k > order.run ? p * room.c_stride + r * kColumns : 0);
        if (!weights.packed && next + kColumns <= l.n) W::fetch(l, next, k0, depth, r, rows);
        multiply_run(order.lane(depth), order.lanes, a + r * padded + k0 * kPanelRows, panel, tile,
                     k0 > 0);
        if (last) finish.rows(row0 + r, min64(kPanelRows, rows - r), tile, kColumns);
      }
    }
  }
}

// Packed weights of at most 16 MB are kept for a whole product of several chunks of rows.
constexpr int64_t kMostPacked = int64_t{4} << 20;

// Very many rows: a thread takes a chunk of them, packs it where it stays in L2, and walks over all
// weights.
constexpr int64_t kOwnRows = 120;

template <class W>
const char* own_chunks(const Panels<W>& weights) {
  const Linear& l = weights.l;
  const int64_t padded = weights.order.padded(l.k);
  const Room<W> room(kOwnRows, kTogether);
  const int64_t a_size = kOwnRows * padded, own = room.size + a_size + 16;
  Scratch scratch(own * sizeof(float) * num_threads() + 64);
  if (!scratch.as<char>()) return "linear: out of memory";
  parallel_for(ceil_div(l.m, kOwnRows), 1, [&](int64_t begin, int64_t end, int worker) {
    float *a = scratch.as<float>() + worker * own, *rest = a + a_size + 16;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row0 = i * kOwnRows, rows = min64(kOwnRows, l.m - row0);
      pack_rows(l, weights.order, row0, rows, 0, ceil_div(rows, kPanelRows), a);
      for (int64_t panel = 0; panel < weights.count(); panel += kTogether) {
        multiply_panels<W>(weights, a, row0, rows, panel,
                           static_cast<int>(min64(kTogether, weights.count() - panel)), room, rest);
      }
    }
  });
  return nullptr;
}

// All threads share one packed copy of x, or of some 16 MB of it.
template <class W>
const char* shared_chunks(const Panels<W>& weights) {
  const Linear& l = weights.l;
  const int64_t padded = weights.order.padded(l.k);
  const int64_t chunk = chunk_rows(l.m, weights.count());
  const int64_t part = min64(l.m, max64(1, kMostPacked / (max64(1, l.k) * chunk)) * chunk);
  const int together = panels_together(weights.count(), ceil_div(part, chunk));
  const int64_t groups = ceil_div(weights.count(), together);
  const Room<W> room(chunk, together);
  Scratch packed(packed_rows_size(part, padded) * sizeof(float) + 64),
      scratch(room.size * sizeof(float) * num_threads());
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
        multiply_panels<W>(weights, packed.as<float>() + first * padded, row0 + first,
                           min64(chunk, rows - first), panel,
                           static_cast<int>(min64(together, weights.count() - panel)), room,
                           scratch.as<float>() + worker * room.size);
      }
    });
  }
  return nullptr;
}

template <class W>
const char* many_rows(const Linear& l) {
  Panels<W> weights{l, Order(l)};
  const bool repeats = l.m > 2 * kChunkRows && weights.size() <= kMostPacked;
  Scratch packed(repeats ? weights.size() * sizeof(float) + 64 : 64);
  if (!packed.as<char>()) return "linear: out of memory";
  if (!repeats) return shared_chunks(weights);
  weights.pack_all(packed.as<float>());
  const bool enough = ceil_div(l.m, kOwnRows) >= 4 * num_threads() && l.k <= 4096;
  return enough ? own_chunks(weights) : shared_chunks(weights);
}

// --- some rows: weights read as they lie, broadcast element by element
// ----------------------------------

// Fewer rows of x than repay a packed copy of the weights: x is packed instead, in panels of 16
// rows, and the roles change places. A weight element is broadcast from its row and multiplied with
// a panel's rows; its line in L1 is read once for each lane of the order. Rows that are a multiple
// of 4 KB apart share their places in L1, where many rows of x would drive them out.
constexpr int64_t kSomeRows = 160, kSomeRowsAliased = 64;

inline bool takes_some_rows(const Linear& l) {
  const int64_t stride = l.weight.back_stride(2);
  return l.k > 0 && l.weight.dtype == DType::f32 && l.weight.back_stride(1) == 1 &&
         l.m <= (stride % 1024 == 0 ? kSomeRowsAliased : kSomeRows);
}

constexpr int kDirectRows = 6;  // rows of weights beside each other: 12 sums in registers
// Threads get columns of out by whole cache lines (48 floats): two that write to one line wait for
// each other.
constexpr int kDirectPanels = 8;

// c (kRows × kV vectors, kColumns apart) = or += w (rows `stride` apart) · b, over `steps` elements
// of w that stand kLanes apart (`apart` for a short depth).
template <int kRows, int kV>
TL_INLINE void direct_micro(int64_t steps, const float* w, int64_t stride, int64_t apart,
                            const float* b, float* c, bool add) {
  const float* row[kRows];
  for (int i = 0; i < kRows; ++i) row[i] = w + i * stride;
  vf acc[kRows][kV] = {};
  for (int64_t p = 0; p < steps; ++p, b += kColumns) {
    vf x[kV];
    for (int v = 0; v < kV; ++v) x[v] = load(b + v * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const vf y = row[i][p * apart] - vf{};
      for (int v = 0; v < kV; ++v) acc[i][v] = fma(y, x[v], acc[i][v]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kV; ++v) {
      float* to = c + i * kColumns + v * kLanes;
      store(to, add ? load(to) + acc[i][v] : acc[i][v]);
    }
  }
}

// Asks for part `part` of `parts` of the next rows of weights, so that they come from memory while
// these are multiplied: 1.5 times the speed where weights are not in a cache.
TL_INLINE void fetch_ahead(const float* w, int64_t stride, int64_t depth, int part, int parts) {
  constexpr int64_t kLine = 16;
  const int64_t lines = ceil_div(depth, kLine), first = lines * part / parts,
                last = lines * (part + 1) / parts;
  for (int r = 0; r < kDirectRows; ++r) {
    for (int64_t at = first; at < last; ++at) __builtin_prefetch(w + r * stride + at * kLine, 0, 2);
  }
}

// Writes what `tiles` hold of a thread's columns, row after row: sum c of row r of a panel of x
// stands at c · 16 + r of its tile, the tiles of one panel of weights behind each other.
void write_turned(const Linear& l, int64_t column0, int columns, const float* tiles) {
  const int64_t panels = ceil_div(l.m, kColumns), tile = kDirectRows * kColumns;
  const Finish finish(l, column0, columns);
  alignas(32) float lines[kLanes][kDirectRows * kDirectPanels];
  for (int64_t row = 0; row < l.m; row += kLanes) {
    const float* from = tiles + row / kColumns * tile + row % kColumns;
    float* to = lines[0];
    for (int c = 0; c < columns; c += kLanes) {
      auto sums = [&](int i) {
        return from + (c + i) / kDirectRows * panels * tile + (c + i) % kDirectRows * kColumns;
      };
#ifdef __AVX2__
      __m256 r[kLanes];
      for (int i = 0; i < kLanes; ++i) r[i] = _mm256_loadu_ps(sums(c + i < columns ? i : 0));
      transpose8(r);
      for (int i = 0; i < kLanes; ++i) _mm256_store_ps(lines[i] + c, r[i]);
#else
      for (int i = 0; i < kLanes && c + i < columns; ++i) {
        for (int lane = 0; lane < kLanes; ++lane) lines[lane][c + i] = sums(i)[lane];
      }
#endif
    }
    finish.rows(row, min64(kLanes, l.m - row), to, kDirectRows * kDirectPanels);
  }
}

// The tiles of six rows of weights from `column0` on with every panel of packed x.
void multiply_direct(const Linear& l, const Order& order, const float* packed, int64_t column0,
                     float* tiles) {
  const int64_t stride = l.weight.back_stride(2), padded = order.padded(l.k);
  const int columns = static_cast<int>(min64(kDirectRows, l.n - column0));
  const float* weight = l.weight.ptr<const float>() + column0 * stride;
  for (int64_t k0 = 0; k0 < l.k; k0 += order.run) {
    const int64_t depth = min64(order.run, l.k - k0), lane = order.lane(depth);
    for (int64_t p = 0; p * kColumns < l.m; ++p) {
      const float* b = packed + (p * padded + k0) * kColumns;
      float* tile = tiles + p * kDirectRows * kColumns;
      const bool narrow = l.m - p * kColumns <= kLanes;
      for (int j = 0; j < order.lanes; ++j) {
        const int64_t steps = (depth - j + order.lanes - 1) / order.lanes;
        const float *w = weight + k0 + j, *x = b + j * lane * kColumns;
        const bool add = k0 + j > 0;
        if (p == 0 && column0 + 2 * kDirectRows <= l.n)
          fetch_ahead(weight + kDirectRows * stride + k0, stride, depth, j, order.lanes);
        if (columns < kDirectRows) {
          for (int r = 0; r < columns; ++r)
            direct_micro<1, 2>(steps, w + r * stride, stride, order.lanes, x, tile + r * kColumns,
                               add);
        } else if (narrow) {
          direct_micro<kDirectRows, 1>(steps, w, stride, order.lanes, x, tile, add);
        } else {
          direct_micro<kDirectRows, 2>(steps, w, stride, order.lanes, x, tile, add);
        }
      }
    }
  }
}

const char* some_rows(const Linear& l) {
  const Order order(l);
  const int64_t padded = order.padded(l.k), panels = ceil_div(l.m, kColumns);
  const int64_t tile = kDirectRows * kColumns, own = kDirectPanels * panels * tile + 16;
  Scratch packed((panels * padded * kColumns + 16) * sizeof(float)),
      scratch(own * sizeof(float) * num_threads());
  if (!packed.as<char>() || !scratch.as<char>()) return "linear: out of memory";
  with_float(l.x.dtype, [&]<class T>(T) {
    parallel_for(panels, max64(1, 1024 / max64(1, l.k)), [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        const int lines = static_cast<int>(min64(kColumns, l.m - p * kColumns));
        float* to = packed.as<float>() + p * padded * kColumns;
        for (int64_t k0 = 0; k0 < l.k; k0 += order.run) {
          pack_run<kColumns>(l.x_row<T>(p * kColumns) + k0 * l.x.back_stride(1), l.x.back_stride(2),
                             l.x.back_stride(1), lines, min64(order.run, l.k - k0), order,
                             to + k0 * kColumns);
        }
      }
    });
  });
  const int64_t column_panels = ceil_div(l.n, kDirectRows);
  parallel_for(
      ceil_div(column_panels, kDirectPanels), 1, [&](int64_t begin, int64_t end, int worker) {
        float* c = scratch.as<float>() + worker * own;
        for (int64_t unit = begin; unit < end; ++unit) {
          const int64_t first = unit * kDirectPanels,
                        last = min64(first + kDirectPanels, column_panels);
          for (int64_t i = first; i < last; ++i)
            multiply_direct(l, order, packed.as<float>(), i * kDirectRows,
                            c + (i - first) * panels * tile);
          const int64_t column0 = first * kDirectRows;
          write_turned(l, column0,
                       static_cast<int>(min64(kDirectRows * kDirectPanels, l.n - column0)), c);
        }
      });
  return nullptr;
}

}  // namespace

const char* linear_float(const Linear& l) {
  bool known = with_plain(l.weight.dtype, [](auto) {}) || block_kernels(l.weight.dtype);
  if (!known) return "linear: no kernel for this weight dtype";
  bool whole = l.weight.back_stride(1) == 1 && l.x.back_stride(1) == 1;
  if (l.m <= kDotRows && whole && Order(l).lanes > 1) return few_rows(l);
  if (takes_some_rows(l)) return some_rows(l);
  const char* error = nullptr;
  with_plain(l.weight.dtype, [&]<class T>(T) { error = many_rows<FloatWeights<T>>(l); }) ||
      (error = many_rows<BlockWeights>(l), true);
  return error;
}

}  // namespace tl::TL_ISA
