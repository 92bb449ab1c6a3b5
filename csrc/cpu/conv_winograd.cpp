// Winograd's way F(2 × 2, 3 × 3) for kernels of stride 1 (Lavin & Gray 2016): tiles of 4 × 4 inputs
// and the kernels are transformed, 16 products replace 36 multiplications by 16, and the results
// are transformed back. The tiles lie in the lanes of a panel. Sets of narrow vectors do without.
#include <utility>

#include "conv_gemm.h"

namespace tl::TL_ISA {

namespace {

constexpr int kTiles = kPanelColumns<float>;  // of one panel

struct Tiles {
  int64_t high, wide;  // tiles of one image
  int64_t channels, out_channels, groups;
  int64_t line, plane;  // of the input laid out: elements of a row, of a channel

  explicit Tiles(const Conv& v)
      : high(ceil_div(v.out.shape[3], 2)),
        wide(ceil_div(v.out.shape[4], 2)),
        channels(v.channels()),
        out_channels(v.out_channels()),
        groups(v.groups),
        line(2 * (wide + 1)),
        plane((2 * high + 2) * line) {}
  int64_t count(const Conv& v) const { return v.batch() * high * wide; }
};

// Rows with their padding, even elements before odd ones, so that a tile row is a contiguous line.
void lay_out(const Conv& v, const Tiles& t, float* to) {
  const View& x = v.x;
  const int64_t all = x.shape[0] * x.shape[1], half = t.wide + 1, lines = 2 * t.high + 2;
  parallel_for(all * lines, 1 + 8192 / t.line, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t y = i % lines + v.offset[1], c = i / lines % x.shape[1],
                    n = i / lines / x.shape[1];
      float* line = to + i * t.line;
      if (y < 0 || y >= x.shape[3]) {
        memset(line, 0, t.line * sizeof(float));
        continue;
      }
      const int64_t from = n * x.strides[0] + c * x.strides[1] + y * x.strides[3];
      for (int phase = 0; phase < 2; ++phase, line += half) {
        const int64_t start = v.offset[2] + phase;  // element j is input start + 2j
        int64_t low = start < 0 ? min64(ceil_div(-start, 2), half) : 0;
        int64_t high = start < x.shape[4] ? min64(ceil_div(x.shape[4] - start, 2), half) : 0;
        if (high < low) high = low = half;
        for (int64_t j = 0; j < low; ++j) line[j] = 0;
        copy_line<float>(x, from + (start + 2 * low) * x.strides[4], 2 * x.strides[4], high - low,
                         line + low);
        for (int64_t j = high; j < half; ++j) line[j] = 0;
      }
    }
  });
}

template <int... kLane>
TL_INLINE vf every_ninth(const float* p, std::integer_sequence<int, kLane...>) {
  return vf{p[9 * kLane]...};
}

// u[ξ][row][channel] = G g Gᵀ, a vector of channels at a time.
void transform_weight(int64_t rows, int64_t channels, const float* weight, float* u) {
  const int64_t size = rows * channels;
  parallel_for(rows, 1 + 1024 / channels, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = 0; c < channels; c += kLanes) {
        const int some = static_cast<int>(min64(kLanes, channels - c));
        float copy[9 * kLanes];
        const float* from = weight + (r * channels + c) * 9;
        if (some < kLanes) {
          memset(copy, 0, sizeof copy);
          memcpy(copy, from, some * 9 * sizeof(float));
          from = copy;
        }
        vf g[3][3], h[4][3];
        for (int i = 0; i < 9; ++i) {
          g[i / 3][i % 3] = every_ninth(from + i, std::make_integer_sequence<int, kLanes>());
        }
        const vf half = splat(0.5f);
        for (int j = 0; j < 3; ++j) {
          const vf sum = g[0][j] + g[2][j];
          h[0][j] = g[0][j];
          h[1][j] = half * (sum + g[1][j]);
          h[2][j] = half * (sum - g[1][j]);
          h[3][j] = g[2][j];
        }
        float* to = u + r * channels + c;
        for (int i = 0; i < 4; ++i) {
          const vf sum = h[i][0] + h[i][2];
          const vf out[4] = {h[i][0], half * (sum + h[i][1]), half * (sum - h[i][1]), h[i][2]};
          for (int j = 0; j < 4; ++j) {
            float* at = to + (4 * i + j) * size;
            if (some == kLanes)
              store(at, out[j]);
            else
              store_part(at, out[j], some);
          }
        }
      }
    }
  });
}

