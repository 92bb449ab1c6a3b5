// Patches of an image as columns and their sum back into an image: "unfold" and "fold".
#include "conv.h"

namespace tl::TL_ISA {
namespace {

struct Patches {
  // (batch, channels · kernel elements, patches) and (batch, channels, height, width)
  View columns, image;
  int64_t kernel[2], dilation[2], padding[2], stride[2], count[2];
  int64_t channels() const { return image.shape[1]; }
  int64_t kernel_elements() const { return kernel[0] * kernel[1]; }
};

const char* read(const View& columns, const View& image, const Arg* numbers, Patches* p) {
  p->columns = columns;
  p->image = image;
  if (columns.ndim != 3 || image.ndim != 4 || columns.dtype != image.dtype)
    return "fold: expected columns of 3 axes and an image of 4, of one dtype";
  for (int i = 0; i < 2; ++i) {
    p->kernel[i] = numbers[i].i;
    p->dilation[i] = numbers[2 + i].i;
    p->padding[i] = numbers[4 + i].i;
    p->stride[i] = numbers[6 + i].i;
    const int64_t far = int64_t{1} << 30;
    if (p->kernel[i] < 1 || p->dilation[i] < 1 || p->stride[i] < 1 || p->padding[i] < 0 ||
        p->kernel[i] > far || p->dilation[i] > far || p->stride[i] > far || p->padding[i] > far)
      return "fold: expected positive kernel, dilation and stride";
    if (image.shape[2 + i] > int64_t{1} << 56) return "fold: expected a smaller image";
    const int64_t room =
        image.shape[2 + i] + 2 * p->padding[i] - p->dilation[i] * (p->kernel[i] - 1) - 1;
    p->count[i] = room < 0 ? 0 : room / p->stride[i] + 1;
  }
  int64_t rows, patches, work;  // a kernel far larger than the image could overflow them
  if (__builtin_mul_overflow(image.shape[1], p->kernel_elements(), &rows) ||
      __builtin_mul_overflow(p->count[0], p->count[1], &patches) ||
      __builtin_mul_overflow(p->kernel_elements(), patches + 1, &work) || work > int64_t{1} << 60 ||
      columns.shape[0] != image.shape[0] || columns.shape[1] != rows || columns.shape[2] != patches)
    return "fold: shapes do not fit";
  return nullptr;
}

// Patches low … high - 1 of a row lie inside the image at kernel element k of an axis.
TL_INLINE void inside(const Patches& p, int axis, int64_t k, int64_t* low, int64_t* high) {
  const int64_t start = k * p.dilation[axis] - p.padding[axis], s = p.stride[axis];
  *low = start < 0 ? ceil_div(-start, s) : 0;
  const int64_t room = p.image.shape[2 + axis] - start;
  *high = room <= 0 ? 0 : min64(p.count[axis], ceil_div(room, s));
  if (*high < *low) *high = *low = 0;
}

template <class T>
void unfold_plane(const Patches& p, int64_t n, int64_t c) {
  const View &image = p.image, &columns = p.columns;
  const int64_t step = columns.strides[2];
  for (int64_t t = 0; t < p.kernel_elements(); ++t) {
    const int64_t ky = t / p.kernel[1], kx = t % p.kernel[1];
    int64_t y0, y1, x0, x1;
    inside(p, 0, ky, &y0, &y1);
    inside(p, 1, kx, &x0, &x1);
    T* to = columns.ptr<T>() + n * columns.strides[0] +
            (c * p.kernel_elements() + t) * columns.strides[1];
    for (int64_t y = 0; y < p.count[0]; ++y, to += p.count[1] * step) {
      const int64_t low = y >= y0 && y < y1 ? x0 : p.count[1];
      const int64_t high = y >= y0 && y < y1 ? x1 : p.count[1];
      const int64_t iy = y * p.stride[0] + ky * p.dilation[0] - p.padding[0];
      const int64_t ix = kx * p.dilation[1] - p.padding[1], hop = p.stride[1] * image.strides[3];
      const T* from = image.ptr<T>() + n * image.strides[0] + c * image.strides[1] +
                      (low < high ? iy * image.strides[2] + ix * image.strides[3] : 0);
      for (int64_t x = 0; x < low; ++x) to[x * step] = T{};
      for (int64_t x = low; x < high; ++x) to[x * step] = from[x * hop];
      for (int64_t x = high; x < p.count[1]; ++x) to[x * step] = T{};
    }
  }
}

template <class T>
void fold_plane(const Patches& p, int64_t n, int64_t c, typename OpMath<T>::Scalar* sums) {
  const View &image = p.image, &columns = p.columns;
  const int64_t step = columns.strides[2], height = image.shape[2], width = image.shape[3];
  for (int64_t i = 0; i < height * width; ++i) sums[i] = 0;
  for (int64_t t = 0; t < p.kernel_elements(); ++t) {
    const int64_t ky = t / p.kernel[1], kx = t % p.kernel[1];
    int64_t y0, y1, x0, x1;
    inside(p, 0, ky, &y0, &y1);
    inside(p, 1, kx, &x0, &x1);
    for (int64_t y = y0; y < y1; ++y) {
      const T* from = columns.ptr<T>() + n * columns.strides[0] +
                      (c * p.kernel_elements() + t) * columns.strides[1] + y * p.count[1] * step;
      const int64_t iy = y * p.stride[0] + ky * p.dilation[0] - p.padding[0];
      auto* to = sums + iy * width + kx * p.dilation[1] - p.padding[1];
      for (int64_t x = x0; x < x1; ++x) to[x * p.stride[1]] += to_opmath(from[x * step]);
    }
  }
  for (int64_t y = 0; y < height; ++y) {
    T* to = image.ptr<T>() + n * image.strides[0] + c * image.strides[1] + y * image.strides[2];
    for (int64_t x = 0; x < width; ++x)
      to[x * image.strides[3]] = from_opmath<T>(sums[y * width + x]);
  }
}

const char* unfold(const Arg* args, int) {
  Patches p;
  if (const char* error = read(*args[0].a, *args[1].a, args + 2, &p)) return error;
  return for_float(p.image.dtype, "unfold", [&]<class T>() -> const char* {
    parallel_for(p.image.shape[0] * p.channels(),
                 1 + 16384 / (1 + p.kernel_elements() * p.columns.shape[2]),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i)
                     unfold_plane<T>(p, i / p.channels(), i % p.channels());
                 });
    return nullptr;
  });
}

