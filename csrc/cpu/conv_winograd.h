// What Winograd's way does with one tile: the transforms of F(2 × 2, 3 × 3) and F(4 × 4, 3 × 3),
// and a product with a transformed weight.
//
// A tile of kIn × kIn inputs becomes Bᵀ d B, a kernel G g Gᵀ, and kOut × kOut results are Aᵀ m A of
// their elementwise product m. F(2 × 2) evaluates polynomials at 0, ±1, ∞. F(4 × 4) takes 0, ±3/4,
// ±3/2, ∞: exact in binary, and 3.5 times as far from the exact result as F(2 × 2), where the usual
// ±1, ±2 are 13 times as far.
#pragma once
#include "conv_layout.h"

namespace tl::TL_ISA {

inline constexpr int kTiles = kPanelColumns<float>;  // of one panel

// A kernel dilated by d along an axis is the kernel itself on each of d grids, of every d-th
// element of that axis. Grids count as images.
struct Grids {
  int64_t down, along;

  explicit Grids(const Conv& v) : down(v.dilation[1]), along(v.dilation[2]) {}
  int64_t images(const Conv& v) const { return v.batch() * down * along; }
  // The n-th image, and its first row and column.
  TL_INLINE int64_t image(int64_t n, int64_t* y, int64_t* x) const {
    *y = *x = 0;
    if (down * along == 1) return n;
    *x = n % along, n /= along;
    *y = n % down;
    return n / down;
  }
};

struct Tiles {
  int64_t out;         // results along a side of a tile
  int64_t high, wide;  // tiles of one image, or grid
  int64_t channels, out_channels, groups;
  int64_t phase, line, plane;  // of the input laid out: elements of a phase, a row, a channel

  Tiles(const Conv& v, int side)
      : out(side),
        high(ceil_div(ceil_div(v.out.shape[3], v.dilation[1]), out)),
        wide(ceil_div(ceil_div(v.out.shape[4], v.dilation[2]), out)),
        channels(v.channels()),
        out_channels(v.out_channels()),
        groups(v.groups),
        phase(wide + 1),
        line(out * phase),
        plane((out * high + 2) * line) {}
  int64_t count(const Conv& v) const { return Grids(v).images(v) * high * wide; }
};

// Tiles of one row of an image in the lanes of a panel.
struct Span {
  int64_t n, y, x;  // of the first tile
  int lane, count;
  int64_t at, lines, width;  // of its results: where they begin, and how many there are
};

struct Spans {
  int made = 0;
  Span at[kTiles];

  void cut(const Conv& v, const Tiles& t, int64_t first, int64_t total) {
    const Grids grids(v);
    const int count = static_cast<int>(min64(kTiles, total - first));
    int64_t x = first % t.wide, y = first / t.wide % t.high, n = first / t.wide / t.high;
    made = 0;
    for (int lane = 0; lane < count; ++made) {
      const int here = static_cast<int>(min64(count - lane, t.wide - x));
      int64_t y0, x0;
      const int64_t image = grids.image(n, &y0, &x0);
      y0 += y * t.out * grids.down, x0 += x * t.out * grids.along;
      at[made] = {n,
                  y,
                  x,
                  lane,
                  here,
                  image * v.out.strides[0] + y0 * v.out.strides[3] + x0 * v.out.strides[4],
                  min64(t.out, ceil_div(v.out.shape[3] - y0, grids.down)),
                  min64(t.out * here, ceil_div(v.out.shape[4] - x0, grids.along))};
      lane += here;
      x = 0;
      if (++y == t.high) {
        y = 0;
        ++n;
      }
    }
  }
};

template <int kOut>
struct Winograd;

template <>
struct Winograd<2> {
  static constexpr double kernel[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

  TL_INLINE static void input(const vf (&d)[4], vf (&to)[4]) {
    to[0] = d[0] - d[2];
    to[1] = d[1] + d[2];
    to[2] = d[2] - d[1];
    to[3] = d[1] - d[3];
  }
  TL_INLINE static void output(const vf (&m)[4], vf (&to)[2]) {
    to[0] = m[0] + m[1] + m[2];
    to[1] = m[1] - m[2] - m[3];
  }
};

template <>
struct Winograd<4> {
  static constexpr float a = 0.75f, b = 1.5f, aa = a * a, bb = b * b;
  static constexpr double scale_a = 1 / (2.0 * aa * (aa - bb)),
                          scale_b = 1 / (2.0 * bb * (bb - aa));
  static constexpr double kernel[6][3] = {
      {1.0 / (aa * bb), 0, 0},
      {scale_a, a * scale_a, aa * scale_a},
      {scale_a, -a * scale_a, aa * scale_a},
      {scale_b, b * scale_b, bb * scale_b},
      {scale_b, -b * scale_b, bb * scale_b},
      {0, 0, 1},
  };