// Tiles of one row of an image in the lanes of a panel.
struct Span {
  int64_t n, y, x;  // of the first tile
  int lane, count;
  vi low, high;  // its lanes
};

int cut_spans(const Tiles& t, int64_t first, int64_t total, Span* spans) {
  const int count = static_cast<int>(min64(kTiles, total - first));
  int64_t x = first % t.wide, y = first / t.wide % t.high, n = first / t.wide / t.high;
  int made = 0;
  for (int lane = 0; lane < count; ++made) {
    const int here = static_cast<int>(min64(count - lane, t.wide - x));
    spans[made] = {n,
                   y,
                   x,
                   lane,
                   here,
                   lanes_between(lane, lane + here),
                   lanes_between(lane - kLanes, lane + here - kLanes)};
    lane += here;
    x = 0;
    if (++y == t.high) {
      y = 0;
      ++n;
    }
  }
  return made;
}

// to[ξ·step + lane] = Bᵀ d B for one channel and half a panel.
TL_INLINE void transform_half(const float* const* from, int spans, const vi* masks, int64_t line,
                              int64_t half, float* to, int64_t step) {
  vf e[4][4];
  for (int i = 0; i < 4; ++i) {
    vf d[4];
    for (int j = 0; j < 4; ++j) {
      const int64_t at = i * line + (j & 1) * half + (j >> 1);
      vi a = (vi)load_masked(from[0] + at, masks[0]);
      for (int s = 1; s < spans; ++s) a |= (vi)load_masked(from[s] + at, masks[s]);
      d[j] = (vf)a;
    }
    e[i][0] = d[0] - d[2];
    e[i][1] = d[1] + d[2];
    e[i][2] = d[2] - d[1];
    e[i][3] = d[1] - d[3];
  }
  for (int j = 0; j < 4; ++j) {
    store(to + (0 + j) * step, e[0][j] - e[2][j]);
    store(to + (4 + j) * step, e[1][j] + e[2][j]);
    store(to + (8 + j) * step, e[2][j] - e[1][j]);
    store(to + (12 + j) * step, e[1][j] - e[3][j]);
  }
}

void transform_input(const Tiles& t, const float* laid, int64_t all_channels, int64_t c0,
                     const Span* spans, int made, float* to, int64_t step) {
  const float* from[2][kTiles];
  vi masks[2][kTiles];
  int count[2] = {};
  for (int s = 0; s < made; ++s) {
    const Span& span = spans[s];
    const float* at =
        laid + (span.n * all_channels + c0) * t.plane + 2 * span.y * t.line + span.x - span.lane;
    for (int h = 0; h < 2; ++h) {
      if (span.lane >= kLanes * (h + 1) || span.lane + span.count <= kLanes * h) continue;
      masks[h][count[h]] = h ? span.high : span.low;
      from[h][count[h]++] = at + kLanes * h;
    }
  }
  if (count[1] == 0) {  // the last panel may be half empty
    masks[1][0] = vi{};
    from[1][count[1]++] = laid;
  }
  for (int64_t c = 0; c < t.channels; ++c, to += kTiles) {
    for (int h = 0; h < 2; ++h) {
      transform_half(from[h], count[h], masks[h], t.line, t.wide + 1, to + kLanes * h, step);
      for (int s = 0; s < count[h]; ++s) from[h][s] += t.plane;
    }
  }
}

