// Convolution as a product with the patches of the input, which are packed straight into the panels
// that the micro-kernel reads; no matrix of all patches is ever made.
#pragma once
#include "conv.h"

namespace tl::TL_ISA {

// Neighbouring outputs of one row of the image.
struct Run {
  int64_t n, z, y, x;
  int lane, count;
};

// Cuts outputs first … first + count (counted over batch and image) into runs; returns how many.
TL_INLINE int cut_runs(const Conv& v, int64_t first, int count, Run* runs) {
  const int64_t width = v.out.shape[4], height = v.out.shape[3], depth = v.out.shape[2];
  Run at;
  at.x = first % width;
  int64_t rest = first / width;
  at.y = rest % height;
  rest /= height;
  at.z = rest % depth;
  at.n = rest / depth;
  int made = 0;
  for (int lane = 0; lane < count;) {
    at.lane = lane;
    at.count = static_cast<int>(min64(count - lane, width - at.x));
    runs[made++] = at;
    lane += at.count;
    at.x = 0;
    if (++at.y < height) continue;
    at.y = 0;
    if (++at.z < depth) continue;
    at.z = 0;
    ++at.n;
  }
  return made;
}

// What one kernel element reads of one run: lanes low … high - 1 come from `data + lane`.
template <class T>
struct Segment {
  const T* data;
  int low, high;
};

// One line of a panel for each channel, from the segments of one kernel element.
template <class T>
TL_INLINE void pack_lines(const Segment<T>* segments, int made, int64_t channel, int64_t count,
                          T* to, int64_t step) {
  constexpr int kN = kPanelColumns<T>;
  if (made == 1 && segments[0].low == 0 && segments[0].high == kN) {
    const T* from = segments[0].data;
    for (int64_t c = 0; c < count; ++c, from += channel, to += step) {
      // Channels lie pages apart; the next panel will read on from here.
      __builtin_prefetch(from + kN);
      memcpy(to, from, kN * sizeof(T));
    }
    return;
  }
  if constexpr (__is_same(T, float) && kLanes > 4) {
    auto masked = [&]<int kPieces>() {
      const float* from[kPieces];
      vi low[kPieces], high[kPieces];
      for (int i = 0; i < kPieces; ++i) {
        from[i] = segments[i].data;
        low[i] = lanes_between(segments[i].low, segments[i].high);
        high[i] = lanes_between(segments[i].low - kLanes, segments[i].high - kLanes);
      }
      for (int64_t c = 0; c < count; ++c, to += step) {
        vf a = load_masked(from[0], low[0]), b = load_masked(from[0] + kLanes, high[0]);
        for (int i = 1; i < kPieces; ++i) {
          a = (vf)((vi)a | (vi)load_masked(from[i], low[i]));
          b = (vf)((vi)b | (vi)load_masked(from[i] + kLanes, high[i]));
        }
        for (int i = 0; i < kPieces; ++i) from[i] += channel;
        store(to, a);
        store(to + kLanes, b);
      }
    };
    switch (made) {
      case 1:
        return masked.template operator()<1>();
      case 2:
        return masked.template operator()<2>();
      case 3:
        return masked.template operator()<3>();
      case 4:
        return masked.template operator()<4>();
      default:
        break;
    }
  }
  for (int64_t c = 0; c < count; ++c, to += step) {
    for (int i = 0; i < kN; ++i) to[i] = 0;
    for (int i = 0; i < made; ++i) {
      const T* from = segments[i].data + c * channel;
      for (int lane = segments[i].low; lane < segments[i].high; ++lane) to[lane] = from[lane];
    }
  }
}

// A panel of patches: to[(c·kernel_elements + t)·columns + lane] for channels 0 … count - 1 of
// `data`.
template <class T>
inline void pack_patches(const Conv& v, const Input<T>& in, const T* data, int64_t count,
                         const Run* runs, int run_count, T* to) {
  constexpr int kN = kPanelColumns<T>;
  const int64_t kernel = v.weight.shape[4], step = v.kernel_elements() * kN;
  for (int64_t kz = 0; kz < v.weight.shape[2]; ++kz) {
    for (int64_t ky = 0; ky < v.weight.shape[3]; ++ky, to += kernel * kN) {
      // The runs whose row lies inside, and where their line begins.
      const Run* inside[kN];
      const T* lines[kN];
      int rows = 0;
      for (int r = 0; r < run_count; ++r) {
        const Run& run = runs[r];
        const int64_t z = run.z * v.stride[0] + v.offset[0] + kz * v.dilation[0];
        const int64_t y = run.y * v.stride[1] + v.offset[1] + ky * v.dilation[1];
        if (z < 0 || z >= v.x.shape[2] || y < 0 || y >= v.x.shape[3]) continue;
        inside[rows] = &run;
        lines[rows++] = data + run.n * in.n + z * in.d + y * in.h + run.x - run.lane;
      }
      for (int64_t kx = 0; kx < kernel; ++kx) {
        const KernelElement& element = in.elements[kx];
        Segment<T> segments[kN];
        int made = 0;
        for (int r = 0; r < rows; ++r) {
          const Run& run = *inside[r];
          const int64_t low = max64(run.x, element.low),
                        high = min64(run.x + run.count, element.high);
          if (low >= high) continue;
          const int64_t shift = run.lane - run.x;
          segments[made++] = {lines[r] + element.at, static_cast<int>(low + shift),
                              static_cast<int>(high + shift)};
        }
        pack_lines<T>(segments, made, in.c, count, to + kx * kN, step);
      }
    }
  }
}

template <class T>
TL_INLINE T bias_of(const Conv& v, int64_t row) {
  return v.has_bias ? scalar_at<T>(v.bias, row * v.bias.strides[0]) : T(0);
}

// Activates the sums of a tile where that is done before they are written; whether it was.
template <class T>
inline bool end_tile(const Conv& v, int64_t row0, int64_t rows, T* tile, int64_t tile_row) {
  if constexpr (__is_same(T, float)) {
    if (activates_tile(v)) {
      for (int64_t r = 0; r < rows; ++r)
        add_to_line(tile + r * tile_row, tile_row, bias_of<T>(v, row0 + r));
      activate(v, tile, rows * tile_row);
      return true;
    }
  }
  return false;
}

// out[…, row, …] for a block of outputs first … first + count: lines of the tile, `tile_row` apart.
template <class T>
inline void write_outputs(const Conv& v, int64_t row0, int64_t rows, int64_t first, int64_t count,
                          const T* tile, int64_t tile_row, bool activated) {
  const View& out = v.out;
  const int64_t width = out.shape[4], out_positions = v.out_positions();
  const bool flat = (out.shape[3] == 1 || out.strides[3] == width * out.strides[4]) &&
                    (out.shape[2] == 1 || out.strides[2] == out.shape[3] * width * out.strides[4]);
  const int64_t line = flat ? out_positions : width;
  for (int64_t i = 0; i < count;) {
    const int64_t at = first + i, n = at / out_positions, pixel = at % out_positions;
    const int64_t here = min64(count - i, line - pixel % line);
    const int64_t x = pixel % width, y = pixel / width % out.shape[3],
                  z = pixel / width / out.shape[3];
    const int64_t offset =
        n * out.strides[0] + z * out.strides[2] + y * out.strides[3] + x * out.strides[4];
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t to = offset + (row0 + r) * out.strides[1];
      write_results<T>(v, to, here, tile + r * tile_row + i,
                       activated ? T(-0.0) : bias_of<T>(v, row0 + r));
      if constexpr (__is_same(T, float)) {
        if (!activated) activate(v, out.ptr<float>() + to, here);
      }
    }
    i += here;
  }
}

