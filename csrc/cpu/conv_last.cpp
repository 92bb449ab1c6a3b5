// Convolutions of two axes in f32 whose result lies channels-last. Nothing is unfolded but pixels
// near the border: a tile reads x where it lies, in any order of memory, by a list of the places of
// all taps and channels.
#include "conv_last_tile.h"
#include "gemm_linear.h"
#include "overlap.h"

namespace tl::TL_ISA {
namespace {

// Pixels whose sums are made together, a multiple of all tiles. The weights of a panel are read
// from near for each of them.
constexpr int64_t kStrip = 96;
// Taps times channels of a part of the sum: 16 channels of weights take 24 kB then.
constexpr int64_t kMostDepth = 384;
// Bounds of strides, offsets and dilations, and of what is computed of them.
constexpr int64_t kFar = int64_t{1} << 40, kSpan = int64_t{1} << 60;

// Along one axis. Outputs low … high - 1 read nothing outside x.
struct Axis {
  int64_t out, x, kernel, stride, offset, dilation, low = 0, high = 0;

  const char* settle() {
    if (stride < 1 || stride > kFar || dilation < 1 || dilation > kFar || offset > kFar ||
        offset < -kFar)
      return "conv_last: expected positive strides and dilations, and none beyond 2^40";
    int64_t reach, span;
    if (kernel < 1 || x > kSpan || __builtin_mul_overflow(kernel, dilation, &reach) ||
        __builtin_mul_overflow(out, stride, &span) || max64(reach, span) > kSpan)
      return "conv_last: expected a kernel, and shapes of fewer elements";
    low = min64(out, max64(0, -floor_div(offset, stride)));
    high = floor_div(x - 1 - offset - (kernel - 1) * dilation, stride) + 1;
    high = max64(low, min64(high, out));
    return nullptr;
  }
  // Where tap t of output o reads, or -1.
  int64_t at(int64_t o, int64_t t) const {
    const int64_t i = o * stride + offset + t * dilation;
    return i < x ? max64(i, -1) : -1;
  }
};

struct ConvLast {
  View out, x;
  Axis high, wide;
  const float *weight, *bias, *residual;
  int64_t channels, out_channels, depth, parts;
  LineFn act;
  bool clamped;
  float most;

  int64_t pixels() const { return out.shape[0] * high.out * wide.out; }
  int64_t part_depth() const { return ceil_div(depth, parts); }
  int64_t eights() const { return ceil_div(out_channels, kEight); }
  // Tiles of two eights; one of three at the end of an odd number of them.
  int64_t groups() const { return max64(1, eights() / 2); }
  // Pixels that tiles of all widths there are divide.
  int64_t unit() const {
    return eights() == 1 ? kTilePixels[1] : eights() % 2 == 0 ? kTilePixels[2] : kTilePixels[2] * 2;
  }
};

// What a thread knows of the strip at hand.
struct Strip {
  int64_t begin, count, whole, groups_begin, groups_end;  // whole: pixels that read x itself
  int64_t *base, *place;                                  // in x, of those that can; in out
  const float** from;                                     // of each pixel in its part of the depth
  float* patches;  // of pixels that cannot read x itself, a part of the depth each

