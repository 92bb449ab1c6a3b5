// Depthwise convolution, every output channel reading one input channel: rows of the image are laid
// out padded and with their strides undone, so that each tap is one shift of a flat line.
#include "conv.h"

namespace tl::TL_ISA {

// The phases of a larger stride would hold more zeros than elements.
constexpr int kMostStride = 4;

bool depthwise_fits(const Conv& v) {
  if (v.channels() != 1 || v.out_channels() > 4 || v.stride[1] > kMostStride ||
      v.stride[2] > kMostStride)
    return false;
  // A far dilation would lay out mostly zeros, or more than there is memory for.
  const double rows = 1 + static_cast<double>(v.weight.shape[3] * v.dilation[1] / v.stride[1]);
  const double columns = static_cast<double>(v.out.shape[4]) +
                         static_cast<double>(v.weight.shape[4] * v.dilation[2] / v.stride[2]);
  return static_cast<double>(v.weight.shape[2] * v.stride[1] * v.stride[2]) * rows * columns <
         1 << 28;
}

namespace {

// Elements of a band: its layout for all depth taps should stay near L1.
constexpr int64_t kBand = 12288;

// The layout of the input rows behind some output rows: a plane for each (depth tap, phase of the
// row, phase of the column), `pitch` elements a row. Output (y, x) is element y·pitch + x, tap t
// reads `at[t]` further.
struct Layout {
  int64_t row_phases, column_phases;
  int64_t extra_rows, pitch;  // rows of a plane beyond those of the output
  int64_t most;               // output rows of one band

