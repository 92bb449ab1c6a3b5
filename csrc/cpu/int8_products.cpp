// Products and convolutions of 8-bit integers: "matmul_int8" and "conv_int8".
#include "int8_products.h"

#include "conv.h"

namespace tl::TL_ISA {
namespace {

// Sums of one row without their zero points, as the ends say, into `to`.
struct RowEnd {
  const Product& p;
  const Panel8& panel;
  alignas(64) float scale[kAcross];
  alignas(64) float bias[kAcross];  // or i32

  RowEnd(const Product& product, const Panel8& columns, int64_t first, int64_t used)
      : p(product), panel(columns) {
    const Ends& e = p.ends;
    if (e.by_row) return;
    for (int64_t j = 0; j < kAcross; ++j) {
      const int64_t at = first + min64(j, used - 1);
      scale[j] = e.scale ? e.scale[at * e.scale_step] : 0;
      fetch_bias(at, j);
    }
  }
  TL_INLINE void fetch_bias(int64_t at, int64_t j) {
    bias[j] = 0;
    if (p.ends.bias)
      memcpy(bias + j, static_cast<const char*>(p.ends.bias) + 4 * at * p.ends.bias_step, 4);
  }
  TL_INLINE void of_row(int64_t row) {
    const Ends& e = p.ends;
    if (!e.by_row) return;
    scale[0] = e.scale ? e.scale[row * e.scale_step] : 0;
    fetch_bias(row, 0);
    for (int j = 1; j < kAcross; ++j) scale[j] = scale[0], memcpy(bias + j, bias, 4);
  }
  TL_INLINE void write(int64_t row, const int32_t* c, char* to) {
    of_row(row);
    const int32_t term = p.rows->terms[row], zero = kWords ? 1 : p.row_zeros.at(row, true);
    const bool bytes = p.ends.itemsize() == 1, is_signed = p.ends.dtype == DType::i8;
    const float low = static_cast<float>((is_signed ? -128 : 0) - p.ends.zero), high = low + 255;
    for (int j = 0; j < kAcross; j += 8) {
      i32x8 v = load_as<i32x8>(c + j) - load_as<i32x8>(panel.zeros + j) * term +
                load_as<i32x8>(panel.terms + j) * zero;
      if (p.ends.dtype == DType::i32) {
        store_at(to + 4 * j, v);
        continue;
      }
      if (bytes) v += load_as<i32x8>(bias + j);
      f32x8 f = __builtin_convertvector(v, f32x8) * load_as<f32x8>(scale + j);
      if (!bytes) {
        store_at(to + 4 * j, f + load_as<f32x8>(bias + j));
        continue;
      }
      f = min(max(f, f32x8{} + low), f32x8{} + high);
      const i32x8 whole = round_to_int(f) + p.ends.zero;
      const auto narrow = __builtin_convertvector(whole, Simd<int8_t, 8>);
      memcpy(to + j, &narrow, 8);
    }
  }
};

}  // namespace

void multiply_panel8(const Product& p, int64_t panel, int64_t begin, int64_t end, char* scratch) {
  const int64_t first = panel * kAcross, used = min64(kAcross, p.n - first);
  char* aligned = scratch + (64 - reinterpret_cast<uintptr_t>(scratch) % 64) % 64;
  Panel8 tiles{reinterpret_cast<uint8_t*>(aligned), p.rows->units, {}, {}};
  tiles.pack(p.columns, first, used, p.column_zeros);
  RowEnd ends(p, tiles, first, used);
  alignas(64) int32_t c[kTileRows * kAcross];
  alignas(64) char line[4 * kAcross];
  for (int64_t row = begin; row < end; row += kTileRows) {
    const int here = static_cast<int>(min64(kTileRows, end - row));
    if (here == kTileRows) {
      multiply_rows<kTileRows>(*p.rows, tiles, row, c);
    } else {
      for (int r = 0; r < here; ++r) multiply_rows<1>(*p.rows, tiles, row + r, c + r * kAcross);
    }
    for (int r = 0; r < here; ++r) {
      ends.write(row + r, c + r * kAcross, line);
      p.target.write(row + r, first, used, line, p.ends.itemsize());
    }
  }
}

namespace {

bool is_byte(const View& x) { return x.dtype == DType::u8 || x.dtype == DType::i8; }

// Of `count` elements, one or none: false if it is neither.
bool read_zeros(const Arg& arg, const View& of, int64_t count, Zeros* to) {
  to->is_signed = of.dtype == DType::i8;
  if (arg.kind == Arg::none) return true;
  const View& x = *arg.a;
  const int64_t size = x.size();
  if (x.dtype != of.dtype || !x.contiguous() || (size != 1 && size != count)) return false;
  to->data = x.ptr<uint8_t>();
  to->step = size == 1 ? 0 : 1;
  return true;
}

// args: scale, bias, zero.
const char* read_ends(const Arg* args, const View& out, int64_t count, Ends* to) {
  to->dtype = out.dtype;
  const bool bytes = is_byte(out);
  if (!bytes && out.dtype != DType::i32 && out.dtype != DType::f32)
    return "int8: expected a result of i32, f32, u8 or i8";
  if (out.dtype == DType::i32) return nullptr;
  auto good = [&](const View& x, DType dtype) {
    return x.dtype == dtype && x.contiguous() && (x.size() == 1 || x.size() == count);
  };
  if (args[0].kind == Arg::none || !good(*args[0].a, DType::f32))
    return "int8: expected contiguous f32 scales, one or one each";
  to->scale = args[0].a->ptr<float>();
  to->scale_step = args[0].a->size() == 1 ? 0 : 1;
  if (args[1].kind != Arg::none) {
    if (!good(*args[1].a, bytes ? DType::i32 : DType::f32))
      return "int8: expected a contiguous bias of f32, or i32 for bytes";
    to->bias = args[1].a->data;
    to->bias_step = args[1].a->size() == 1 ? 0 : 1;
  }
  if (bytes && args[2].kind != Arg::none) {
    const View& zero = *args[2].a;
    if (zero.dtype != out.dtype || zero.size() != 1)
      return "int8: expected a zero point of the result's dtype";
    to->zero = out.dtype == DType::i8 ? *zero.ptr<int8_t>() : *zero.ptr<uint8_t>();
  }
  return nullptr;
}

// How many parts the rows are cut into, so that each thread gets some of the work.
int64_t row_parts(int64_t tasks, int64_t m) {
  const int64_t wanted = 4 * num_threads();
  return num_threads() == 1 || tasks >= wanted
             ? 1
             : min64(ceil_div(wanted, max64(tasks, 1)), ceil_div(m, 8 * kTileRows));
}

// fn(product, panel, begin, end, worker) over `products` of the same size.
template <class F>
void each_panel(int64_t products, int64_t m, int64_t n, const F& fn) {
  const int64_t panels = ceil_div(n, kAcross), parts = row_parts(products * panels, m);
  const int64_t rows = PackedRows::padded(ceil_div(m, parts));
  parallel_for(products * panels * parts, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % parts, panel = i / parts % panels;
      const int64_t first = part * rows, last = min64(m, first + rows);
      if (first < last) fn(i / parts / panels, panel, first, last, worker);
    }
  });
}