  static size_t bytes(const ConvLast& v) {
    const size_t list = kStrip + kTileMost;
    return (3 * list * sizeof(int64_t) + kStrip * v.part_depth() * sizeof(float) + 127) & ~127ull;
  }
  explicit Strip(char* memory) {
    base = reinterpret_cast<int64_t*>(memory);
    place = base + kStrip + kTileMost;
    from = reinterpret_cast<const float**>(place + kStrip + kTileMost);
    patches = reinterpret_cast<float*>(from + kStrip + kTileMost);
  }
};

// Where (n, y, x) is in x, or would be: places outside are computed, but not used, and may wrap.
uint64_t place_of(const ConvLast& v, int64_t n, int64_t y, int64_t x) {
  const auto times = [&](int64_t i, int axis) {
    return static_cast<uint64_t>(i) * static_cast<uint64_t>(v.x.strides[axis]);
  };
  return times(n, 0) + times(y, 2) + times(x, 3);
}

// Pixels that read x itself first, the others from the end.
void order_pixels(const ConvLast& v, Strip& s) {
  int64_t inside = 0, outside = s.count, pixel = s.begin;
  int64_t ox = pixel % v.wide.out, oy = pixel / v.wide.out % v.high.out;
  int64_t n = pixel / v.wide.out / v.high.out;
  const uint64_t step = place_of(v, 0, 0, v.wide.stride);
  for (const int64_t end = s.begin + s.count; pixel < end; ++n) {
    for (; oy < v.high.out && pixel < end; ++oy, ox = 0) {
      const bool within = oy >= v.high.low && oy < v.high.high;
      uint64_t base =
          place_of(v, n, oy * v.high.stride + v.high.offset, ox * v.wide.stride + v.wide.offset);
      for (; ox < v.wide.out && pixel < end; ++ox, ++pixel, base += step) {
        const int64_t i = within && ox >= v.wide.low && ox < v.wide.high ? inside++ : --outside;
        s.base[i] = static_cast<int64_t>(base);
        s.place[i] = pixel * v.out_channels;
      }
    }
    oy = 0;
  }
  s.whole = inside - inside % v.unit();
}

// Taps along an axis that lie inside x.
struct Taps {
  int64_t begin = 0, end = 0;
  Taps(const Axis& a, int64_t o) {
    while (begin < a.kernel && a.at(o, begin) < 0) ++begin;
    for (end = begin; end < a.kernel && a.at(o, end) >= 0;) ++end;
  }
};

// What pixel i of the strip multiplies with elements first … first + count of the depth.
void unfold(const ConvLast& v, const Strip& s, int64_t i, const int64_t* at, int64_t first,
            int64_t count, float* to) {
  const int64_t pixel = s.place[i] / v.out_channels;
  const Taps rows(v.high, pixel / v.wide.out % v.high.out), columns(v.wide, pixel % v.wide.out);
  const int64_t row = v.wide.kernel * v.channels, end = first + count;
  const int64_t wide = (columns.end - columns.begin) * v.channels;
  if ((rows.end - rows.begin) * wide < v.depth) memset(to, 0, count * sizeof(float));
  const float* x = v.x.ptr<const float>();
  const uint64_t base = static_cast<uint64_t>(s.base[i]);
  const auto from = [&](int64_t k) {
    return x + static_cast<int64_t>(base + static_cast<uint64_t>(at[k]));
  };
  const bool runs = v.x.strides[1] == 1 && v.channels >= 8;  // else many calls of memcpy
  const int64_t run = runs ? v.channels : wide;
  for (int64_t y = rows.begin; y < rows.end; ++y) {
    const int64_t begin = y * row + columns.begin * v.channels;
    for (int64_t k = begin; k < begin + wide; k += run) {
      const int64_t low = max64(k, first), high = min64(k + run, end);
      if (runs && low < high) memcpy(to + low - first, from(low), (high - low) * sizeof(float));
      for (int64_t j = runs ? high : low; j < high; ++j) to[j - first] = *from(j);
    }
  }
}

template <int kEights>
void sum_strip(const ConvLast& v, const Strip& s, const int64_t* at, const int64_t* in_patch,
               int64_t depth, const float* weight, int64_t channels, const TileEnd& end) {
  constexpr int kPixels = kTilePixels[kEights];
  const int64_t panel = v.depth * kPacked, some = min64(channels, kEights * kEight);
  for (int64_t i = 0; i < s.count; i += kPixels) {
    const int64_t *places = i < s.whole ? at : in_patch, count = min64(kPixels, s.count - i);
    if (count == kPixels && some == kEights * kEight)
      sum_tile<kEights>(s.from + i, places, depth, weight, panel, s.place + i, end);
    else
      sum_some<kEights>(s.from + i, places, depth, weight, panel, s.place + i, count, some, end);
  }
}

// All channels of the strip's pixels for one part of the depth.
void sum_part(const ConvLast& v, const Strip& s, int64_t part, const int64_t* at,
              const int64_t* in_patch) {
  const int64_t first = part * v.part_depth(), depth = min64(v.part_depth(), v.depth - first);
  const float* x = v.x.ptr<const float>();
  for (int64_t i = 0; i < s.whole; ++i) s.from[i] = x + s.base[i];
  for (int64_t i = s.whole; i < s.count; ++i) {
    float* patch = s.patches + (i - s.whole) * depth;
    unfold(v, s, i, at, first, depth, patch);
    s.from[i] = patch;
  }
  for (int64_t i = s.count; i < s.count + kTileMost; ++i) s.from[i] = s.from[s.count - 1];
  for (int64_t g = s.groups_begin; g < s.groups_end; ++g) {
    const int64_t c = g * kPacked;
    const TileEnd end = {v.bias + c, v.out.ptr<float>() + c, v.residual ? v.residual + c : nullptr,
                         part == 0,  part == v.parts - 1,    v.clamped,
                         v.most};
    const int64_t left = v.out_channels - c;
    const float* weight = v.weight + (g * v.depth + first) * kPacked;
    const bool final = g == v.groups() - 1;
    if (final && v.eights() == 1)
      sum_strip<1>(v, s, at + first, in_patch, depth, weight, left, end);
    else if (final && v.eights() % 2)
      sum_strip<3>(v, s, at + first, in_patch, depth, weight, left, end);
    else
      sum_strip<2>(v, s, at + first, in_patch, depth, weight, left, end);
  }
}

// Activations that are no clamp, of what has just been written.
void activate_strip(const ConvLast& v, const Strip& s) {
  if (!v.act || v.clamped) return;
  const int64_t c = s.groups_begin * kPacked;
  const int64_t end = s.groups_end == v.groups() ? v.out_channels : s.groups_end * kPacked;
  const bool joined = end - c == v.out_channels;
  const int64_t length = (end - c) * (joined ? s.count : 1);
  float* line = v.out.ptr<float>() + s.begin * v.out_channels + c;
  for (int64_t i = 0; i < (joined ? 1 : s.count); ++i, line += v.out_channels) {
    const void* in[] = {line};
    v.act(line, in, length, nullptr);
  }
}

// at[k]: how far behind a pixel's first tap and channel element k of the depth lies.
void list_places(const ConvLast& v, int64_t* at, int64_t* in_patch) {
  for (int64_t i = 0; i < v.part_depth(); ++i) in_patch[i] = i;
  if (v.depth == 0) return;
  for (int64_t y = 0; y < v.high.kernel; ++y) {
    for (int64_t x = 0; x < v.wide.kernel; ++x) {
      uint64_t place = place_of(v, 0, y * v.high.dilation, x * v.wide.dilation);
      for (int64_t c = 0; c < v.channels; ++c, place += static_cast<uint64_t>(v.x.strides[1]))
        *at++ = static_cast<int64_t>(place);
    }
  }
}

const char* run(ConvLast& v, const View* bias) {
  const int64_t padded = ceil_div(v.out_channels, kPacked) * kPacked;
  const int64_t strips = ceil_div(v.pixels(), kStrip);
  const int64_t strip = ceil_div(ceil_div(v.pixels(), strips), v.unit()) * v.unit();
  // Few strips: channels are shared, too.
  const int64_t wanted = num_threads() == 1 ? 1 : ceil_div(4 * num_threads(), strips);
  const int64_t some = ceil_div(v.groups(), min64(v.groups(), wanted));
  const int64_t blocks = ceil_div(v.groups(), some);
  const size_t own = Strip::bytes(v);
  Scratch lists((v.depth + v.part_depth() + 1) * sizeof(int64_t) + padded * sizeof(float)),
      memory(own * num_threads());
  if (!lists.as<char>() || !memory.as<char>()) return "conv_last: out of memory";
  int64_t *at = lists.as<int64_t>(), *in_patch = at + v.depth;
  float* biases = reinterpret_cast<float*>(in_patch + v.part_depth());
  list_places(v, at, in_patch);
  for (int64_t c = 0; c < padded; ++c)
    biases[c] = bias && c < v.out_channels ? bias->ptr<const float>()[c] : 0;
  v.bias = biases;
  const double work = static_cast<double>(strip * some * kPacked) * static_cast<double>(v.depth);
  const int64_t grain = 1 + static_cast<int64_t>(65536 / (work + 1));
  parallel_for(strips * blocks, grain, [&](int64_t begin, int64_t end, int worker) {
    Strip s(memory.as<char>() + worker * own);
    for (int64_t i = begin; i < end; ++i) {
      s.begin = i / blocks * strip;
      s.count = min64(strip, v.pixels() - s.begin);
      if (s.count <= 0) continue;
      s.groups_begin = i % blocks * some;
      s.groups_end = min64(s.groups_begin + some, v.groups());
      order_pixels(v, s);
      for (int64_t part = 0; part < v.parts; ++part) sum_part(v, s, part, at, in_patch);
      activate_strip(v, s);
    }
  });
  return nullptr;
}

// Whether (N, C, H, W) lies as (N, H, W, C) does contiguous.
bool is_channels_last(const View& x) {
  const int order[] = {1, 3, 2, 0};
  int64_t want = 1;
  for (const int i : order) {
    if (x.shape[i] != 1 && x.strides[i] != want) return false;
    want *= x.shape[i];
  }
  return true;
}

const char* check_packed(const View& weight, const ConvLast& v) {
  int64_t taps, depth;
  if (__builtin_mul_overflow(v.high.kernel, v.wide.kernel, &taps) ||
      __builtin_mul_overflow(taps, v.channels, &depth) || weight.dtype != DType::f32 ||
      weight.ndim != 3 || !weight.contiguous() || weight.shape[1] != depth ||
      weight.shape[0] != ceil_div(v.out_channels, kPacked) || weight.shape[2] != kPacked)
    return "conv_last: expected a weight that conv_last_weight gave";
  return nullptr;
}

const char* check_operands(const View* const* given, int64_t out_channels) {
  const View &out = *given[0], &x = *given[1], *bias = given[3], *residual = given[4];
  if (out.dtype != DType::f32 || x.dtype != DType::f32 || out.ndim != 4 || x.ndim != 4)
    return "conv_last: expected arrays of 4 axes in f32";
  if (out.size() > 0 && !is_channels_last(out))
    return "conv_last: expected a result that lies channels-last";
  if (bias && (bias->dtype != DType::f32 || bias->ndim != 1 || bias->shape[0] != out_channels ||
               !bias->contiguous()))
    return "conv_last: expected a contiguous bias in f32 with one element per output channel";
  if (residual && (residual->dtype != DType::f32 || !same_shape(*residual, out) ||
                   (out.size() > 0 && !is_channels_last(*residual))))
    return "conv_last: expected a residual in f32 that lies as the result does";
  for (int i = 1; i < 5; ++i) {
    if (given[i] && may_overlap(out, *given[i]))
      return "conv_last: expected a result on memory of its own";
  }
  return nullptr;
}

const char* conv_last(const Arg* args, int) {
  const View* given[5];
  for (int i = 0; i < 5; ++i) given[i] = args[i].kind == Arg::array ? args[i].a : nullptr;
  const View &out = *given[0], &x = *given[1];
  if (const char* error = check_operands(given, out.back(3))) return error;
  ConvLast v;
  v.out = out;
  v.x = x;
  v.high = {out.shape[2], x.shape[2], args[12].i, args[6].i, args[8].i, args[10].i};
  v.wide = {out.shape[3], x.shape[3], args[13].i, args[7].i, args[9].i, args[11].i};
  v.channels = x.shape[1];
  v.out_channels = out.shape[1];
  if (x.shape[0] != out.shape[0]) return "conv_last: shapes do not fit";
  if (const char* error = v.high.settle()) return error;
  if (const char* error = v.wide.settle()) return error;
  if (const char* error = check_packed(*given[2], v)) return error;
  v.act = line_function(args[5].i);
  if (!v.act && args[5].i != 0) return "conv_last: no such activation";
  v.clamped = args[5].i == 4 || args[5].i == 6;
  v.most = args[5].i == 6 ? 6 : __builtin_inff();
  if (out.size() == 0) return nullptr;
  v.weight = given[2]->ptr<const float>();
  v.residual = given[4] ? given[4]->ptr<const float>() : nullptr;
  v.depth = given[2]->shape[1];
  v.parts = max64(1, ceil_div(v.depth, kMostDepth));
  return run(v, given[3]);
}

// out[panel][(ky, kx, c)][channel of the panel], channels that a last panel lacks zero.
const char* conv_last_weight(const Arg* args, int) {
  const View &out = *args[0].a, &weight = *args[1].a;
  if (out.dtype != DType::f32 || weight.dtype != DType::f32 || weight.ndim != 4 || out.ndim != 3 ||
      !out.contiguous() || out.shape[2] != kPacked ||
      out.shape[0] != ceil_div(weight.shape[0], kPacked))
    return "conv_last_weight: expected f32, (channels / 16, depth, 16) of 4 axes";
  int64_t depth;
  if (__builtin_mul_overflow(weight.shape[1], weight.shape[2], &depth) ||
      __builtin_mul_overflow(depth, weight.shape[3], &depth) || out.shape[1] != depth)
    return "conv_last_weight: expected the depth of all taps and channels";
  if (out.size() == 0) return nullptr;
  if (may_overlap(out, weight)) return "conv_last_weight: expected a result on memory of its own";
  parallel_for(out.shape[0], 1 + 65536 / (depth * kPacked), [&](int64_t begin, int64_t end, int) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t row = panel * kPacked, rows = min64(kPacked, weight.shape[0] - row);
      float* to = out.ptr<float>() + row * depth;
      for (int64_t k = 0; k < depth; ++k, to += kPacked) {
        const int64_t c = k % weight.shape[1], tap = k / weight.shape[1];
        const float* from = weight.ptr<const float>() + row * weight.strides[0] +
                            c * weight.strides[1] + tap / weight.shape[3] * weight.strides[2] +
                            tap % weight.shape[3] * weight.strides[3];
        for (int64_t i = 0; i < kPacked; ++i) to[i] = i < rows ? from[i * weight.strides[0]] : 0;
      }
    }
  });
  return nullptr;
}

}  // namespace

void register_conv_last(KernelTable& t);
void register_conv_last(KernelTable& t) {
  t.add("conv_last_weight", "out:out weight:in", conv_last_weight);
  t.add(
      "conv_last",
      "out:out x:in weight:in bias:in? residual:in? act:i sy:i sx:i oy:i ox:i dy:i dx:i kh:i kw:i",
      conv_last);
}

}  // namespace tl::TL_ISA
