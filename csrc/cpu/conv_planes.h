// Convolution of images as a product whose patches are packed by way of planes: some rows of a
// channel are laid out so that what one kernel element reads under neighbouring outputs is a
// contiguous line. Planes stay in the nearest cache, and a line of a panel is a copy without masks
// and borders. (Reading the lines in the product saves the copies and takes 1.2 times as long: they
// are many, and cut by cache lines.)
#pragma once
#include "conv_gemm.h"

namespace tl::TL_ISA {

inline constexpr int kMostSlots = 32, kMostPanels = 32;

// Planes of a channel: for each phase of the rows one for each element of the kernel's rows, as
// wide as the output, so that panels run on over its rows; or, where panels fit into a row, one for
// each phase of the columns. Output (y, x) reads y · pitch + x beyond where a kernel element
// begins. Where small images would leave much of their last panels empty, each kernel element has a
// plane, in which rows of the output follow each other over all images.
struct Planes {
  int64_t row_phases, slots, pitch, width;
  int64_t extra_rows;         // of a plane, beyond those of the output
  int64_t images, positions;  // of one image, or of all in one line
  bool by_element, joined;

  explicit Planes(const Conv& v) {
    constexpr int kN = kPanelColumns<float>;
    const View &w = v.weight, &out = v.out;
    const int64_t down = (w.shape[3] - 1) * v.dilation[1], along = (w.shape[4] - 1) * v.dilation[2];
    width = out.shape[4];
    by_element = width % kN != 0;
    positions = v.out_positions();
    joined = by_element && v.batch() > 1 && positions < 8 * kN && positions % kN != 0;
    images = joined ? 1 : v.batch();
    if (joined) positions *= v.batch();
    row_phases = joined ? w.shape[3] : min64(v.stride[1], down + 1);
    extra_rows = joined ? 0 : down / v.stride[1];
    slots = by_element ? w.shape[4] : min64(v.stride[2], along + 1);
    pitch = by_element ? out.shape[4] : out.shape[4] + along / v.stride[2];
  }
  int64_t size(int64_t rows) const {
    return row_phases * slots * (rows + extra_rows) * pitch + 2 * kPanelColumns<float>;
  }
  // Panels that end with a row of the output.
  int64_t whole_rows() const {
    constexpr int kN = kPanelColumns<float>;
    return joined ? 1 : width / common_divisor(width, kN);
  }
  // What a block of panels lays out beyond its own rows, in the time of the product of a panel.
  double surplus(const Conv& v) const {
    if (joined) return 0.15;
    const int64_t again = (v.weight.shape[3] - 1) * v.dilation[1] + 1 - row_phases;
    const double lines = static_cast<double>(slots * max64(0, again) * pitch) / 2;
    return 0.15 + lines / static_cast<double>(v.kernel_elements() * v.out_channels());
  }
  bool fits(const Conv& v) const {
    const View& x = v.x;
    if (slots > kMostSlots) return false;
    // Far dilations would lay out mostly zeros, or more than an integer can count.
    const double rows = static_cast<double>(v.out.shape[3] + extra_rows);
    const double size = static_cast<double>(row_phases * slots) * rows * static_cast<double>(pitch);
    return size < static_cast<double>(8 * x.shape[3] * x.shape[4] + 1024);
  }
  // Where the kernel elements begin in planes of some rows of the output.
  void shifts(const Conv& v, int64_t rows, int64_t* at) const {
    const int64_t plane = (rows + extra_rows) * pitch, s = v.stride[2];
    for (int64_t ky = 0; ky < v.weight.shape[3]; ++ky) {
      for (int64_t kx = 0; kx < v.weight.shape[4]; ++kx) {
        const int64_t dy = ky * v.dilation[1], dx = kx * v.dilation[2];
        const int64_t phase = joined ? ky : dy % v.stride[1];
        *at++ = (phase * slots + (by_element ? kx : dx % s)) * plane +
                (joined ? 0 : dy / v.stride[1] * pitch) + (by_element ? 0 : dx / s);
      }
    }
  }
};

// What of a line of each slot lies inside the image, and where that begins in x.
struct SlotLines {
  int64_t low[kMostSlots], count[kMostSlots], begin[kMostSlots];

