// The gradient of a convolution for its weight: a product over all output positions of the batch,
// the patches of the input packed as its right side.
#include "conv.h"

namespace tl::TL_ISA {
namespace {

// Patch elements of one (channel, kernel element) for the output positions first … first + count of
// image n.
template <class T>
void fill_line(const Conv& v, const Input<T>& in, int64_t channel, int64_t element, int64_t n,
               int64_t first, int64_t count, T* to) {
  const int64_t kw = v.weight.shape[4], kh = v.weight.shape[3], width = v.out.shape[4];
  const KernelElement& along = in.elements[element % kw];
  const int64_t y_off = v.offset[1] + element / kw % kh * v.dilation[1];
  const int64_t z_off = v.offset[0] + element / kw / kh * v.dilation[0];
  int64_t x = first % width, y = first / width % v.out.shape[3], z = first / width / v.out.shape[3];
  const T* base = in.data + n * in.n + channel * in.c + along.at;
  for (int64_t i = 0; i < count;) {
    const int64_t here = min64(count - i, width - x);
    const int64_t iz = z * v.stride[0] + z_off, iy = y * v.stride[1] + y_off;
    int64_t low = max64(x, along.low), high = min64(x + here, along.high);
    const T* from = base;
    if (iz < 0 || iz >= v.x.shape[2] || iy < 0 || iy >= v.x.shape[3] || high < low)
      low = high = x + here;
    else
      from += iz * in.d + iy * in.h;
    T* line = to + i - x;
    for (int64_t j = x; j < low; ++j) line[j] = 0;
    for (int64_t j = low; j < high; ++j) line[j] = from[j];
    for (int64_t j = high; j < x + here; ++j) line[j] = 0;
    i += here;
    x = 0;
    if (++y == v.out.shape[3]) {
      y = 0;
      ++z;
    }
  }
}

template <class T>
const char* weight_grad(const Conv& v) {
  constexpr int kN = kPanelColumns<T>;
  const int64_t kernel_elements = v.kernel_elements(), channels = v.channels(),
                out_channels = v.out_channels(), out_positions = v.out_positions();
  const int64_t columns = channels * kernel_elements, panels = ceil_div(columns, kN);
  // g needs output positions in one contiguous line; any stride between channels and images will
  // do.
  View g = v.out;
  const bool lines = g.dtype == (sizeof(T) == 8 ? DType::f64 : DType::f32) && g.strides[4] == 1 &&
                     (g.shape[3] == 1 || g.strides[3] == g.shape[4]) &&
                     (g.shape[2] == 1 || g.strides[2] == g.shape[3] * g.shape[4]);
  Scratch g_memory(lines ? 64 : g.size() * sizeof(T) + 64), input_memory(Input<T>::bytes(v));
  if (!g_memory.as<char>() || !input_memory.as<char>()) return "conv: out of memory";
  const Input<T> in(v, input_memory.as<char>());
  const T* grad = g.ptr<const T>();
  int64_t g_image = g.strides[0], g_row = g.strides[1];
  if (!lines) {
    grad = plain<T>(g, g_memory.as<T>());
    g_row = out_positions;
    g_image = out_positions * g.shape[1];
  }
  // Blocks: some 8 panels deep in L2, rows cut when there are too few blocks for the threads.
  const int64_t threads = num_threads();
  int64_t block = min64(panels, 8), row_blocks = ceil_div(out_channels, 288);
  while (block > 1 && v.groups * row_blocks * ceil_div(panels, block) < 2 * threads) --block;
  while (out_channels / row_blocks > 24 &&
         v.groups * row_blocks * ceil_div(panels, block) < 2 * threads)
    ++row_blocks;
  const int64_t some = ceil_div(ceil_div(out_channels, row_blocks), kPanelRows) * kPanelRows;
  row_blocks = ceil_div(out_channels, some);
  const int64_t blocks = ceil_div(panels, block), chunk = min64(out_positions, kDepth);
  const size_t tile_bytes = (some * block * kN * sizeof(T) + 63) / 64 * 64;
  const size_t line_bytes = (chunk * kN * sizeof(T) + 63) / 64 * 64;
  const size_t own = tile_bytes + line_bytes * (1 + block);
  Scratch memory(own * threads);
  if (!memory.as<char>()) return "conv: out of memory";
  const View& w = v.weight;
  const bool dense = w.contiguous();
  parallel_for(v.groups * row_blocks * blocks, 1, [&](int64_t begin, int64_t end, int worker) {
    char* mine = memory.as<char>() + worker * own;
    T* tile = reinterpret_cast<T*>(mine);
    T* line = reinterpret_cast<T*>(mine + tile_bytes);
    T* packed = reinterpret_cast<T*>(mine + tile_bytes + line_bytes);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row0 = i % row_blocks * some, rest = i / row_blocks;
      const int64_t panel0 = rest % blocks * block, group = rest / blocks;
      const int64_t here = min64(some, out_channels - row0), wide = min64(block, panels - panel0);
      bool add = false;
      for (int64_t n = 0; n < v.batch(); ++n) {
        for (int64_t first = 0; first < out_positions; first += chunk) {
          const int64_t count = min64(chunk, out_positions - first);
          for (int64_t p = 0; p < wide; ++p) {
            const int64_t column = (panel0 + p) * kN;
            const int used = static_cast<int>(min64(kN, columns - column));
            for (int j = 0; j < used; ++j) {
              fill_line<T>(v, in, group * channels + (column + j) / kernel_elements,
                           (column + j) % kernel_elements, n, first, count, line + j * chunk);
            }
            pack_panel<kN>(static_cast<const T*>(line), chunk, int64_t{1}, used, count,
                           packed + p * chunk * kN);
          }
          conv_product<T>(here, wide, count,
                          grad + n * g_image + (group * out_channels + row0) * g_row + first, g_row,
                          packed, chunk * kN, tile, add);
          add = true;
        }
      }
      for (int64_t r = 0; r < here; ++r) {
        const T* from = tile + r * wide * kN;
        if (dense) {
          const int64_t first = panel0 * kN;
          write_line<T>(w, (group * out_channels + row0 + r) * columns + first, 1,
                        min64(wide * kN, columns - first), from, T(0));
          continue;
        }
        for (int64_t j = 0; j < wide * kN && panel0 * kN + j < columns; ++j) {
          const int64_t column = panel0 * kN + j, element = column % kernel_elements;
          const int64_t at = (group * out_channels + row0 + r) * w.strides[0] +
                             column / kernel_elements * w.strides[1] +
                             element / (w.shape[4] * w.shape[3]) * w.strides[2] +
                             element / w.shape[4] % w.shape[3] * w.strides[3] +
                             element % w.shape[4] * w.strides[4];
          write_line<T>(w, at, 1, 1, from + j, T(0));
        }
      }
    }
  });
  return nullptr;
}

}  // namespace

const char* conv_weight_grad(const Conv& v) {
  if (depthwise_fits(v)) return depthwise_weight_grad(v);
  return for_computing(v.weight.dtype, "conv", [&]<class T>() { return weight_grad<T>(v); });
}

}  // namespace tl::TL_ISA
