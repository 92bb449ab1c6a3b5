// Depthwise convolution of images whose channels lie next to each other: a vector is that of
// neighbouring channels, and seven pixels of a row share the weights of a kernel's row. Where a
// column is outside the image a pixel of zeros stands for it, so that borders need no loop of their
// own; rows outside are left out.
#include "conv_depthwise_last.h"

#include "channels_last.h"
#include "overlap.h"

namespace tl::TL_ISA {
namespace {

constexpr int64_t kNear = 28 << 10;  // bytes that stay in the nearest cache

using PixelsFn = void (*)(const DepthwiseLast&, const TapRow*, int64_t, int64_t, int64_t, int64_t,
                          const Target&);

// How the work is cut: blocks of channels and strips of columns, so that the rows that a kernel
// reaches stay near from one row of results to the next; bands of rows for threads.
struct Cut {
  int64_t elements = 1;  // of a kernel's row that are taken together
  PixelsFn pixels = tl::TL_ISA::pixels<1, 0>;
  int64_t blocks, bands, band, strip;  // strip: in groups of pixels
  int64_t columns, rows;               // of pixels that a band reads
  bool fits = false;                   // else results are computed one by one
  // Whether the pixels of a strip are copied together: where they are so many lines apart that the
  // nearest cache has room for few of them.
  bool packs = false;

  explicit Cut(const DepthwiseLast& v) {
    columns = (max64(v.out_w, kPixels) - 1) * v.sx + (v.kw - 1) * v.dx + 1;
    const int64_t reach = (v.kh - 1) * v.dy + 1;
    fits = v.c >= kLanes && columns <= 1 << 16 && v.kh * v.kw <= 1 << 12 &&
           min64(reach, v.h) * columns <= 1 << 18;
    if (!fits) return;
    choose(v);
    // Floats of a channel: pixels of a strip, weights, results.
    const int64_t group = v.kh * kPixels * v.sx, fixed = v.kh * (2 * v.kw + v.dx * v.kw) + kPixels;
    const int64_t sixteens = max64(1, v.c / 16);
    const int64_t most = max64(1, kNear / (64 * (group + fixed)));
    blocks = ceil_div(sixteens, most);
    const int64_t per_channel = kNear / 64 / ceil_div(sixteens, blocks);
    strip = packs ? 1 : max64(1, (per_channel - fixed) / group);
    // Columns that two strips read should not have gone far when they are read again.
    const int64_t row_bytes =
        (strip * kPixels * (v.sx * v.sy + 1) + v.kw) * ceil_div(v.c, blocks) * 4;
    const int64_t threads = num_threads(), wanted = threads > 1 ? 4 * threads : 1;
    const int64_t low = min64(v.out_h, max64(2, v.kh));
    band = max64(low, min64(v.out_h, (512 << 10) / row_bytes));
    band = max64(1, min64(band, 8192 / columns / v.sy));
    bands = ceil_div(v.out_h, band);
    if (v.n * bands * blocks < wanted)
      bands = max64(bands, min64(ceil_div(wanted, v.n * blocks), v.out_h / low));
    band = ceil_div(v.out_h, bands);
    bands = ceil_div(v.out_h, band);
    if (v.n * bands * blocks < wanted)
      blocks = min64(max64(1, sixteens / 2), ceil_div(wanted, v.n * bands));
    rows = min64(v.h, (band - 1) * v.sy + reach);
  }

  void choose(const DepthwiseLast& v) {
    const int64_t kw = v.kw;
    if (v.dx != 1 || v.sx > 2 || (kw != 3 && kw != 5 && kw != 7)) return;
    elements = kw;
    constexpr PixelsFn kAll[][2] = {{tl::TL_ISA::pixels<3, 1>, tl::TL_ISA::pixels<3, 2>},
                                    {tl::TL_ISA::pixels<5, 1>, tl::TL_ISA::pixels<5, 2>},
                                    {tl::TL_ISA::pixels<7, 1>, tl::TL_ISA::pixels<7, 2>}};
    pixels = kAll[kw / 2 - 1][v.sx - 1];
    const int64_t lines = v.c / 16, sets = 64 / common_divisor(lines, 64);
    packs =
        v.dy == 1 && v.c % 16 == 0 && min64(v.kh, v.h) * min64(columns_of_group(v), v.w) > 8 * sets;
  }
  static int64_t columns_of_group(const DepthwiseLast& v) { return (kPixels - 1) * v.sx + v.kw; }
  int64_t first_channel(const DepthwiseLast& v, int64_t block) const {
    return block == blocks ? v.c : max64(1, v.c / 16) * block / blocks * 16;
  }
};

// The memory of a thread.
struct Own {
  TapRow* taps;
  const float** pixels;  // of a band's rows, by column; of a ring of kh rows where they are copied
  float *tile, *ring;

