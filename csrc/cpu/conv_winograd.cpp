// Winograd's way for kernels of 3 × 3 and stride 1 (Lavin & Gray 2016): tiles of inputs and the
// kernels are transformed, (k + 2)² products replace 9 k² multiplications by each kernel element,
// and the results are transformed back. The tiles lie in the lanes of a panel. k = 2, or 4 where
// weights were transformed for that. Sets of narrow vectors do without.
#include "conv_winograd.h"

namespace tl::TL_ISA {

namespace {

// Rows with their padding, a phase of the tiles' step after another, so that what an element of all
// tiles of a row reads is a contiguous line. `lines`: a padded row for each thread.
void lay_out_tiles(const Conv& v, const Tiles& t, float* to, float* lines, int64_t pitch) {
  const View& x = v.x;
  const Grids grids(v);
  const int64_t step = grids.along, width = x.shape[4];
  auto columns = [&](int64_t n) { return step == 1 ? n : ceil_div(n, step); };
  const int64_t all = grids.images(v) * x.shape[1], rows = t.out * t.high + 2;
  parallel_for(all * rows, 1 + 8192 / t.line, [&](int64_t begin, int64_t end, int worker) {
    float* padded = lines + worker * pitch;
    memset(padded, 0, pitch * sizeof(float));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i / rows % x.shape[1];
      int64_t y, left;
      const int64_t n = grids.image(i / rows / x.shape[1], &y, &left);
      y += i % rows * grids.down + v.offset[1], left += v.offset[2];
      if (y < 0 || y >= x.shape[3]) {
        memset(to + i * t.line, 0, t.line * sizeof(float));
        continue;
      }
      const int64_t low = left < 0 ? min64(columns(-left), t.line) : 0;
      const int64_t high = max64(low, left < width ? min64(t.line, columns(width - left)) : 0);
      // Lines of grids differ in where they begin and end; more of the line before than this one
      // covers would stay.
      if (step > 1) memset(padded, 0, t.line * sizeof(float));
      copy_line<float>(x,
                       n * x.strides[0] + c * x.strides[1] + y * x.strides[3] +
                           (left + low * step) * x.strides[4],
                       step * x.strides[4], high - low, padded + low);
      (t.out == 4 ? part_phases<4> : part_phases<2>)(padded, t.phase, to + i * t.line);
    }
  });
}

template <int... kLane>
TL_INLINE vf every_ninth(const float* p, std::integer_sequence<int, kLane...>) {
  return vf{p[9 * kLane]...};
}

// u[ξ][row][channel] = G g Gᵀ of F(2 × 2), a vector of channels at a time.
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

typedef double doubles __attribute__((vector_size(32)));
typedef float floats __attribute__((vector_size(16)));

// u = G g Gᵀ of four kernels, a lane each; `u` has `step` floats for each element.
TL_INLINE void transform_four(int in, const double (*g)[3], const double (*lanes)[4], float* u,
                              int64_t step) {
  doubles kernel[9], half[6][3];
  memcpy(kernel, lanes, sizeof kernel);
  for (int y = 0; y < in; ++y) {
    for (int k = 0; k < 3; ++k)
      half[y][k] = g[y][0] * kernel[k] + g[y][1] * kernel[3 + k] + g[y][2] * kernel[6 + k];
  }
  for (int y = 0; y < in; ++y) {
    for (int x = 0; x < in; ++x, u += step) {
      const floats made = __builtin_convertvector(
          half[y][0] * g[x][0] + half[y][1] * g[x][1] + half[y][2] * g[x][2], floats);
      memcpy(u, &made, sizeof made);
    }
  }
}

// The same in strips, with G of `in` rows; rows: of one group. In double: the rounding of weights
// would be a part of the results' error that nothing averages out. Results of some channels are put
// together first: those of a kernel often lie a multiple of 4096 bytes apart, in one set of a
// cache.
void transform_strips(int in, const double (*g)[3], int64_t rows, int64_t groups, int64_t channels,
                      const float* weight, float* u) {
  constexpr int64_t kPiece = 64;
  const int64_t whole = rows_of_strips(rows), size = groups * whole * channels;
  const int64_t strips = ceil_div(rows, kPanelRows);
  parallel_for(groups * strips, 1 + 256 / channels, [&](int64_t begin, int64_t end, int) {
    float piece[36 * kPiece];
    double lanes[9][4] = {};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / strips, first = i % strips * kPanelRows;
      const int64_t some = strip_rows(rows - first), count = channels * some;
      float* to = u + (group * whole + first) * channels;
      int64_t row = 0, c = 0;  // of the strip; rows of one channel follow each other
      for (int64_t j0 = 0; j0 < count; j0 += kPiece, to += kPiece) {
        const int64_t n = min64(kPiece, count - j0);
        for (int64_t j = 0; j < n; ++j) {
          const bool given = first + row < rows;
          const float* from =
              given ? weight + ((group * rows + first + row) * channels + c) * 9 : nullptr;
          for (int k = 0; k < 9; ++k) lanes[k][j % 4] = given ? from[k] : 0;
          if (++row == some) row = 0, ++c;
          if (j % 4 == 3 || j + 1 == n) transform_four(in, g, lanes, piece + j / 4 * 4, kPiece);
        }
        for (int xi = 0; xi < in * in; ++xi)
          memcpy(to + xi * size, piece + xi * kPiece, n * sizeof(float));
      }
    }
  });
}