// Even and odd lanes of tiles as neighbouring outputs.
TL_INLINE void interleave(vf even, vf odd, float* to) {
  constexpr int kEights = ceil_div(kLanes, 8);
  f32x8 a[kEights] = {}, b[kEights] = {};
  memcpy(a, &even, sizeof even);
  memcpy(b, &odd, sizeof odd);
  for (int i = 0; i < kEights; ++i, to += 16) {
    store_at(to, __builtin_shufflevector(a[i], b[i], 0, 8, 1, 9, 2, 10, 3, 11));
    store_at(to + 8, __builtin_shufflevector(a[i], b[i], 4, 12, 5, 13, 6, 14, 7, 15));
  }
}

// One row (channel) of one panel: Aᵀ m A, written to the image.
void write_panel(const Conv& v, const float* m, int64_t step, int64_t row, const Span* spans,
                 int made) {
  alignas(64) float image[2][2 * kTiles];
  const float bias = v.has_bias ? scalar_at<float>(v.bias, row * v.bias.strides[0]) : 0;
  for (int h = 0; h < 2; ++h, m += kLanes) {
    vf s[2][4];
    for (int j = 0; j < 4; ++j) {
      const vf a = load(m + j * step), b = load(m + (4 + j) * step), c = load(m + (8 + j) * step),
               d = load(m + (12 + j) * step);
      s[0][j] = a + b + c;
      s[1][j] = b - c - d;
    }
    for (int i = 0; i < 2; ++i) {
      const vf add = splat(bias);
      interleave(s[i][0] + s[i][1] + s[i][2] + add, s[i][1] - s[i][2] - s[i][3] + add,
                 image[i] + kTiles * h);
    }
  }
  const View& out = v.out;
  for (int s = 0; s < made; ++s) {
    const Span& span = spans[s];
    const int64_t at = span.n * out.strides[0] + row * out.strides[1] +
                       2 * span.y * out.strides[3] + 2 * span.x * out.strides[4];
    const int64_t width = min64(2 * span.count, out.shape[4] - 2 * span.x);
    for (int i = 0; i < 2 && 2 * span.y + i < out.shape[3]; ++i) {
      write_line<float>(out, at + i * out.strides[3], out.strides[4], width,
                        image[i] + 2 * span.lane, 0.0f);
      finish(v, at + i * out.strides[3], width);
    }
  }
}

}  // namespace

bool winograd_computes(const Conv& v) {
  if constexpr (kLanes < 8) return false;
  if (v.out.dtype == DType::f64 || v.out.shape[2] != 1 || v.weight.shape[2] != 1 ||
      v.weight.shape[3] != 3 || v.weight.shape[4] != 3 || v.x.shape[2] != 1 || v.offset[0] != 0)
    return false;
  for (int i = 1; i < 3; ++i) {
    if (v.stride[i] != 1 || v.dilation[i] != 1 || v.out.shape[2 + i] < 3) return false;
  }
  return true;
}

bool winograd_fits(const Conv& v) {
  if (!winograd_computes(v)) return false;
  // Transforming the weights and tiles must be worth it.
  const Tiles t(v);
  return t.channels >= 24 && t.out_channels >= 24 && t.count(v) >= 40;
}