  static int64_t lists(const DepthwiseLast& v, const Cut& cut) {
    return cut.packs ? v.kh * Cut::columns_of_group(v) : cut.rows * cut.columns;
  }
  static int64_t bytes(const DepthwiseLast& v, const Cut& cut) {
    const int64_t listed = lists(v, cut), floats = (kPixels + (cut.packs ? listed : 0)) * v.c;
    const int64_t size = v.kh * v.kw * sizeof(TapRow) + listed * sizeof(float*) + floats * 4;
    return (size + 127) / 64 * 64;
  }
  Own(const DepthwiseLast& v, const Cut& cut, std::byte* at)
      : taps(reinterpret_cast<TapRow*>(at)),
        pixels(reinterpret_cast<const float**>(taps + v.kh * v.kw)),
        tile(reinterpret_cast<float*>(pixels + lists(v, cut))),
        ring(tile + kPixels * v.c) {}
};

// Channels first … last of some results of a row.
void group(const DepthwiseLast& v, const Cut& cut, const Own& own, int64_t taps, int64_t column,
           int64_t row, int64_t first, int64_t last) {
  const int64_t x = v.out_w < kPixels ? 0 : min64(column, v.out_w - kPixels);
  const int64_t count = min64(kPixels, v.out_w - x), at = (row * v.out_w + x) * v.c;
  const float* residual = v.residual ? v.residual + at : nullptr;
  const int64_t width = last - first;
  // An activation takes one line.
  const bool tile = v.act && width != v.c;
  Target target{v.out + at, v.c, residual, count};
  if (tile) target.to = own.tile - first, target.step = width;
  cut.pixels(v, own.taps, taps, x * v.sx, first, last, target);
  if (!v.act) return;
  float* line = target.to + first;
  const void* in[] = {line};
  v.act(line, in, count * width, nullptr);
  if (!tile) return;
  for (int64_t i = 0; i < count; ++i)
    memcpy(v.out + at + i * v.c + first, own.tile + i * width, width * sizeof(float));
}

// A block of channels of a band of an image.
struct Band {
  const DepthwiseLast& v;
  const Cut& cut;
  const Own& own;
  const float* zeros;
  int64_t n, y0, y1, first, last;