// A panel of transformed tiles of a group's channels, from channel c0 on.
template <int kOut>
void transform_input(const Tiles& t, const float* laid, int64_t all_channels, int64_t c0,
                     const Spans& spans, int64_t used, float* to, int64_t step) {
  constexpr int kIn = kOut + 2;
  int64_t shifts[kIn * kIn];
  for (int i = 0; i < kIn * kIn; ++i)
    shifts[i] = i / kIn * t.line + i % kIn % kOut * t.phase + i % kIn / kOut;
  for (int64_t lane0 = 0; lane0 < used; lane0 += kLanes, to += kLanes) {
    const float* from[kLanes];
    vi masks[kLanes];
    int pieces = 0;
    for (int s = 0; s < spans.made; ++s) {
      const Span& span = spans.at[s];
      const int64_t low = span.lane - lane0, high = low + span.count;
      if (low >= kLanes || high <= 0) continue;
      masks[pieces] = lanes_between(static_cast<int>(low), static_cast<int>(high));
      from[pieces++] =
          laid + (span.n * all_channels + c0) * t.plane + kOut * span.y * t.line + span.x - low;
    }
    float* line = to;
    for (int64_t c = 0; c < t.channels; ++c, line += kTiles) {
      alignas(64) float d[kIn * kIn * kLanes];
      for (int i = 0; i < kIn * kIn; ++i) {
        vi a = (vi)load_masked(from[0] + shifts[i], masks[0]);
        for (int s = 1; s < pieces; ++s) a |= (vi)load_masked(from[s] + shifts[i], masks[s]);
        store(d + i * kLanes, (vf)a);
      }
      transform_tiles<kOut>(d, line, step);
      for (int s = 0; s < pieces; ++s) from[s] += t.plane;
    }
  }
}

// One row (channel) of one panel, written to the image.
void write_panel(const Conv& v, const Tiles& t, const float* m, int64_t step, int64_t row,
                 const Spans& spans, int64_t used) {
  alignas(64) float image[4 * 4 * kTiles + kLanes];
  const float bias = v.has_bias ? scalar_at<float>(v.bias, row * v.bias.strides[0]) : 0;
  for (int64_t lane = 0; lane < used; lane += kLanes) {
    if (t.out == 4)
      transform_back<4>(m + lane, step, image + 4 * lane);
    else
      transform_back<2>(m + lane, step, image + 2 * lane);
  }
  // Only lines in one piece get more than sums at once.
  const bool activated = activates_tile(v) && v.dilation[2] == 1;
  if (activated) {
    add_to_line(image, t.out * t.out * kTiles, bias);
    activate(v, image, t.out * t.out * kTiles);
  }
  const View& out = v.out;
  for (int s = 0; s < spans.made; ++s) {
    const Span& span = spans.at[s];
    const int64_t at = span.at + row * out.strides[1], step = v.dilation[1] * out.strides[3];
    for (int64_t i = 0; i < span.lines; ++i) {
      const float* from = image + t.out * (i * kTiles + span.lane);
      if (v.dilation[2] > 1) {
        write_line<float>(out, at + i * step, v.dilation[2] * out.strides[4], span.width, from,
                          bias);
        continue;
      }
      write_results<float>(v, at + i * step, span.width, from, activated ? -0.0f : bias);
      if (!activated) activate(v, out.ptr<float>() + at + i * step, span.width);
    }
  }
}