  explicit Layout(const Conv& v) {
    const View &w = v.weight, &out = v.out;
    row_phases = v.stride[1];
    column_phases = v.stride[2];
    extra_rows = (w.shape[3] - 1) * v.dilation[1] / v.stride[1];
    pitch = out.shape[4] + (w.shape[4] - 1) * v.dilation[2] / v.stride[2];
    const int64_t planes = w.shape[2] * row_phases * column_phases;
    most = min64(out.shape[3], max64(1, kBand / (planes * pitch) - extra_rows));
  }
  int64_t plane() const { return (most + extra_rows) * pitch; }
  int64_t flat(int64_t rows, int64_t width) const { return (rows - 1) * pitch + width; }
  // The sums read up to 4 vectors, or 7 rows, beyond the end.
  int64_t size(const Conv& v) const {
    return v.weight.shape[2] * row_phases * column_phases * plane() + 8 * pitch + 128;
  }
  void shifts(const Conv& v, int64_t* at) const {
    for (int64_t z = 0; z < v.weight.shape[2]; ++z) {
      for (int64_t y = 0; y < v.weight.shape[3]; ++y) {
        for (int64_t x = 0; x < v.weight.shape[4]; ++x) {
          const int64_t dy = y * v.dilation[1], dx = x * v.dilation[2];
          const int64_t plane_index =
              (z * row_phases + dy % row_phases) * column_phases + dx % column_phases;
          *at++ = plane_index * plane() + dy / row_phases * pitch + dx / column_phases;
        }
      }
    }
  }
};

// n elements to a place where the rest of a vector may be written.
template <class T>
TL_INLINE void copy_over(const View& x, int64_t from, int64_t step, int64_t n, T* to) {
  if constexpr (__is_same(T, float)) {
    if (x.dtype == DType::f32 && step == 1) {
      const float* p = x.ptr<const float>() + from;
      int64_t i = 0;
      for (; i + kLanes <= n; i += kLanes) store(to + i, load(p + i));
      if (i < n) store(to + i, load_masked(p + i, lanes_between(0, n - i)));
      return;
    }
  }
  copy_line<T>(x, from, step, n, to);
}

// Lays out what output rows y0 … y0 + rows of depth z read of image n, channel c. `again`: the same
// rows of another channel stand there, so that what is zero is zero already.
template <class T>
void lay_out(const Conv& v, const Layout& l, int64_t n, int64_t c, int64_t z, int64_t y0,
             int64_t rows, bool again, T* to) {
  const View& x = v.x;
  const int64_t width = x.shape[4], image = n * x.strides[0] + c * x.strides[1];
  const int64_t stride = v.stride[2], plane = l.plane();
  // Element i of a line of phase p is input i·stride + offset + p, inside for low <= i < high.
  int64_t lows[kMostStride], highs[kMostStride];
  for (int64_t cp = 0; cp < l.column_phases; ++cp) {
    const int64_t start = v.offset[2] + cp;
    lows[cp] = start < 0 ? ceil_div(-start, stride) : 0;
    highs[cp] = min64(start < width ? ceil_div(width - start, stride) : 0, l.pitch);
    if (lows[cp] >= highs[cp]) lows[cp] = highs[cp] = l.pitch;
  }
  for (int64_t kz = 0; kz < v.weight.shape[2]; ++kz) {
    const int64_t iz = z * v.stride[0] + v.offset[0] + kz * v.dilation[0];
    for (int64_t rp = 0; rp < l.row_phases; ++rp) {
      T* first = to + (kz * l.row_phases + rp) * l.column_phases * plane;
      for (int64_t r = 0; r < rows + l.extra_rows; ++r) {
        const int64_t iy = (y0 + r) * v.stride[1] + v.offset[1] + rp;
        const bool inside = iz >= 0 && iz < x.shape[2] && iy >= 0 && iy < x.shape[3];
        const int64_t from = inside ? image + iz * x.strides[2] + iy * x.strides[3] : 0;
        for (int64_t cp = 0; cp < l.column_phases; ++cp) {
          T* line = first + cp * plane + r * l.pitch;
          const int64_t low = inside ? lows[cp] : l.pitch, high = inside ? highs[cp] : l.pitch;
          if (!again) {
            for (int64_t i = 0; i < low; ++i) line[i] = 0;
          }
          if (low < high) {
            const int64_t start = v.offset[2] + cp + low * stride;
            // Lines are written in the order of memory when there is one phase.
            if (l.column_phases == 1)
              copy_over<T>(x, from + start * x.strides[4], x.strides[4], high - low, line + low);
            else
              copy_line<T>(x, from + start * x.strides[4], stride * x.strides[4], high - low,
                           line + low);
          }
          if (!again || l.column_phases == 1) {
            for (int64_t i = high; i < l.pitch; ++i) line[i] = 0;
          }
        }
      }
    }
  }
}

template <class T>
using VecOf = typename Vec<T>::type;

template <class T>
TL_INLINE VecOf<T> load_vec(const T* p) {
  typedef VecOf<T> V __attribute__((aligned(sizeof(T)), may_alias));
  return *reinterpret_cast<const V*>(p);
}
template <class T>
TL_INLINE void store_vec(T* p, VecOf<T> x) {
  typedef VecOf<T> V __attribute__((aligned(sizeof(T)), may_alias));
  *reinterpret_cast<V*>(p) = x;
}

// to[i] = Σ_t w[t]·from[at[t] + i]; up to 4 vectors are written beyond n.
template <class T, int kTaps>
void shifted_sums(const T* from, const int64_t* at, const T* w, int64_t kernel_elements, int64_t n,
                  T* to) {
  constexpr int kV = kVec<T>;
  const int64_t count = kTaps ? kTaps : kernel_elements;
  for (int64_t i = 0; i < n; i += 4 * kV) {
    VecOf<T> a = {}, b = {}, c = {}, d = {};
#pragma GCC unroll 9
    for (int64_t t = 0; t < count; ++t) {
      const T* p = from + at[t] + i;
      const VecOf<T> x = w[t] - VecOf<T>{};
      a += x * load_vec(p);
      b += x * load_vec(p + kV);
      c += x * load_vec(p + 2 * kV);
      d += x * load_vec(p + 3 * kV);
    }
    store_vec(to + i, a);
    store_vec(to + i + kV, b);
    store_vec(to + i + 2 * kV, c);
    store_vec(to + i + 3 * kV, d);
  }
}

// What shifted_sums computes of a square kernel without strides and dilation; `to` has rows of
// whole vectors. Eight rows at once, of which some may lie beyond those asked for: a row of the
// image is loaded once for all that read it.
template <int kK>
void square_sums(const float* from, int64_t pitch, const float* w, int64_t rows, int64_t width,
                 float* to) {
  constexpr int kRows = 8;
  const int64_t step = ceil_div(width, kLanes) * kLanes;
  for (int64_t x = 0; x < width; x += kLanes) {
    for (int64_t y = 0; y < rows; y += kRows) {
      VecOf<float> sum[kRows] = {};
#pragma GCC unroll 1
      for (int dx = 0; dx < kK; ++dx) {
        VecOf<float> tap[kK];
#pragma GCC unroll 8
        for (int dy = 0; dy < kK; ++dy) tap[dy] = w[dy * kK + dx] - VecOf<float>{};
#pragma GCC unroll 16
        for (int i = 0; i < kRows + kK - 1; ++i) {
          const VecOf<float> line = load_vec(from + (y + i) * pitch + x + dx);
#pragma GCC unroll 8
          for (int dy = 0; dy < kK; ++dy) {
            if (i - dy >= 0 && i - dy < kRows) sum[i - dy] += tap[dy] * line;
          }
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) store_vec(to + (y + r) * step + x, sum[r]);
    }
  }
}

// The side of a square kernel that `square_sums` knows; 0 of others.
int64_t square(const Conv& v) {
  const View& w = v.weight;
  const int64_t side = w.shape[3];
  bool plain = v.out.dtype != DType::f64 && w.shape[2] == 1 && w.shape[4] == side;
  for (int i = 1; i < 3; ++i) plain = plain && v.stride[i] == 1 && v.dilation[i] == 1;
  return plain && (side == 5 || side == 7) ? side : 0;
}

template <class T>
const char* forward(const Conv& v) {
  const Layout l(v);
  const int64_t kernel_elements = v.kernel_elements(), width = v.out.shape[4],
                height = v.out.shape[3];
  const int64_t bands = ceil_div(height, l.most), depth = v.out.shape[2], all = v.out.shape[1];
  const int64_t side = square(v), whole = ceil_div(width, kVec<T>) * kVec<T>;
  const int64_t pitch = side ? whole : l.pitch;  // of the sums
  const int64_t result = (l.most + 8) * pitch + 4 * kVec<T>;
  const size_t own = ((l.size(v) + result) * sizeof(T) + 63) / 64 * 64;
  Scratch memory(own * num_threads()), weight_memory(plain_bytes<T>(v.weight)),
      at_memory(kernel_elements * sizeof(int64_t));
  if (!memory.as<char>() || !weight_memory.as<char>() || !at_memory.as<char>())
    return "conv: out of memory";
  const T* weight = plain<T>(v.weight, weight_memory.as<T>());
  int64_t* at = at_memory.as<int64_t>();
  l.shifts(v, at);
  const int64_t work = l.most * width * (kernel_elements + 4);
  parallel_for(
      v.batch() * all * depth * bands, 1 + 65536 / work,
      [&](int64_t begin, int64_t end, int worker) {
        T* laid = reinterpret_cast<T*>(memory.as<char>() + worker * own);
        T* tile = laid + l.size(v);
        int64_t last = -1;  // the band that is laid out
        // The channels that share an input follow each other. Counted, for divisions are slow.
        const int64_t m = v.out_channels();
        int64_t sub = begin % m, band = begin / m, place = band % bands, z = band / bands % depth;
        int64_t c = band / bands / depth % v.groups, n = band / bands / depth / v.groups;
        const auto next = [](int64_t& index, int64_t count) {
          index = index + 1 < count ? index + 1 : 0;
          return index == 0;
        };
        for (int64_t i = begin; i < end; ++i) {
          const int64_t y0 = place * l.most;
          const int64_t rows = min64(l.most, height - y0), row = c * m + sub;
          // The zeros stay where they are as long as every band lies alike.
          if (band != last)
            lay_out<T>(v, l, n, c, z, y0, rows, last >= 0 && bands * depth == 1, laid);
          last = band;
          const T* w = weight + row * kernel_elements;
          if (side) {
            if constexpr (__is_same(T, float))
              (side == 5 ? square_sums<5> : square_sums<7>)(laid, l.pitch, w, rows, width, tile);
          } else if (kernel_elements == 9) {
            shifted_sums<T, 9>(laid, at, w, kernel_elements, l.flat(rows, width), tile);
          } else {
            shifted_sums<T, 0>(laid, at, w, kernel_elements, l.flat(rows, width), tile);
          }
          const T add = v.has_bias ? scalar_at<T>(v.bias, row * v.bias.strides[0]) : T(0);
          const int64_t to = n * v.out.strides[0] + row * v.out.strides[1] + z * v.out.strides[2] +
                             y0 * v.out.strides[3];
          int64_t r = 0;
          if constexpr (__is_same(T, float)) {
            // Whole vectors, whose surplus the next row overwrites.
            const bool dense =
                v.out.dtype == DType::f32 && v.out.strides[4] == 1 && v.out.strides[3] == width;
            float* line = v.out.ptr<float>() + to;
            const int64_t wide = ceil_div(width, kLanes) * kLanes;
            for (; dense && r * width + wide <= rows * width; ++r) {
              for (int64_t x = 0; x < width; x += kLanes)
                store(line + r * width + x, load(tile + r * pitch + x) + splat(add));
            }
          }
          for (; r < rows; ++r) {
            write_line<T>(v.out, to + r * v.out.strides[3], v.out.strides[4], width,
                          tile + r * pitch, add);
          }
          if (next(sub, m) && ++band && next(place, bands) && next(z, depth) && next(c, v.groups))
            ++n;
        }
      });
  return nullptr;
}

template <class T>
T dot(const T* a, const T* b, int64_t n) {  // n: a multiple of the vector
  constexpr int kV = kVec<T>;
  VecOf<T> s = {}, s1 = {};
  int64_t i = 0;
  for (; i + 2 * kV <= n; i += 2 * kV) {
    s += load_vec(a + i) * load_vec(b + i);
    s1 += load_vec(a + i + kV) * load_vec(b + i + kV);
  }
  if (i < n) s += load_vec(a + i) * load_vec(b + i);
  s += s1;
  T total = 0;
  for (int j = 0; j < kV; ++j) total += s[j];
  return total;
}

// v.weight (written) from v.out (the gradient) and v.x.
template <class T>
const char* weight_grad(const Conv& v) {
  constexpr int kV = kVec<T>;
  const Layout l(v);
  const int64_t kernel_elements = v.kernel_elements(), width = v.out.shape[4],
                height = v.out.shape[3];
  const int64_t result = (l.most * l.pitch + 2 * kV) / kV * kV;
  const size_t own = ((l.size(v) + result + kernel_elements) * sizeof(T) + 63) / 64 * 64;
  Scratch memory(own * num_threads()), at_memory(kernel_elements * sizeof(int64_t));
  if (!memory.as<char>() || !at_memory.as<char>()) return "conv: out of memory";
  int64_t* at = at_memory.as<int64_t>();
  l.shifts(v, at);
  const View& w = v.weight;
  parallel_for(v.out.shape[1], 1, [&](int64_t begin, int64_t end, int worker) {
    T* laid = reinterpret_cast<T*>(memory.as<char>() + worker * own);
    T *g = laid + l.size(v), *sums = g + result;
    for (int64_t i = 0; i < l.size(v); ++i) laid[i] = 0;  // what follows the last row is read, × 0
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t t = 0; t < kernel_elements; ++t) sums[t] = 0;
      for (int64_t n = 0; n < v.batch(); ++n) {
        for (int64_t z = 0; z < v.out.shape[2]; ++z) {
          for (int64_t y0 = 0; y0 < height; y0 += l.most) {
            const int64_t rows = min64(l.most, height - y0);
            lay_out<T>(v, l, n, row / v.out_channels(), z, y0, rows, false, laid);
            for (int64_t r = 0; r < rows; ++r) {
              const int64_t from = n * v.out.strides[0] + row * v.out.strides[1] +
                                   z * v.out.strides[2] + (y0 + r) * v.out.strides[3];
              copy_line<T>(v.out, from, v.out.strides[4], width, g + r * l.pitch);
              for (int64_t x = width; x < l.pitch; ++x) g[r * l.pitch + x] = 0;
            }
            const int64_t flat = l.flat(rows, width), whole = ceil_div(flat, kV) * kV;
            for (int64_t i = flat; i < whole; ++i) g[i] = 0;
            for (int64_t t = 0; t < kernel_elements; ++t) sums[t] += dot<T>(g, laid + at[t], whole);
          }
        }
      }
      for (int64_t t = 0; t < kernel_elements; ++t) {
        const int64_t to = row * w.strides[0] + t / (w.shape[4] * w.shape[3]) * w.strides[2] +
                           t / w.shape[4] % w.shape[3] * w.strides[3] +
                           t % w.shape[4] * w.strides[4];
        write_line<T>(w, to, 1, 1, sums + t, T(0));
      }
    }
  });
  return nullptr;
}

}  // namespace

const char* depthwise(const Conv& v) {
  return for_computing(v.out.dtype, "conv", [&]<class T>() { return forward<T>(v); });
}

const char* depthwise_weight_grad(const Conv& v) {
  return for_computing(v.weight.dtype, "conv", [&]<class T>() { return weight_grad<T>(v); });
}

}  // namespace tl::TL_ISA