  int64_t low() const { return max64(0, y0 * v.sy + v.oy); }
  int64_t high() const { return min64(v.h, (y1 - 1) * v.sy + v.oy + (v.kh - 1) * v.dy + 1); }
  // Some pixels of a row from a column on, those outside too.
  void list(int64_t y, int64_t column, int64_t count, const float** to) const {
    const float* line = v.x + (n * v.h + y) * v.w * v.c;
    for (int64_t j = 0; j < count; ++j) {
      const int64_t x = v.ox + column + j;
      to[j] = x >= 0 && x < v.w ? line + x * v.c : zeros;
    }
  }
  // The same of copies of the channels, in the place of a row that no further result reads.
  void copy(int64_t y, int64_t column) const {
    const int64_t count = Cut::columns_of_group(v), width = last - first;
    const float** pixel = own.pixels + y % v.kh * count;
    float* to = own.ring + y % v.kh * count * width;
    list(y, column, count, pixel);
    for (int64_t j = 0; j < count; ++j, to += width) {
      if (pixel[j] == zeros) continue;
      memcpy(to, pixel[j] + first, width * sizeof(float));
      pixel[j] = to - first;
    }
  }
  // Results of the strip that begins at column x0.
  void strip(int64_t x0) const {
    const int64_t start = cut.packs ? max64(0, min64(x0, v.out_w - kPixels)) * v.sx : 0;
    const int64_t end = min64(v.out_w, x0 + cut.strip * kPixels);
    int64_t copied = low();
    for (int64_t y = y0; y < y1; ++y) {
      int64_t taps = 0;
      for (int64_t i = 0; i < v.kh; ++i) {
        const int64_t row = y * v.sy + v.oy + i * v.dy;
        if (row < 0 || row >= v.h) continue;
        if (cut.packs && row >= copied) copy(row, start), copied = row + 1;
        const float** pixel = own.pixels + (cut.packs ? row % v.kh * Cut::columns_of_group(v)
                                                      : (row - low()) * cut.columns);
        for (int64_t j = 0; j < v.kw; j += cut.elements)
          own.taps[taps++] = {pixel + j * v.dx - start, v.weight + (i * v.kw + j) * v.c};
      }
      for (int64_t x = x0; x < end; x += kPixels)
        group(v, cut, own, taps, x, n * v.out_h + y, first, last);
    }
  }
  void run() const {
    const int64_t high = min64(v.h, (y1 - 1) * v.sy + v.oy + (v.kh - 1) * v.dy + 1);
    for (int64_t y = low(); !cut.packs && y < high; ++y)
      list(y, 0, cut.columns, own.pixels + (y - low()) * cut.columns);
    for (int64_t x = 0; x < v.out_w; x += cut.strip * kPixels) strip(x);
  }
};

// Few channels, or kernels of which most lies far outside: one result after the other.
void plain_row(const DepthwiseLast& v, int64_t n, int64_t y) {
  float* line = v.out + (n * v.out_h + y) * v.out_w * v.c;
  for (int64_t x = 0; x < v.out_w; ++x) {
    float* to = line + x * v.c;
    for (int64_t c = 0; c < v.c; ++c) to[c] = v.bias ? v.bias[c] : 0;
    for (int64_t i = 0; i < v.kh; ++i) {
      const int64_t row = y * v.sy + v.oy + i * v.dy;
      if (row < 0 || row >= v.h) continue;
      for (int64_t j = 0; j < v.kw; ++j) {
        const int64_t column = x * v.sx + v.ox + j * v.dx;
        if (column < 0 || column >= v.w) continue;
        const float* from = v.x + ((n * v.h + row) * v.w + column) * v.c;
        const float* w = v.weight + (i * v.kw + j) * v.c;
        for (int64_t c = 0; c < v.c; ++c) to[c] += w[c] * from[c];
      }
    }
    for (int64_t c = 0; c < v.c; ++c) {
      if (v.residual) to[c] += v.residual[to + c - v.out];
      if (v.clamped) to[c] = to[c] < 0 ? 0 : to[c] > v.high ? v.high : to[c];
    }
  }
  const void* in[] = {line};
  if (v.act) v.act(line, in, v.out_w * v.c, nullptr);
}

const char* compute(const DepthwiseLast& v) {
  const Cut cut(v);
  if (!cut.fits) {
    parallel_for(v.n * v.out_h, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) plain_row(v, i / v.out_h, i % v.out_h);
    });
    return nullptr;
  }
  const int64_t bytes = Own::bytes(v, cut);
  const int64_t pixel = ceil_div(v.c, 16) * 64;
  Scratch memory(bytes * num_threads() + pixel);
  float* zeros = memory.as<float>();
  if (!zeros) return "conv_depthwise_last: out of memory";
  memset(zeros, 0, v.c * sizeof(float));
  std::byte* threads = memory.as<std::byte>() + pixel;
  parallel_for(v.n * cut.bands * cut.blocks, 1, [&](int64_t begin, int64_t end, int worker) {
    const Own own(v, cut, threads + worker * bytes);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t block = i % cut.blocks, y = i / cut.blocks % cut.bands * cut.band;
      Band{v,
           cut,
           own,
           zeros,
           i / cut.blocks / cut.bands,
           y,
           min64(v.out_h, y + cut.band),
           cut.first_channel(v, block),
           cut.first_channel(v, block + 1)}
          .run();
    }
  });
  return nullptr;
}

bool lies_last(const View& x) { return x.dtype == DType::f32 && is_channels_last(x); }

