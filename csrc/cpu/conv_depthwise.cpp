// Depthwise convolution, every output channel reading one input channel: rows of the image are laid
// out padded and with their strides undone, so that each kernel element is one shift of a flat
// line.
#include "conv_depthwise_eights.h"
#include "conv_layout.h"

namespace tl::TL_ISA {

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

// to[i] = Σ_t w[t]·from[at[t] + i] for the elements of kCount vectors.
template <class T, int kElements, int kCount>
TL_INLINE void shifted_vectors(const T* from, const int64_t* at, const T* w, int64_t count, T* to) {
  constexpr int kV = kVec<T>;
  VecOf<T> sums[kCount] = {};
#pragma GCC unroll 9
  for (int64_t t = 0; t < (kElements ? kElements : count); ++t) {
    const T* p = from + at[t];
    const VecOf<T> x = w[t] - VecOf<T>{};
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) sums[i] += x * load_vec(p + i * kV);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) store_vec(to + i * kV, sums[i]);
}

// The same for n elements; up to 4 vectors are written beyond them. Eight vectors at a time hide
// how long a sum takes.
template <class T, int kElements>
void shifted_sums(const T* from, const int64_t* at, const T* w, int64_t kernel_elements, int64_t n,
                  T* to) {
  constexpr int kV = kVec<T>;
  int64_t i = 0;
  for (; n - i > 4 * kV; i += 8 * kV)
    shifted_vectors<T, kElements, 8>(from + i, at, w, kernel_elements, to + i);
  if (i < n) shifted_vectors<T, kElements, 4>(from + i, at, w, kernel_elements, to + i);
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
        VecOf<float> element[kK];
#pragma GCC unroll 8
        for (int dy = 0; dy < kK; ++dy) element[dy] = w[dy * kK + dx] - VecOf<float>{};
#pragma GCC unroll 16
        for (int i = 0; i < kRows + kK - 1; ++i) {
          const VecOf<float> line = load_vec(from + (y + i) * pitch + x + dx);
#pragma GCC unroll 8
          for (int dy = 0; dy < kK; ++dy) {
            if (i - dy >= 0 && i - dy < kRows) sum[i - dy] += element[dy] * line;
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
            const int64_t wide = ceil_div(width, kLanes) * kLanes;
            for (; dense && r * width + wide <= rows * width; ++r)
              write_clamped(v, to + r * width, wide, tile + r * pitch, add);
          }
          for (; r < rows; ++r)
            write_results<T>(v, to + r * v.out.strides[3], width, tile + r * pitch, add);
          if constexpr (__is_same(T, float)) activate(v, v.out.ptr<float>() + to, rows * width);
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
  if (eights_fit(v)) return depthwise_eights(v);
  return for_computing(v.out.dtype, "conv", [&]<class T>() { return forward<T>(v); });
}

const char* depthwise_weight_grad(const Conv& v) {
  return for_computing(v.weight.dtype, "conv", [&]<class T>() { return weight_grad<T>(v); });
}

}  // namespace tl::TL_ISA