  SlotLines(const Conv& v, const Planes& planes) {
    const int64_t s = v.stride[2], width = v.x.shape[4];
    for (int64_t i = 0; i < planes.slots; ++i) {
      const int64_t start = v.offset[2] + (planes.by_element ? i * v.dilation[2] : i);
      low[i] = min64(planes.pitch, start < 0 ? ceil_div(-start, s) : 0);
      const int64_t high = start < width ? min64(planes.pitch, ceil_div(width - start, s)) : 0;
      count[i] = max64(0, high - low[i]);
      begin[i] = (start + low[i] * s) * v.x.strides[4];
    }
  }
};

// Lays out what output rows y0 … y0 + rows read of channel c, from image n on, in planes of `most`
// rows of the output; what lies outside the image is left as it is.
inline void lay_out_rows(const Conv& v, const Planes& planes, const SlotLines& lines, int64_t n,
                         int64_t c, int64_t y0, int64_t rows, int64_t most, float* to) {
  const View& x = v.x;
  const int64_t step = v.stride[2] * x.strides[4], height = v.out.shape[3];
  const int64_t plane = (most + planes.extra_rows) * planes.pitch;
  const int64_t down = (v.weight.shape[3] - 1) * v.dilation[1];
  const bool halved = x.dtype == DType::f32 && step == 2;
  int64_t image = n * x.strides[0] + c * x.strides[1], r = y0;
  // Row after row of the image: memory is far.
  for (int64_t i = 0; i < rows + planes.extra_rows; ++i, ++r) {
    if (planes.joined && r == height) {
      r = 0;
      image += x.strides[0];
    }
    for (int64_t phase = 0; phase < planes.row_phases; ++phase) {
      if (!planes.joined && i >= rows + (down - phase) / v.stride[1]) continue;
      const int64_t top = v.offset[1] + (planes.joined ? phase * v.dilation[1] : phase);
      const int64_t y = r * v.stride[1] + top;
      if (y < 0 || y >= x.shape[3]) continue;
      const int64_t from = image + y * x.strides[3];
      float* row = to + phase * planes.slots * plane + i * planes.pitch;
      for (int64_t slot = 0; slot < planes.slots; ++slot) {
        float* line = row + slot * plane + lines.low[slot];
        const int64_t count = lines.count[slot], at = from + lines.begin[slot];
        if (halved && count >= 8)
          copy_halves(x.ptr<const float>() + at, count, line);
        else if (count > 0)
          copy_line<float>(x, at, step, count, line);
      }
    }
  }
}

// Some panels of outputs of one image.
struct PanelRun {
  int64_t n, y0, rows, first,
      count;                   // image, its output rows, the first of the panels and how many
  int64_t positions;           // results
  int64_t shift[kMostPanels];  // from the first of these rows on
};

// Cuts panels panel0 … panel0 + count, of which an image has `per_image`.
inline int cut_panels(const Conv& v, const Planes& planes, int64_t per_image, int64_t panel0,
                      int64_t count, PanelRun* runs) {
  constexpr int kN = kPanelColumns<float>;
  const int64_t width = v.out.shape[4];
  int made = 0;
  for (int64_t p = 0; p < count; ++made) {
    PanelRun& run = runs[made];
    const int64_t at = (panel0 + p) % per_image, q0 = at * kN;
    run.n = (panel0 + p) / per_image;
    run.first = p;
    run.count = min64(count - p, per_image - at);
    run.positions = min64(run.count * kN, planes.positions - q0);
    run.y0 = q0 / width;
    run.rows = (q0 + run.positions - 1) / width + 1 - run.y0;
    for (int64_t i = 0; i < run.count; ++i) {
      const int64_t q = q0 + i * kN;
      run.shift[i] = (q / width - run.y0) * planes.pitch + q % width;
    }
    if (planes.joined) {
      run.n = run.y0 / v.out.shape[3];
      run.y0 %= v.out.shape[3];
    }
    p += run.count;
  }
  return made;
}

// Patches of `count` channels from c0 on for the panels of some runs, panel after panel of k lines.
inline void pack_runs(const Conv& v, const Planes& planes, const SlotLines& lines,
                      const PanelRun* runs, int made, int64_t c0, int64_t count, int64_t most,
                      const int64_t* at, float* laid, float* to, int64_t panel) {
  const int64_t kernel_elements = v.kernel_elements();
  for (const PanelRun* run = runs; run < runs + made; ++run) {
    memset(laid, 0, planes.size(most) * sizeof(float));
    float* line = to + run->first * panel;
    for (int64_t c = 0; c < count; ++c) {
      lay_out_rows(v, planes, lines, run->n, c0 + c, run->y0, run->rows, most, laid);
      for (int64_t t = 0; t < kernel_elements; ++t, line += 2 * kLanes) {
        const float* from = laid + at[t];
        for (int64_t p = 0; p < run->count; ++p) {
          const float* lane = from + run->shift[p];
          const vf low = load(lane), high = load(lane + kLanes);
          store(line + p * panel, low);
          store(line + p * panel + kLanes, high);
        }
      }
    }
  }
}

// c (kRows × kVecs vectors) = or += a (kRows rows, `a_row` apart) · b (k × columns of a panel).
template <int kRows, int kVecs>
inline void planes_micro(int64_t k, const float* a, int64_t a_row, const float* b, float* c,
                         int64_t c_row, bool add) {
  vf acc[kRows][kVecs] = {};
  const float* line[kRows];
  for (int i = 0; i < kRows; ++i) line[i] = a + i * a_row;
  for (int64_t p = 0; p < k; ++p, b += 2 * kLanes) {
    vf x[kVecs];
    for (int j = 0; j < kVecs; ++j) x[j] = load(b + j * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const vf y = splat(line[i][p]);
#pragma GCC unroll 2
      for (int j = 0; j < kVecs; ++j) acc[i][j] = fma(y, x[j], acc[i][j]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVecs; ++j) {
      float* to = c + i * c_row + j * kLanes;
      store(to, add ? load(to) + acc[i][j] : acc[i][j]);
    }
  }
}

// c (rows × panels) = or += a · b (packed panels, `b_panel` apart); a panel whose bit is set in
// `halves` has one vector.
inline void planes_product(int64_t rows, int64_t panels, uint32_t halves, int64_t k, const float* a,
                           int64_t a_row, const float* b, int64_t b_panel, float* c, bool add) {
  const int64_t c_row = panels * 2 * kLanes;
  for (int64_t r = 0; r < rows;) {
    const int64_t left = rows - r, some = left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    const float* from = a + r * a_row;
    // The next rows lie pages away: they come from afar while these ones are multiplied.
    for (int64_t i = some; i < min64(left, 2 * some); ++i) {
      for (int64_t p = 0; p < k; p += 16) __builtin_prefetch(from + i * a_row + p, 0, 2);
    }
    for (int64_t p = 0; p < panels; ++p) {
      float* to = c + r * c_row + p * 2 * kLanes;
      const bool half = halves >> p & 1;
      (some == 6   ? half ? planes_micro<6, 1> : planes_micro<6, 2>
       : some == 4 ? half ? planes_micro<4, 1> : planes_micro<4, 2>
       : some == 2 ? half ? planes_micro<2, 1> : planes_micro<2, 2>
       : half      ? planes_micro<1, 1>
                   : planes_micro<1, 2>)(k, from, a_row, b + p * b_panel, to, c_row, add);
    }
    r += some;
  }
}

inline bool planes_fit(const Conv& v) {
  if (kLanes < 8 || v.out.dtype == DType::f64 || v.kernel_elements() < 2) return false;
  if (v.x.shape[2] != 1 || v.out.shape[2] != 1 || v.weight.shape[2] != 1 || v.offset[0] != 0)
    return false;
  // A block of panels lays out whole rows, of which a long one would be laid out again and again.
  if (v.out.shape[4] > 2 * kMostPanels * kPanelColumns<float>) return false;
  return Planes(v).fits(v);
}

inline const char* conv_by_planes(const Conv& v) {
  constexpr int kN = kPanelColumns<float>;
  const Planes planes(v);
  const int64_t kernel_elements = v.kernel_elements(), channels = v.channels(),
                depth = channels * kernel_elements, out_channels = v.out_channels();
  const int64_t per_image = ceil_div(planes.positions, kN);
  const Tiling tiling(planes.images * per_image * kN, kN, out_channels, v.groups, kMostPanels,
                      planes.whole_rows(), planes.surplus(v));
  const int64_t at_once = channels_at_once(channels, kernel_elements);
  const int64_t steps = ceil_div(channels, at_once), panel = at_once * kernel_elements * kN;
  const int64_t most =
      min64(planes.positions / v.out.shape[4], (tiling.block * kN - 2) / v.out.shape[4] + 2);
  const int64_t tile_size = tiling.rows * tiling.block * kN, pack_size = tiling.block * panel;
  const int64_t laid_size = (planes.size(most) + kN) / kN * kN;
  const size_t own = (laid_size + tile_size + (tiling.shared ? 0 : pack_size) + kN) * sizeof(float);
  Scratch memory(own * num_threads()), weight_memory(plain_bytes<float>(v.weight)),
      at_memory(kernel_elements * sizeof(int64_t)),
      shared_memory(tiling.shared ? v.groups * steps * pack_size * sizeof(float) : 64);
  if (!memory.as<char>() || !weight_memory.as<char>() || !at_memory.as<char>() ||
      !shared_memory.as<char>())
    return "conv: out of memory";
  const float* weight = plain<float>(v.weight, weight_memory.as<float>());
  int64_t* at = at_memory.as<int64_t>();
  planes.shifts(v, most, at);
  const SlotLines lines(v, planes);
  auto mine = [&](int worker) {
    return reinterpret_cast<float*>(memory.as<char>() + worker * own);
  };
  auto pack = [&](int64_t group, int64_t step, const PanelRun* runs, int made, float* laid,
                  float* to) {
    const int64_t c0 = step * at_once;
    pack_runs(v, planes, lines, runs, made, group * channels + c0, min64(at_once, channels - c0),
              most, at, laid, to, panel);
  };
  if (tiling.shared) {
    parallel_for(v.groups * steps, 1, [&](int64_t begin, int64_t end, int worker) {
      PanelRun runs[kMostPanels];
      const int made = cut_panels(v, planes, per_image, 0, tiling.panels, runs);
      for (int64_t i = begin; i < end; ++i)
        pack(i / steps, i % steps, runs, made, mine(worker),
             shared_memory.as<float>() + i * pack_size);
    });
  }
  const int64_t tasks = v.groups * tiling.row_blocks * tiling.column_blocks;
  parallel_for(tasks, 1, [&](int64_t begin, int64_t end, int worker) {
    float *laid = mine(worker), *tile = laid + laid_size, *packed = tile + tile_size;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row0 = i % tiling.row_blocks * tiling.rows, rest = i / tiling.row_blocks;
      const int64_t panel0 = rest % tiling.column_blocks * tiling.block,
                    group = rest / tiling.column_blocks;
      const int64_t panels = min64(tiling.block, tiling.panels - panel0);
      const int64_t here = min64(tiling.rows, out_channels - row0),
                    first_row = group * out_channels + row0;
      PanelRun runs[kMostPanels];
      const int made = cut_panels(v, planes, per_image, panel0, panels, runs);
      uint32_t halves = 0;
      for (const PanelRun* run = runs; run < runs + made; ++run) {
        if (run->count * kN - run->positions >= kLanes)
          halves |= 1u << (run->first + run->count - 1);
      }
      for (int64_t step = 0; step < steps; ++step) {
        const int64_t c0 = step * at_once, some = min64(at_once, channels - c0);
        const float* b = packed;
        if (tiling.shared)
          b = shared_memory.as<float>() + (group * steps + step) * pack_size;
        else
          pack(group, step, runs, made, laid, packed);
        planes_product(here, panels, halves, some * kernel_elements,
                       weight + first_row * depth + c0 * kernel_elements, depth, b, panel, tile,
                       step > 0);
      }
      const bool activated = end_tile(v, first_row, here, tile, panels * kN);
      for (const PanelRun* run = runs; run < runs + made; ++run) {
        const int64_t image = (panel0 + run->first) / per_image,
                      first = (panel0 + run->first) % per_image * kN;
        write_outputs(v, first_row, here, image * planes.positions + first, run->positions,
                      tile + run->first * kN, panels * kN, activated);
      }
    }
  });
  return nullptr;
}

}  // namespace tl::TL_ISA