bool too_large(int64_t rows, int64_t k) {
  int64_t bytes;
  return __builtin_mul_overflow(rows + kTileRows, k + 64, &bytes) || bytes > int64_t{1} << 50;
}

// Memory for `count` products of m rows: all rows packed, a panel for each thread, offsets of
// columns, and an image.
class Workspace {
 public:
  PackedRows* packed;
  int64_t* offsets;
  uint8_t* image;

  Workspace(int64_t count, int64_t m, int64_t k, int64_t image_bytes)
      : count_(count),
        m_(m),
        k_(k),
        units_(ceil_div(k, 32)),
        rows_bytes_((PackedRows::bytes(m, units_) + 63) / 64 * 64),
        panel_bytes_(panel_scratch(units_)),
        memory_(count * (rows_bytes_ + sizeof(PackedRows)) + num_threads() * panel_bytes_ +
                k * sizeof(int64_t) + image_bytes) {
    char* at = memory_.as<char>();
    if (!at) return;
    panels_ = at + count * rows_bytes_;
    offsets = reinterpret_cast<int64_t*>(panels_ + num_threads() * panel_bytes_);
    packed = reinterpret_cast<PackedRows*>(offsets + k);
    image = reinterpret_cast<uint8_t*>(packed + count);
    for (int64_t i = 0; i < count; ++i) {
      auto* q = reinterpret_cast<BytesTile::Activation*>(at + i * rows_bytes_);
      packed[i] = {q, reinterpret_cast<int32_t*>(q + PackedRows::padded(m) * units_ * 32), units_};
    }
  }
  bool good() const { return memory_.as<char>() != nullptr; }
  char* panel(int worker) const { return panels_ + worker * panel_bytes_; }
  // Packs count × m rows of k bytes, one behind the other.
  void pack(const uint8_t* rows, const Zeros& zeros) const {
    const int64_t padded = PackedRows::padded(m_);
    parallel_for(count_ * padded, 1 + 32768 / (k_ + 1), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i % padded, from = min64(row, m_ - 1) + i / padded * m_;
        packed[i / padded].pack(rows + from * k_, k_, row, zeros.is_signed, zeros.at(from, true));
      }
    });
  }

 private:
  int64_t count_, m_, k_, units_;
  size_t rows_bytes_, panel_bytes_;
  Scratch memory_;
  char* panels_;
};

