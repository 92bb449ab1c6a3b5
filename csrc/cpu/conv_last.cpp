// Convolutions of two axes in f32 whose result lies channels-last. Nothing is unfolded but pixels
// near the border: a tile reads x where it lies, in any order of memory, by a list of the places of
// all taps and channels.
#include "channels_last.h"
#include "conv_last_tile.h"
#include "gemm_linear.h"
#include "overlap.h"

namespace tl::TL_ISA {
namespace {

// Pixels of a strip: what is unfolded of it is shared by all of its channels. A short depth takes
// more, since up to a tile's pixels are unfolded beside those at the border. All multiples of
// tiles.
constexpr int64_t kStrip = 96, kLongStrip = 384;
// Pixels that read a panel of weights from near; what they read themselves stays near, too.
constexpr int64_t kBlock = 48;
// Taps times channels of a part of the sum: 16 channels of weights take 24 kB then.
constexpr int64_t kMostDepth = 384;
// Weights of a whole that does not stay in the second cache are asked for before they are needed.
constexpr int64_t kNear = int64_t{1} << 18;
// And pixels of an image of more than so many elements, which comes from memory.
constexpr int64_t kFarImage = int64_t{1} << 21;
struct ConvLast {
  View out, x;
  Axis high, wide;
  const float *weight, *bias, *residual;
  int64_t channels, out_channels, depth, parts;
  LineFn act;
  bool clamped, streams;  // streams: pixels follow each other in x, which does not stay near
  float most;