const char* fold(const Arg* args, int) {
  Patches p;
  if (const char* error = read(*args[1].a, *args[0].a, args + 2, &p)) return error;
  return for_float(p.image.dtype, "fold", [&]<class T>() -> const char* {
    using S = typename OpMath<T>::Scalar;
    const int64_t plane = p.image.shape[2] * p.image.shape[3] + 16;
    Scratch memory(plane * sizeof(S) * num_threads());
    if (!memory.as<char>()) return "fold: out of memory";
    parallel_for(
        p.image.shape[0] * p.channels(), 1 + 16384 / (1 + p.kernel_elements() * p.columns.shape[2]),
        [&](int64_t begin, int64_t end, int worker) {
          for (int64_t i = begin; i < end; ++i)
            fold_plane<T>(p, i / p.channels(), i % p.channels(), memory.as<S>() + worker * plane);
        });
    return nullptr;
  });
}

}  // namespace

void register_conv_unfold(KernelTable& t);
void register_conv_unfold(KernelTable& t) {
#define TL_FOLD_NUMBERS " ky:i kx:i dy:i dx:i py:i px:i sy:i sx:i"
  t.add("unfold", "out:out x:in" TL_FOLD_NUMBERS, unfold);
  t.add("fold", "out:out columns:in" TL_FOLD_NUMBERS, fold);
#undef TL_FOLD_NUMBERS
}

}  // namespace tl::TL_ISA