// How the tiles are cut into tasks.
struct Cut {
  int64_t panels, block, blocks;  // panels in all, of a task; tasks over them
  int64_t parts, rows;            // tasks over the rows of a group, rows of one

  Cut(const Tiles& t, int64_t total) : panels(ceil_div(total, kTiles)), block(1) {
    const int64_t threads = num_threads();
    // Weights that fit no cache are read from memory for each block; others cost little, and tiles
    // and products of one panel stay near.
    const bool large = (t.out + 2) * (t.out + 2) * t.channels * t.out_channels > int64_t{1} << 21;
    double best = 0;
    for (int64_t b = 1; b <= 8 && b <= panels; ++b) {
      const double cost =
          ceil_div(ceil_div(panels, b) * t.groups, threads) * (b + (large ? 0.4 : 0.05));
      if (b == 1 || cost < best) {
        best = cost;
        block = b;
      }
    }
    blocks = ceil_div(panels, block);
    // Few panels: the threads share their rows, and each transforms the input for its own.
    parts = min64(ceil_div(threads, t.groups * blocks), ceil_div(t.out_channels, 48));
    rows = ceil_div(ceil_div(t.out_channels, parts), kPanelRows) * kPanelRows;
  }
};

// A template, so that sets of narrow vectors leave all of it out.
template <int kWidth>
const char* run(const Conv& v) {
  if constexpr (kWidth < 8) return "conv: no Winograd in this build";
  const Tiles t(v, v.winograd_out);
  const int64_t products = (t.out + 2) * (t.out + 2);
  // What belongs to a ξ is a line further from the one before than a power of two.
  constexpr int kGap = 16;
  const int64_t total = t.count(v), whole = rows_of_strips(t.out_channels);
  const int64_t size = (v.transformed ? t.groups * whole : v.weight.shape[0]) * t.channels;
  const Cut cut(t, total);
  const int64_t wide = cut.block * kTiles, pitch = t.line + t.out * kLanes;
  const int64_t tiles_size = products * (wide * t.channels + kGap),
                product_size = products * (wide * min64(whole, cut.rows) + kGap);
  const size_t own = (tiles_size + product_size + 32) * sizeof(float);
  Scratch memory(own * num_threads()),
      u_memory(v.transformed ? 64 : 16 * size * sizeof(float) + 64),
      laid_memory((Grids(v).images(v) * v.x.shape[1] * t.plane + num_threads() * pitch + 32) *
                  sizeof(float)),
      weight_memory(v.transformed ? 64 : plain_bytes<float>(v.weight));
  if (!memory.as<char>() || !u_memory.as<char>() || !laid_memory.as<char>() ||
      !weight_memory.as<char>())
    return "conv: out of memory";
  const float* u = v.transformed ? v.transformed : u_memory.as<float>();
  float *lines = laid_memory.as<float>(), *laid = lines + num_threads() * pitch;
  if (!v.transformed)
    transform_weight(v.weight.shape[0], t.channels,
                     plain<float>(v.weight, weight_memory.as<float>()), u_memory.as<float>());
  lay_out_tiles(v, t, laid, lines, pitch);
  parallel_for(t.groups * cut.blocks * cut.parts, 1, [&](int64_t begin, int64_t end, int worker) {
    float* tiles = reinterpret_cast<float*>(memory.as<char>() + worker * own);
    float* product = tiles + tiles_size;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row0 = i % cut.parts * cut.rows, here = min64(cut.rows, t.out_channels - row0);
      if (here <= 0) continue;
      const int64_t group = i / cut.parts / cut.blocks,
                    panel0 = i / cut.parts % cut.blocks * cut.block;
      const int64_t panels = min64(cut.block, cut.panels - panel0);
      Spans spans[8];
      int64_t used[8];
      // tiles: [ξ][panel][channel][lane]
      const int64_t panel = t.channels * kTiles, step = panels * panel + kGap;
      for (int64_t p = 0; p < panels; ++p) {
        const int64_t first = (panel0 + p) * kTiles;
        used[p] = min64(kTiles, total - first);
        spans[p].cut(v, t, first, total);
        (t.out == 4 ? transform_input<4> : transform_input<2>)(t, laid, v.x.shape[1],
                                                               group * t.channels, spans[p],
                                                               used[p], tiles + p * panel, step);
      }
      const bool half = used[panels - 1] <= kLanes;
      const int64_t made = v.transformed ? rows_of_strips(here) : here;
      const int64_t product_step = made * panels * kTiles + kGap;
      for (int xi = 0; xi < products; ++xi) {
        const float* b = tiles + xi * step;
        float* to = product + xi * product_step;
        if (v.transformed) {
          strip_product(here, panels, half, t.channels,
                        u + xi * size + (group * whole + row0) * t.channels, b, panel, to);
        } else {
          conv_product<float>(here, panels, t.channels,
                              u + xi * size + (group * t.out_channels + row0) * t.channels,
                              t.channels, b, panel, to, false);
        }
      }
      for (int64_t r = 0; r < here; ++r) {
        for (int64_t p = 0; p < panels; ++p) {
          write_panel(v, t, product + (r * panels + p) * kTiles, product_step,
                      group * t.out_channels + row0 + r, spans[p], used[p]);
        }
      }
    }
  });
  return nullptr;
}