  int64_t pixels() const { return out.shape[0] * high.out * wide.out; }
  int64_t part_depth() const { return ceil_div(depth, parts); }
  int64_t most_of_strip() const {
    return depth * 4 <= kMostDepth ? kLongStrip : kStrip;  // as much is unfolded
  }
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
    const size_t list = kLongStrip + kTileMost;
    const size_t patches = v.most_of_strip() * v.part_depth() * sizeof(float);
    return (3 * list * sizeof(int64_t) + patches + 127) & ~127ull;
  }
  explicit Strip(char* memory) {
    base = reinterpret_cast<int64_t*>(memory);
    place = base + kLongStrip + kTileMost;
    from = reinterpret_cast<const float**>(place + kLongStrip + kTileMost);
    patches = reinterpret_cast<float*>(from + kLongStrip + kTileMost);
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
[[gnu::noinline]] void order_pixels(const ConvLast& v, Strip& s) {
  int64_t inside = 0, outside = s.count, place = s.begin * v.out_channels;
  int64_t ox = s.begin % v.wide.out, oy = s.begin / v.wide.out % v.high.out;
  int64_t n = s.begin / v.wide.out / v.high.out;
  const uint64_t step = place_of(v, 0, 0, v.wide.stride);
  for (int64_t left = s.count; left > 0; ++n, oy = 0) {
    for (; oy < v.high.out && left > 0; ++oy, ox = 0) {
      const bool within = oy >= v.high.low && oy < v.high.high;
      const int64_t end = min64(v.wide.out, ox + left);
      const int64_t low = within ? min64(end, v.wide.low) : end;
      const int64_t high = within ? max64(low, min64(end, v.wide.high)) : end;
      uint64_t base =
          place_of(v, n, oy * v.high.stride + v.high.offset, ox * v.wide.stride + v.wide.offset);
      left -= end - ox;
      const auto put = [&](int64_t i) {
        s.base[i] = static_cast<int64_t>(base);
        s.place[i] = place;
        base += step;
        place += v.out_channels;
      };
      for (; ox < low; ++ox) put(--outside);
      for (; ox < high; ++ox) put(inside++);
      for (; ox < end; ++ox) put(--outside);
    }
  }
  s.whole = inside - inside % v.unit();
}

// One part of the depth, and where it is read by pixels that read x itself, and by the others.
struct Part {
  int64_t first, depth;
  const int64_t *at, *in_patch;
  bool begins, ends;
};

// What pixel i of the strip multiplies in one part of the depth.
[[gnu::noinline]] void unfold(const ConvLast& v, const Strip& s, int64_t i, const Part& part,
                              float* to) {
  const int64_t pixel = s.place[i] / v.out_channels;
  const Taps rows(v.high, pixel / v.wide.out % v.high.out), columns(v.wide, pixel % v.wide.out);
  const int64_t row = v.wide.kernel * v.channels;
  const int64_t wide = (columns.end - columns.begin) * v.channels;
  if ((rows.end - rows.begin) * wide < v.depth) memset(to, 0, part.depth * sizeof(float));
  const float* x = v.x.ptr<const float>();
  const uint64_t base = static_cast<uint64_t>(s.base[i]);
  const auto from = [&](int64_t k) {
    return x + static_cast<int64_t>(base + static_cast<uint64_t>(part.at[k]));
  };
  const bool runs = v.x.strides[1] == 1 && v.channels >= 8;  // else many calls of memcpy
  const int64_t run = runs ? v.channels : wide;
  for (int64_t y = rows.begin; y < rows.end; ++y) {
    const int64_t begin = y * row + columns.begin * v.channels - part.first;
    for (int64_t k = begin; k < begin + wide; k += run) {
      const int64_t low = max64(k, 0), high = min64(k + run, part.depth);
      if (runs && low < high) memcpy(to + low, from(low), (high - low) * sizeof(float));
      for (int64_t j = runs ? high : low; j < high; ++j) to[j] = *from(j);
    }
  }
}

// A group of channels, of the strip's pixels begin … end - 1.
void sum_group(const ConvLast& v, const Strip& s, const Part& part, int64_t begin, int64_t end,
               int64_t group) {
  const int64_t c = group * kPacked, channels = v.out_channels - c, panel = v.depth * kPacked;
  const TileEnd e = {v.bias + c,
                     v.out.ptr<float>() + c,
                     v.residual ? v.residual + c : nullptr,
                     part.begins,
                     part.ends,
                     v.clamped,
                     v.most};
  const bool final = group == v.groups() - 1;
  const int eights = !final || v.eights() % 2 == 0 ? 2 : v.eights() == 1 ? 1 : 3;
  const int pixels = kTilePixels[eights];
  const TileFn tile = tile_of(eights);
  const float* weight = v.weight + group * panel + part.first * kPacked;
  const bool fetch = panel * v.groups() > kNear && group + 1 < s.groups_end;
  const float* next = weight + panel;
  const int64_t lines = part.depth * pixels / (end - begin);
  // Of the pixels that come next, each group asks for its share.
  const int64_t share = v.streams ? pixels * v.channels / (s.groups_end - s.groups_begin) : 0;
  const int64_t ahead = v.streams ? (end - begin) * v.channels : 0;
  for (int64_t i = begin; i < end; i += pixels) {
    const float* coming = s.from[i] + ahead + (group - s.groups_begin) * share;
    for (int64_t k = 0; k < share; k += 16) __builtin_prefetch(coming + k, 0, 2);
    for (int64_t k = 0; fetch && k < lines; ++k, next += kPacked) __builtin_prefetch(next, 0, 2);
    const int64_t *at = i < s.whole ? part.at : part.in_patch, count = min64(pixels, end - i);
    if (count == pixels && channels >= eights * kEight)
      tile(s.from + i, at, part.depth, weight, panel, s.place + i, e);
    else
      sum_some(eights, s.from + i, at, part.depth, weight, panel, s.place + i, count,
               min64(channels, eights * kEight), e);
  }
}

// All channels of the strip's pixels for one part of the depth.
[[gnu::noinline]] void sum_part(const ConvLast& v, const Strip& s, const Part& part) {
  const float* x = v.x.ptr<const float>();
  for (int64_t i = 0; i < s.whole; ++i) s.from[i] = x + s.base[i];
  for (int64_t i = s.whole; i < s.count; ++i) {
    float* patch = s.patches + (i - s.whole) * part.depth;
    unfold(v, s, i, part, patch);
    s.from[i] = patch;
  }
  for (int64_t i = s.count; i < s.count + kTileMost; ++i) s.from[i] = s.from[s.count - 1];
  const int64_t blocks = max64(1, (s.count + kBlock / 2) / kBlock);
  const int64_t block = ceil_div(ceil_div(s.count, blocks), v.unit()) * v.unit();
  for (int64_t i = 0; i < s.count; i += block) {
    for (int64_t g = s.groups_begin; g < s.groups_end; ++g)
      sum_group(v, s, part, i, min64(i + block, s.count), g);
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

// How the work is cut: strips of pixels; groups of channels, too, where strips are few.
struct Cut {
  int64_t strip, strips, groups, blocks;

  explicit Cut(const ConvLast& v) {
    const int64_t threads = num_threads(), tasks = threads == 1 ? 1 : 4 * threads;
    const int64_t wanted = max64(kStrip, min64(v.most_of_strip(), ceil_div(v.pixels(), tasks)));
    strip = ceil_div(v.pixels(), ceil_div(v.pixels(), wanted));
    strip = ceil_div(strip, v.unit()) * v.unit();
    strips = ceil_div(v.pixels(), strip);
    groups = ceil_div(v.groups(), min64(v.groups(), ceil_div(tasks, strips)));
    blocks = ceil_div(v.groups(), groups);
  }
  int64_t grain(const ConvLast& v) const {
    const double work =
        static_cast<double>(strip * groups * kPacked) * static_cast<double>(v.depth);
    return 1 + static_cast<int64_t>(65536 / (work + 1));
  }
};

void sum_strip(const ConvLast& v, Strip& s, const int64_t* at, const int64_t* in_patch) {
  order_pixels(v, s);
  for (int64_t i = 0; i < v.parts; ++i) {
    const int64_t first = i * v.part_depth(), depth = min64(v.part_depth(), v.depth - first);
    sum_part(v, s, {first, depth, at + first, in_patch, i == 0, i == v.parts - 1});
  }
  activate_strip(v, s);
}

const char* run(ConvLast& v, const View* bias) {
  const int64_t padded = ceil_div(v.out_channels, kPacked) * kPacked;
  const Cut cut(v);
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
  parallel_for(cut.strips * cut.blocks, cut.grain(v), [&](int64_t begin, int64_t end, int worker) {
    Strip s(memory.as<char>() + worker * own);
    for (int64_t i = begin; i < end; ++i) {
      s.begin = i / cut.blocks * cut.strip;
      s.count = min64(cut.strip, v.pixels() - s.begin);
      s.groups_begin = i % cut.blocks * cut.groups;
      s.groups_end = min64(s.groups_begin + cut.groups, v.groups());
      sum_strip(v, s, at, in_patch);
    }
  });
  return nullptr;
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

bool same_images(const View& x, const View& out) {
  return x.shape[2] == out.shape[2] && x.shape[3] == out.shape[3];
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
  v.streams = v.depth == v.channels && v.parts == 1 && is_channels_last(x) && same_images(x, out) &&
              x.size() > kFarImage;
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