  TL_INLINE static void input(const vf (&d)[6], vf (&to)[6]) {
    const vf both = splat(-aa - bb), product = splat(aa * bb);
    to[0] = fma(product, d[0], fma(both, d[2], d[4]));
    to[5] = fma(product, d[1], fma(both, d[3], d[5]));
    const vf even_a = fma(splat(-bb), d[2], d[4]), odd_a = splat(a) * fma(splat(-bb), d[1], d[3]);
    const vf even_b = fma(splat(-aa), d[2], d[4]), odd_b = splat(b) * fma(splat(-aa), d[1], d[3]);
    to[1] = even_a + odd_a;
    to[2] = even_a - odd_a;
    to[3] = even_b + odd_b;
    to[4] = even_b - odd_b;
  }
  TL_INLINE static void output(const vf (&m)[6], vf (&to)[4]) {
    const vf sum_a = m[1] + m[2], sum_b = m[3] + m[4];
    const vf odd_a = splat(a) * (m[1] - m[2]), odd_b = splat(b) * (m[3] - m[4]);
    to[0] = m[0] + sum_a + sum_b;
    to[1] = odd_a + odd_b;
    to[2] = fma(splat(aa), sum_a, splat(bb) * sum_b);
    to[3] = fma(splat(aa), odd_a, fma(splat(bb), odd_b, m[5]));
  }
};

// Every kOut-th element of a line to a line of its own, `n` of each.
template <int kOut>
inline void part_phases(const float* from, int64_t n, float* to) {
  constexpr auto kAll = std::make_integer_sequence<int, kLanes>();
  for (int64_t j = 0; j < n; j += kLanes, from += kOut * kLanes) {
    vf x[kOut], parted[kOut];
    for (int p = 0; p < kOut; ++p) x[p] = load(from + p * kLanes);
    for (int p = 0; p < kOut / 2; ++p) {
      parted[p] = deinterleave<0>(x[2 * p], x[2 * p + 1], kAll);
      parted[kOut / 2 + p] = deinterleave<1>(x[2 * p], x[2 * p + 1], kAll);
    }
    if constexpr (kOut == 4) {
      for (int p = 0; p < 2; ++p) {
        x[p] = deinterleave<0>(parted[2 * p], parted[2 * p + 1], kAll);
        x[2 + p] = deinterleave<1>(parted[2 * p], parted[2 * p + 1], kAll);
      }
      memcpy(parted, x, sizeof x);
    }
    const int some = static_cast<int>(min64(kLanes, n - j));
    for (int p = 0; p < kOut; ++p) {
      if (some == kLanes)
        store(to + p * n + j, parted[p]);
      else
        store_part(to + p * n + j, parted[p], some);
    }
  }
}

// to[ξ·step + lane] = Bᵀ d B, where d lies as to does, kLanes apart.
template <int kOut>
TL_INLINE void transform_tiles(const float* d, float* to, int64_t step) {
  constexpr int kIn = kOut + 2;
  vf e[kIn][kIn];
#pragma GCC unroll 1
  for (int i = 0; i < kIn; ++i) {
    vf line[kIn];
    for (int j = 0; j < kIn; ++j) line[j] = load(d + (i * kIn + j) * kLanes);
    Winograd<kOut>::input(line, e[i]);
  }
#pragma GCC unroll 1
  for (int j = 0; j < kIn; ++j) {
    vf line[kIn], out[kIn];
    for (int i = 0; i < kIn; ++i) line[i] = e[i][j];
    Winograd<kOut>::input(line, out);
    for (int i = 0; i < kIn; ++i) store(to + (i * kIn + j) * step, out[i]);
  }
}

// The results of the tiles in the lanes, of one row of the image.
TL_INLINE void spread(const vf (&line)[2], float* to) { interleave(line[0], line[1], to); }
TL_INLINE void spread(const vf (&line)[4], float* to) {
  alignas(64) float even[2 * kLanes], odd[2 * kLanes];
  interleave(line[0], line[2], even);
  interleave(line[1], line[3], odd);
  interleave(load(even), load(odd), to);
  interleave(load(even + kLanes), load(odd + kLanes), to + 2 * kLanes);
}

// image[i·kOut·kTiles + kOut·lane + j] = (Aᵀ m A)[i][j], for the lanes of one vector.
template <int kOut>
TL_INLINE void transform_back(const float* m, int64_t step, float* image) {
  constexpr int kIn = kOut + 2;
  vf s[kOut][kIn];
#pragma GCC unroll 1
  for (int j = 0; j < kIn; ++j) {
    vf line[kIn], out[kOut];
    for (int i = 0; i < kIn; ++i) line[i] = load(m + (i * kIn + j) * step);
    Winograd<kOut>::output(line, out);
    for (int i = 0; i < kOut; ++i) s[i][j] = out[i];
  }
#pragma GCC unroll 1
  for (int i = 0; i < kOut; ++i) {
    vf out[kOut];
    Winograd<kOut>::output(s[i], out);
    spread(out, image + i * kOut * kTiles);
  }
}

// --- transformed weights: for each ξ and group strips of rows, in which the rows of a channel
// follow each other. A last strip of up to 4 rows has 4.
inline constexpr int kFewRows = 4;
inline int64_t strip_rows(int64_t rows) { return rows > kFewRows ? kPanelRows : kFewRows; }
inline int64_t rows_of_strips(int64_t rows) {
  const int64_t rest = rows % kPanelRows;
  return rows - rest + (rest == 0 ? 0 : strip_rows(rest));
}

// Weights of small images are read once, from memory: 2.1 ms of 512 × 7 × 7 become 1.35.
inline constexpr int kAhead = 512;

// c (kRows × kVecs vectors, rows `c_row` apart) = a (k × kRows) · b (k × columns of a panel).
template <int kRows, int kVecs>
TL_INLINE void strip_micro(int64_t k, const float* a, const float* b, float* c, int64_t c_row) {
  vf acc[kRows][kVecs] = {};
  for (int64_t p = 0; p < k; ++p, a += kRows, b += kTiles) {
    vf line[kVecs];
    __builtin_prefetch(a + kAhead);
    for (int j = 0; j < kVecs; ++j) line[j] = load(b + j * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const vf x = splat(a[i]);
#pragma GCC unroll 2
      for (int j = 0; j < kVecs; ++j) acc[i][j] = fma(x, line[j], acc[i][j]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVecs; ++j) store(c + i * c_row + j * kLanes, acc[i][j]);
  }
}

// c (whole strips of rows × columns of the panels) = a · b; the last panel may have one vector.
inline void strip_product(int64_t rows, int64_t panels, bool half, int64_t k, const float* a,
                          const float* b, int64_t b_panel, float* c) {
  const int64_t c_row = panels * kTiles;
  for (int64_t r = 0; r < rows; r += kPanelRows) {
    const int64_t some = strip_rows(rows - r);
    for (int64_t p = 0; p < panels; ++p) {
      const float* panel = b + p * b_panel;
      float* to = c + r * c_row + p * kTiles;
      const bool one = half && p == panels - 1;
      if (some == kPanelRows)
        (one ? strip_micro<kPanelRows, 1> : strip_micro<kPanelRows, 2>)(k, a, panel, to, c_row);
      else
        (one ? strip_micro<kFewRows, 1> : strip_micro<kFewRows, 2>)(k, a, panel, to, c_row);
    }
    a += some * k;
  }
}

}  // namespace tl::TL_ISA