// act(out + residual) in place.
void end_results(const Conv& v) {
  if (!v.residual && !v.clamped && !v.act) return;
  constexpr int64_t kPiece = 4096;
  float* out = v.out.ptr<float>();
  const int64_t size = v.out.size();
  parallel_for(ceil_div(size, kPiece), 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t at = begin * kPiece; at < min64(end * kPiece, size); at += kPiece) {
      const int64_t n = min64(kPiece, size - at);
      write_clamped(v, at, n, out + at, -0.0f);
      activate(v, out + at, n);
    }
  });
}

}  // namespace

bool winograd_computes(const Conv& v) {
  if constexpr (kLanes < 8) return false;
  if (v.out.dtype == DType::f64 || v.out.shape[2] != 1 || v.weight.shape[2] != 1 ||
      v.weight.shape[3] != 3 || v.weight.shape[4] != 3 || v.x.shape[2] != 1 || v.offset[0] != 0)
    return false;
  for (int i = 1; i < 3; ++i) {
    if (v.stride[i] != 1 || v.out.shape[2 + i] / v.dilation[i] < 3) return false;
  }
  return true;
}

bool winograd_fits(const Conv& v) {
  if (!winograd_computes(v) || v.dilation[1] != 1 || v.dilation[2] != 1) return false;
  // Transforming the weights and tiles must be worth it.
  const Tiles t(v, 2);
  return t.channels >= 24 && t.out_channels >= 24 && t.count(v) >= 40;
}

const char* winograd(const Conv& v) {
  if (v.transformed && v.transformed_rows != v.groups * rows_of_strips(v.out_channels()))
    return "conv_transformed: expected rows in strips";
  const char* error = run<kLanes>(v);
  if (!error && v.dilation[2] > 1) end_results(v);
  return error;
}

const char* winograd_weight(const Arg* args, int) {
  const View &out = *args[0].a, &weight = *args[1].a;
  const int64_t groups = args[2].i;
  if (out.dtype != DType::f32 || weight.dtype != DType::f32 || weight.ndim != 4 || out.ndim != 3 ||
      weight.shape[2] != 3 || weight.shape[3] != 3 || (out.shape[0] != 16 && out.shape[0] != 36) ||
      groups < 1 || weight.shape[0] % groups ||
      out.shape[1] != groups * rows_of_strips(weight.shape[0] / groups) ||
      out.shape[2] != weight.shape[1] || !out.contiguous())
    return "winograd_weight: expected kernels of 3 x 3 in f32, and 16 or 36 results for each";
  if (weight.size() == 0) return nullptr;
  Scratch memory(plain_bytes<float>(weight));
  if (!memory.as<char>()) return "winograd_weight: out of memory";
  const bool four = out.shape[0] == 36;
  transform_strips(four ? 6 : 4, four ? Winograd<4>::kernel : Winograd<2>::kernel,
                   weight.shape[0] / groups, groups, weight.shape[1],
                   plain<float>(weight, memory.as<float>()), out.ptr<float>());
  return nullptr;
}

}  // namespace tl::TL_ISA