const char* matmul_int8(const Arg* args, int) {
  const View &out = *args[0].a, &a = *args[1].a, &b = *args[2].a;
  if (out.ndim != 3 || a.ndim != 3 || b.ndim != 3 || !is_byte(a) || !is_byte(b) ||
      !a.contiguous() || !b.contiguous() || !out.contiguous())
    return "matmul_int8: expected contiguous u8 or i8 arrays of 3 axes";
  const int64_t batch = a.shape[0], m = a.shape[1], k = a.shape[2], n = b.shape[2];
  if (b.shape[1] != k || b.shape[0] != batch || out.shape[0] != batch || out.shape[1] != m ||
      out.shape[2] != n || too_large(batch * m, k))
    return "matmul_int8: shapes do not fit";
  Product base{};
  if (!read_zeros(args[3], a, batch * m, &base.row_zeros) ||
      !read_zeros(args[4], b, n, &base.column_zeros))
    return "matmul_int8: expected zero points of the operands' dtypes, one or one each";
  if (const char* error = read_ends(args + 5, out, n, &base.ends)) return error;
  if (out.size() == 0) return nullptr;
  Workspace work(batch, m, k, 0);
  if (!work.good()) return "matmul_int8: out of memory";
  for (int64_t p = 0; p < k; ++p) work.offsets[p] = p * n;
  work.pack(a.ptr<uint8_t>(), base.row_zeros);
  each_panel(batch, m, n, [&](int64_t i, int64_t panel, int64_t begin, int64_t end, int worker) {
    Product p = base;
    p.n = n;
    p.rows = work.packed + i;
    p.row_zeros.data += p.row_zeros.data ? i * m * p.row_zeros.step : 0;
    p.columns = {b.ptr<uint8_t>() + i * k * n, work.offsets, k, base.column_zeros.is_signed};
    const int64_t size = p.ends.itemsize();
    p.target = {reinterpret_cast<char*>(out.data) + i * m * n * size, n * size, 0, 0};
    multiply_panel8(p, panel, begin, end, work.panel(worker));
  });
  return nullptr;
}

// --- convolutions
// ---------------------------------------------------------------------------------

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
  const int64_t groups = c->groups = args[17].i;
  if (out.ndim != 4 || x.ndim != 4 || w.ndim != 4 || !is_byte(x) || !is_byte(w) ||
      !x.contiguous() || !w.contiguous() || !out.contiguous())
    return "conv_int8: expected contiguous u8 or i8 arrays of 4 axes";
  if (groups < 1 || x.shape[1] % groups != 0 || w.shape[0] % groups != 0 ||
      w.shape[1] != x.shape[1] / groups || out.shape[0] != x.shape[0] ||
      out.shape[1] != w.shape[0] || too_large(w.shape[0], w.size() + groups * kTileRows))
    return "conv_int8: shapes do not fit";
  Planes& planes = c->planes;
  for (int i = 0; i < 2; ++i) {
    planes.stride[i] = args[9 + i].i, planes.offset[i] = args[12 + i].i;
    planes.dilation[i] = args[15 + i].i;
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
  Workspace work(c.groups, c.w.shape[0] / c.groups, k, in_place ? 0 : planes.bytes());
  if (!work.good()) return "conv_int8: out of memory";
  for (int64_t p = 0; p < k; ++p)
    work.offsets[p] = planes.at(p / taps, p % taps / planes.kernel[1], p % planes.kernel[1]);
  work.pack(c.w.ptr<uint8_t>(), c.base.row_zeros);
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

void register_int8_products(KernelTable& t);
void register_int8_products(KernelTable& t) {
#define TL_INT8_ENDS " a_zero:in? b_zero:in? scale:in? bias:in? zero:in?"
  t.add("matmul_int8", "out:out a:in b:in" TL_INT8_ENDS, matmul_int8);
  t.add("conv_int8",
        "out:out x:in w:in" TL_INT8_ENDS " sd:i sh:i sw:i od:i oh:i ow:i dd:i dh:i dw:i groups:i",
        conv_int8);
}

}  // namespace tl::TL_ISA