const char* winograd(const Conv& v) {
  if constexpr (kLanes < 8) return "conv: no Winograd in this build";
  const Tiles t(v);
  const int64_t total = t.count(v), size = v.weight.shape[0] * t.channels;
  Tiling tiling(total, kTiles, t.out_channels, t.groups);
  const int64_t threads = num_threads();
  int64_t block = 1;
  double best = 0;
  for (int64_t b = 1; b <= 8 && b <= tiling.panels; ++b) {
    const double cost = ceil_div(ceil_div(tiling.panels, b) * t.groups, threads) * (b + 0.4);
    if (b == 1 || cost < best) {
      best = cost;
      block = b;
    }
  }
  const int64_t blocks = ceil_div(tiling.panels, block), wide = block * kTiles;
  // Few panels: the threads share their rows, and each transforms the input for its own.
  const int64_t parts = min64(ceil_div(threads, t.groups * blocks), ceil_div(t.out_channels, 48));
  const int64_t rows = ceil_div(ceil_div(t.out_channels, parts), kPanelRows) * kPanelRows;
  const int64_t tiles_size = 16 * wide * t.channels, product_size = 16 * wide * t.out_channels;
  const size_t own = (tiles_size + product_size + 32) * sizeof(float);
  Scratch memory(own * threads), u_memory(v.transformed ? 64 : 16 * size * sizeof(float) + 64),
      laid_memory((v.x.shape[0] * v.x.shape[1] * t.plane + 32) * sizeof(float)),
      weight_memory(v.transformed ? 64 : plain_bytes<float>(v.weight));
  if (!memory.as<char>() || !u_memory.as<char>() || !laid_memory.as<char>() ||
      !weight_memory.as<char>())
    return "conv: out of memory";
  const float* u = v.transformed ? v.transformed : u_memory.as<float>();
  float* laid = laid_memory.as<float>();
  if (!v.transformed)
    transform_weight(v.weight.shape[0], t.channels,
                     plain<float>(v.weight, weight_memory.as<float>()), u_memory.as<float>());
  lay_out(v, t, laid);
  parallel_for(t.groups * blocks * parts, 1, [&](int64_t begin, int64_t end, int worker) {
    float* tiles = reinterpret_cast<float*>(memory.as<char>() + worker * own);
    float* product = tiles + tiles_size;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row0 = i % parts * rows, here = min64(rows, t.out_channels - row0);
      if (here <= 0) continue;
      const int64_t group = i / parts / blocks, panel0 = i / parts % blocks * block;
      const int64_t panels = min64(block, tiling.panels - panel0);
      Span spans[8][kTiles];
      int made[8];
      // tiles: [ξ][panel][channel][lane]
      const int64_t panel = t.channels * kTiles, step = panels * panel;
      for (int64_t p = 0; p < panels; ++p) {
        made[p] = cut_spans(t, (panel0 + p) * kTiles, total, spans[p]);
        transform_input(t, laid, v.x.shape[1], group * t.channels, spans[p], made[p],
                        tiles + p * panel, step);
      }
      const int64_t product_step = here * panels * kTiles;
      for (int xi = 0; xi < 16; ++xi) {
        conv_product<float>(
            here, panels, t.channels, u + xi * size + (group * t.out_channels + row0) * t.channels,
            t.channels, tiles + xi * step, panel, product + xi * product_step, false);
      }
      for (int64_t r = 0; r < here; ++r) {
        for (int64_t p = 0; p < panels; ++p) {
          write_panel(v, product + (r * panels + p) * kTiles, product_step,
                      group * t.out_channels + row0 + r, spans[p], made[p]);
        }
      }
    }
  });
  return nullptr;
}

const char* winograd_weight(const Arg* args, int) {
  const View &out = *args[0].a, &weight = *args[1].a;
  if (out.dtype != DType::f32 || weight.dtype != DType::f32 || weight.ndim != 4 || out.ndim != 3 ||
      weight.shape[2] != 3 || weight.shape[3] != 3 || out.shape[0] != 16 ||
      out.shape[1] != weight.shape[0] || out.shape[2] != weight.shape[1] || !out.contiguous())
    return "winograd_weight: expected kernels of 3 x 3 in f32, and 16 results for each";
  if (weight.size() == 0) return nullptr;
  Scratch memory(plain_bytes<float>(weight));
  if (!memory.as<char>()) return "winograd_weight: out of memory";
  transform_weight(weight.shape[0], weight.shape[1], plain<float>(weight, memory.as<float>()),
                   out.ptr<float>());
  return nullptr;
}

}  // namespace tl::TL_ISA
