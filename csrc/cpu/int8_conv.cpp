// Convolutions of 8-bit integers: "conv_int8".
#include "int8_problem.h"

namespace tl::TL_ISA {
namespace {

// The image in planes where each element of the kernel reads along a line: a plane for each
// channel and each remainder of rows and columns by the strides. Padding is the zero point.
struct Planes {
  int64_t stride[2], offset[2], dilation[2], kernel[2], size[2], image[2];
  int64_t phases[2], rows, pitch, channels;

  bool in_place() const {
    return kernel[0] * kernel[1] == 1 && stride[0] == 1 && stride[1] == 1 && offset[0] == 0 &&
           offset[1] == 0 && size[0] == image[0] && size[1] == image[1];
  }
  bool set() {
    int64_t sizes[2];
    for (int i = 0; i < 2; ++i) {
      const int64_t far = int64_t{1} << 24;
      if (stride[i] < 1 || dilation[i] < 1 || kernel[i] < 1 || size[i] < 1 || stride[i] > far ||
          dilation[i] > far || kernel[i] > far || size[i] > far || offset[i] > far ||
          offset[i] < -far)
        return false;
      if ((kernel[i] - 1) * dilation[i] > far) return false;
      phases[i] = min64(stride[i], (kernel[i] - 1) * dilation[i] + 1);
      sizes[i] = size[i] + (kernel[i] - 1) * dilation[i] / stride[i];
    }
    rows = sizes[0], pitch = sizes[1];
    return true;
  }
  int64_t plane() const { return rows * pitch; }
  int64_t bytes() const { return phases[0] * phases[1] * channels * plane(); }
  int64_t at(int64_t c, int64_t ky, int64_t kx) const {
    const int64_t y = ky * dilation[0], x = kx * dilation[1];
    const int64_t phase = y % stride[0] * phases[1] + x % stride[1];
    return (phase * channels + c) * plane() + y / stride[0] * pitch + x / stride[1];
  }
  void fill(const uint8_t* image_data, int64_t which, uint8_t zero, uint8_t* to) const {
    const int64_t c = which % channels, phase = which / channels;
    const int64_t first = phase % phases[1] + offset[1], s = stride[1];
    const uint8_t* from = image_data + c * image[0] * image[1];
    to += which * plane();
    const int64_t low = first >= 0 ? 0 : min64(pitch, ceil_div(-first, s));
    const int64_t room = image[1] - first;
    const int64_t high = max64(low, room <= 0 ? 0 : min64(pitch, ceil_div(room, s)));
    for (int64_t r = 0; r < rows; ++r, to += pitch) {
      const int64_t y = r * stride[0] + phase / phases[1] + offset[0];
      if (y < 0 || y >= image[0]) {
        memset(to, zero, pitch);
        continue;
      }
      const uint8_t* line = from + y * image[1] + first;
      memset(to, zero, low);
      if (s == 1)
        memcpy(to + low, line + low, high - low);
      else
        for (int64_t x = low; x < high; ++x) to[x] = line[x * s];
      memset(to + high, zero, pitch - high);
    }
  }
};

struct ByteConv {
  View out, x, w;
  int64_t groups;
  Planes planes;
  Product base;
};

const char* read(const Arg* args, ByteConv* c) {
  const View &out = c->out = *args[0].a, &x = c->x = *args[1].a, &w = c->w = *args[2].a;
  const int64_t groups = c->groups = args[18].i;
  if (out.ndim != 4 || x.ndim != 4 || w.ndim != 4 || !is_byte(x) || !is_byte(w) ||
      !x.contiguous() || !w.contiguous() || !out.contiguous())
    return "conv_int8: expected contiguous u8 or i8 arrays of 4 axes";
  if (groups < 1 || x.shape[1] % groups != 0 || w.shape[0] % groups != 0 ||
      w.shape[1] != x.shape[1] / groups || out.shape[0] != x.shape[0] ||
      out.shape[1] != w.shape[0] || too_large(w.shape[0], w.size() + groups * kTileRows))
    return "conv_int8: shapes do not fit";
  Planes& planes = c->planes;
  for (int i = 0; i < 2; ++i) {
    planes.stride[i] = args[10 + i].i, planes.offset[i] = args[13 + i].i;
    planes.dilation[i] = args[16 + i].i;
    planes.kernel[i] = w.shape[2 + i], planes.size[i] = out.shape[2 + i];
    planes.image[i] = x.shape[2 + i];
  }
  planes.channels = x.shape[1];
  c->base.ends.by_row = true;
  if (!read_zeros(args[3], x, 1, &c->base.column_zeros) ||
      !read_zeros(args[4], w, w.shape[0], &c->base.row_zeros))
    return "conv_int8: expected zero points of the operands' dtypes, one or one each";
  if (const char* error = read_ends(args + 5, out, w.shape[0], &c->base.ends)) return error;
  if (out.size() == 0) return nullptr;
  if (!planes.set() || too_large(planes.channels, planes.phases[0] * planes.phases[1]) ||
      too_large(planes.plane(), planes.channels * planes.phases[0] * planes.phases[1]))
    return "conv_int8: expected positive strides and sizes";
  return nullptr;
}

// One image: out (out channels, plane) from its planes.
void convolve(const ByteConv& c, const Workspace& work, const uint8_t* planes, char* out) {
  const int64_t m = c.w.shape[0] / c.groups, plane = c.out.shape[2] * c.out.shape[3];
  const int64_t channels = c.w.shape[1], k = channels * c.w.shape[2] * c.w.shape[3];
  const int64_t n = (c.planes.size[0] - 1) * c.planes.pitch + c.planes.size[1];
  each_panel(c.groups, m, n, [&](int64_t g, int64_t panel, int64_t begin, int64_t end, int worker) {
    Product p = c.base;
    p.n = n;
    p.rows = work.packed + g;
    p.row_zeros.data += p.row_zeros.data ? g * m * p.row_zeros.step : 0;
    if (p.ends.scale) p.ends.scale += g * m * p.ends.scale_step;
    if (p.ends.bias)
      p.ends.bias = static_cast<const char*>(p.ends.bias) + 4 * g * m * p.ends.bias_step;
    p.columns = {planes + g * channels * c.planes.plane(), work.offsets, k,
                 c.base.column_zeros.is_signed};
    const int64_t line = plane * p.ends.itemsize();
    p.target = {out + g * m * line, line, c.planes.pitch, c.planes.size[1]};
    multiply_panel8(p, panel, begin, end, work.panel(worker));
  });
}

const char* conv_int8(const Arg* args, int) {
  ByteConv c{};
  if (const char* error = read(args, &c)) return error;
  if (c.out.size() == 0) return nullptr;
  const Planes& planes = c.planes;
  const int64_t taps = planes.kernel[0] * planes.kernel[1], k = c.w.shape[1] * taps;
  const bool in_place = planes.in_place();
  const int64_t m = c.w.shape[0] / c.groups;
  uint8_t* rows;
  if (!read_packed(args[8], c.groups * Workspace::rows_bytes(m, k), &rows))
    return "conv_int8: expected packed rows of the weight";
  Workspace work(c.groups, m, k, in_place ? 0 : planes.bytes(), rows);
  if (!work.good()) return "conv_int8: out of memory";
  for (int64_t p = 0; p < k; ++p)
    work.offsets[p] = planes.at(p / taps, p % taps / planes.kernel[1], p % planes.kernel[1]);
  if (!rows) work.pack(c.w.ptr<uint8_t>(), c.base.row_zeros);
  const int64_t image = c.x.size() / c.x.shape[0], result = c.out.size() / c.out.shape[0];
  for (int64_t b = 0; b < c.x.shape[0]; ++b) {
    const uint8_t* from = c.x.ptr<uint8_t>() + b * image;
    if (!in_place)
      parallel_for(planes.channels * planes.phases[0] * planes.phases[1],
                   1 + 16384 / planes.plane(), [&](int64_t begin, int64_t end, int) {
                     for (int64_t i = begin; i < end; ++i)
                       planes.fill(from, i, c.base.column_zeros.byte(0), work.image);
                   });
    convolve(c, work, in_place ? from : work.image,
             reinterpret_cast<char*>(c.out.data) + b * result * c.base.ends.itemsize());
  }
  return nullptr;
}

}  // namespace

void register_int8_conv(KernelTable& t);
void register_int8_conv(KernelTable& t) {
  t.add("conv_int8",
        "out:out x:in w:in" TL_INT8_ENDS " sd:i sh:i sw:i od:i oh:i ow:i dd:i dh:i dw:i groups:i",
        conv_int8);
}

}  // namespace tl::TL_ISA