// Whether sums of what is computed of the numbers stay far below 2^63.
bool moderate(const DepthwiseLast& v) {
  const int64_t numbers[][3] = {{v.sy, v.oy, v.dy}, {v.sx, v.ox, v.dx}};
  const int64_t lengths[][2] = {{v.out_h, v.kh}, {v.out_w, v.kw}};
  const int64_t far = int64_t{1} << 40;
  for (int i = 0; i < 2; ++i) {
    const auto [stride, offset, dilation] = numbers[i];
    const auto [results, elements] = lengths[i];
    if (stride < 1 || dilation < 1 || elements < 1 || max64(stride, dilation) > far ||
        offset > far || offset < -far)
      return false;
    int64_t size;
    if (__builtin_mul_overflow(max64(results, kPixels), stride, &size) || size > far << 20 ||
        __builtin_mul_overflow(elements, dilation, &size) || size > far << 20)
      return false;
  }
  return true;
}

// args: out x weight bias residual act, then strides, offsets, dilations and the kernel's size.
const char* check(const Arg* args, const View* bias, const View* residual) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (!lies_last(out) || !lies_last(x))
    return "conv_depthwise_last: expected images in f32 whose channels lie next to each other";
  if (residual && (!lies_last(*residual) || !same_shape(*residual, out)))
    return "conv_depthwise_last: expected a residual that lies as the result does";
  if (x.shape[0] != out.shape[0] || x.shape[1] != out.shape[1])
    return "conv_depthwise_last: expected as many images and channels as the result has";
  if (bias && (bias->dtype != DType::f32 || bias->ndim != 1 || bias->shape[0] != out.shape[1] ||
               !bias->contiguous()))
    return "conv_depthwise_last: expected a bias with one element per channel";
  return nullptr;
}

const char* read(const Arg* args, DepthwiseLast* v) {
  const View &out = *args[0].a, &x = *args[1].a, &weight = *args[2].a;
  const View* bias = args[3].kind == Arg::array ? args[3].a : nullptr;
  const View* residual = args[4].kind == Arg::array ? args[4].a : nullptr;
  if (const char* error = check(args, bias, residual)) return error;
  v->x = x.ptr<const float>();
  v->weight = weight.ptr<const float>();
  v->bias = bias ? bias->ptr<const float>() : nullptr;
  v->residual = residual ? residual->ptr<const float>() : nullptr;
  v->out = out.ptr<float>();
  v->n = out.shape[0], v->c = out.shape[1], v->out_h = out.shape[2], v->out_w = out.shape[3];
  v->h = x.shape[2], v->w = x.shape[3];
  if (x.size() == 0) v->h = v->w = 0;  // a length beside another of 0 may be any
  int64_t* numbers[] = {&v->sy, &v->sx, &v->oy, &v->ox, &v->dy, &v->dx, &v->kh, &v->kw};
  for (int i = 0; i < 8; ++i) *numbers[i] = args[6 + i].i;
  int64_t elements;
  if (!moderate(*v) || __builtin_mul_overflow(v->kh, v->kw, &elements))
    return "conv_depthwise_last: expected positive strides, dilations and kernel, all below 2^40";
  if (weight.dtype != DType::f32 || weight.ndim != 2 || weight.shape[0] != elements ||
      weight.shape[1] != v->c || !weight.contiguous())
    return "conv_depthwise_last: expected a contiguous weight (elements, channels) in f32";
  const int64_t act = args[5].i;
  for (const View* each : {&x, &weight, bias, residual}) {
    if (each && may_overlap(out, *each))
      return "conv_depthwise_last: expected a result on memory of its own";
  }
  const LineFn line = line_function(act);
  if (!line && act != 0) return "conv_depthwise_last: no such activation";
  v->clamped = act == 4 || act == 6;
  if (act == 6) v->high = 6;
  if (!v->clamped) v->act = line;
  return nullptr;
}

const char* conv_depthwise_last(const Arg* args, int) {
  DepthwiseLast v;
  if (const char* error = read(args, &v)) return error;
  return args[0].a->size() == 0 ? nullptr : compute(v);
}

}  // namespace

void register_conv_depthwise_last(KernelTable& t);
void register_conv_depthwise_last(KernelTable& t) {
  t.add(
      "conv_depthwise_last",
      "out:out x:in weight:in bias:in? residual:in? act:i sy:i sx:i oy:i ox:i dy:i dx:i kh:i kw:i",
      conv_depthwise_last);
}

}  // namespace tl::TL_ISA