// How the outputs of one group are cut into tasks.
struct Tiling {
  int64_t panels;  // of the whole group
  int64_t block;   // panels per task
  int64_t rows;    // rows per task
  int64_t row_blocks, column_blocks;
  bool shared;  // few panels: all packed first, tasks split the rows

  // Blocks of `step` panels, twice or more; each has a surplus that costs as much as some panels.
  Tiling(int64_t columns, int64_t width, int64_t all_rows, int64_t groups, int64_t most = 8,
         int64_t step = 1, double surplus = 0.15) {
    const int64_t threads = num_threads();
    panels = ceil_div(columns, width);
    shared = panels <= 8 && threads > 1 && panels * groups < 8 * threads && all_rows >= 48;
    if (shared) {
      block = panels;
      rows = ceil_div(ceil_div(all_rows, 2 * threads), kPanelRows) * kPanelRows;
    } else {
      row_blocks = ceil_div(all_rows, 288);
      rows = ceil_div(ceil_div(all_rows, row_blocks), kPanelRows) * kPanelRows;
      // Wide blocks reuse a strip of weights more often; their number should divide evenly.
      double best = 0;
      block = step = step <= most && step <= panels ? step : 1;
      for (int64_t b = step; b <= most && b <= panels; b += step) {
        const int64_t tasks = ceil_div(panels, b) * ceil_div(all_rows, rows) * groups;
        const double cost = ceil_div(tasks, threads) * (static_cast<double>(b) + surplus);
        if (b == step || cost < best) {
          best = cost;
          block = b;
        }
      }
    }
    row_blocks = ceil_div(all_rows, rows);
    column_blocks = ceil_div(panels, block);
  }
};

// Channels whose patches are packed at once: about kDepth lines.
TL_INLINE int64_t channels_at_once(int64_t channels, int64_t kernel_elements) {
  return min64(channels, max64(1, (kDepth + 8) / kernel_elements));
}

template <class T>
inline const char* conv_by_product(const Conv& v) {
  constexpr int kN = kPanelColumns<T>;
  const int64_t kernel_elements = v.kernel_elements(), channels = v.channels(),
                depth = channels * kernel_elements, out_channels = v.out_channels();
  const int64_t out_positions = v.out_positions(), columns = v.batch() * out_positions;
  const Tiling tiling(columns, kN, out_channels, v.groups);
  const int64_t at_once = channels_at_once(channels, kernel_elements);
  const int64_t panel = at_once * kernel_elements * kN;  // elements of a packed panel of one step
  const int64_t steps = ceil_div(channels, max64(1, at_once));
  const size_t tile_bytes = (tiling.rows * tiling.block * kN * sizeof(T) + 63) / 64 * 64;
  const size_t pack_bytes = tiling.block * panel * sizeof(T);
  const size_t own = tile_bytes + (tiling.shared ? 0 : pack_bytes) + 64;
  Scratch own_memory(own * num_threads()), input_memory(Input<T>::bytes(v)),
      weight_memory(plain_bytes<T>(v.weight)),
      shared_memory(tiling.shared ? v.groups * steps * pack_bytes + 64 : 64);
  if (!own_memory.as<char>() || !input_memory.as<char>() || !weight_memory.as<char>() ||
      !shared_memory.as<char>())
    return "conv: out of memory";
  const T* weight = plain<T>(v.weight, weight_memory.as<T>());
  const Input<T> in(v, input_memory.as<char>());

  auto pack = [&](int64_t group, int64_t step, int64_t panel0, int64_t count, T* to) {
    const int64_t c0 = step * at_once, some = min64(at_once, channels - c0);
    const T* data = in.data + (group * channels + c0) * in.c;
    for (int64_t p = 0; p < count; ++p) {
      Run runs[kN];
      const int64_t first = (panel0 + p) * kN;
      const int made = cut_runs(v, first, static_cast<int>(min64(kN, columns - first)), runs);
      pack_patches<T>(v, in, data, some, runs, made, to + p * panel);
    }
  };
  T* shared = shared_memory.as<T>();
  if (tiling.shared) {
    parallel_for(v.groups * steps * tiling.panels, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t p = i % tiling.panels, step = i / tiling.panels;
        pack(step / steps, step % steps, p, 1, shared + (step * tiling.panels + p) * panel);
      }
    });
  }
  const int64_t tasks = v.groups * tiling.row_blocks * tiling.column_blocks;
  parallel_for(tasks, 1, [&](int64_t begin, int64_t end, int worker) {
    char* mine = own_memory.as<char>() + worker * own;
    T *tile = reinterpret_cast<T*>(mine), *packed = reinterpret_cast<T*>(mine + tile_bytes);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row_block = i % tiling.row_blocks, rest = i / tiling.row_blocks;
      const int64_t panel0 = rest % tiling.column_blocks * tiling.block,
                    group = rest / tiling.column_blocks;
      const int64_t panels = min64(tiling.block, tiling.panels - panel0),
                    row0 = row_block * tiling.rows;
      const int64_t here = min64(tiling.rows, out_channels - row0),
                    first_row = group * out_channels + row0;
      for (int64_t step = 0; step < steps; ++step) {
        const int64_t c0 = step * at_once, some = min64(at_once, channels - c0);
        const T* b = packed;
        if (tiling.shared)
          b = shared + (group * steps + step) * tiling.panels * panel;
        else
          pack(group, step, panel0, panels, packed);
        conv_product<T>(here, panels, some * kernel_elements,
                        weight + first_row * depth + c0 * kernel_elements, depth, b, panel, tile,
                        step > 0);
      }
      if (depth == 0) memset(tile, 0, here * panels * kN * sizeof(T));
      const int64_t first = panel0 * kN;
      const bool activated = end_tile(v, first_row, here, tile, panels * kN);
      write_outputs<T>(v, first_row, here, first, min64(panels * kN, columns - first), tile,
                       panels * kN, activated);
    }
  });
  return nullptr;
}

}  // namespace tl::TL_ISA
