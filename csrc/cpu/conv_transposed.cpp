// Transposed convolutions by whole strides: results are parted into the phases of the stride, and
// the phases of all channels are rows of one product with the same patches. Weights are read where
// they lie; the phases of a line are put together when it is written.
#include "conv_gemm.h"
#include "conv_layout.h"

namespace tl::TL_ISA {

namespace {

constexpr int kN = kPanelColumns<float>;
constexpr int64_t kMostPanels = 8, kPacked = 65536, kTileRows = 48, kMostPhases = 64;

// Element i of the result along an axis is phase (i + lead) % stride of place (i + lead) / stride,
// to which the inputs place + first - j contribute, j < taps.
struct Axis {
  int64_t stride, kernel, length, inputs;  // of the result, and of what is read
  int64_t first, lead, places, taps;

  Axis(const Conv& v, int axis)
      : stride(v.stride[axis]),
        kernel(v.weight.shape[2 + axis]),
        length(v.x.shape[2 + axis]),
        inputs(v.out.shape[2 + axis]),
        first(floor_div(-v.offset[axis], stride)),
        lead(floor_mod(-v.offset[axis], stride)),
        places((length - 1 + lead) / stride + 1),
        taps(ceil_div(kernel, stride)) {}
  int64_t laid() const { return places + taps - 1; }
  // Phases from here on have a tap less.
  int64_t whole() const { return kernel - (taps - 1) * stride; }
};

// One line of a panel, and the weight that it is multiplied by.
struct Tap {
  int64_t weight, line;
};

// c[i] (kVecs vectors) = Σ_p rows[i][taps[p].weight] · b[taps[p].line …].
template <int kRows, int kVecs>
void transposed_micro(int64_t k, const float* const* rows, const Tap* taps, const float* b,
                      float* const* c, int64_t c_at) {
  vf acc[kRows][kVecs] = {};
  const float* row[kRows];
  for (int i = 0; i < kRows; ++i) row[i] = rows[i];
  for (int64_t p = 0; p < k; ++p) {
    const auto [from, line] = taps[p];
    vf x[kVecs];
    for (int j = 0; j < kVecs; ++j) x[j] = load(b + line + j * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const vf y = splat(row[i][from]);
#pragma GCC unroll 2
      for (int j = 0; j < kVecs; ++j) acc[i][j] = fma(y, x[j], acc[i][j]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kVecs; ++j) store(c[i] + c_at + j * kLanes, acc[i][j]);
  }
}

// Phases of lines that lie `row` apart, `n` places of each, as one line: pairs of lines become one
// until one is left. Two buffers hold them.
const float* put_together(const float* from, int64_t row, int64_t phases, int64_t n, float* to,
                          float* other) {
  if (phases & (phases - 1)) {
    for (int64_t r = 0; r < phases; ++r)
      for (int64_t i = 0; i < n; ++i) to[i * phases + r] = from[r * row + i];
    return to;
  }
  for (int64_t half = phases / 2; half > 0; half /= 2) {
    const int64_t length = ceil_div(n, kLanes) * kLanes;
    for (int64_t r = 0; r < half; ++r) {
      const float *a = from + r * row, *b = a + half * row;
      for (int64_t i = 0; i < n; i += kLanes)
        interleave(load(a + i), load(b + i), to + 2 * (r * length + i));
    }
    row = 2 * length, n *= 2;
    from = to, to = other, other = const_cast<float*>(from);
  }
  return from;
}

struct Transposed {
  const Conv& v;  // v.x is written, v.out read
  const View* bias;
  const float *g = nullptr, *weight = nullptr;
  Tap* taps = nullptr;
  Axis down, along;
  int64_t channels, results;        // read and written, of a group
  int64_t pitch, positions, depth;  // places of an image with gaps; lines of a panel, at most
  int64_t panels, block;            // of an image, of a task
  int64_t part, parts;              // channels of a task, tasks over them

  Transposed(const Conv& v, const View* bias)
      : v(v),
        bias(bias),
        down(v, 1),
        along(v, 2),
        channels(v.out_channels()),
        results(v.channels()),
        pitch(along.laid()),
        positions((down.places - 1) * pitch + along.places),
        depth(channels * down.taps * along.taps),
        panels(ceil_div(positions, kN)) {
    const int64_t most = max64(1, min64(kMostPanels, kPacked / (depth * kN)));
    block = ceil_div(panels, ceil_div(panels, most));
    const int64_t threads = num_threads(), tasks = v.batch() * v.groups * ceil_div(panels, block);
    const int64_t wanted = threads == 1 ? 1 : ceil_div(2 * threads, tasks);
    const int64_t tiles = ceil_div(results, at_once());
    part = ceil_div(tiles, min64(wanted, tiles)) * at_once();
    parts = ceil_div(results, part);
  }
  int64_t phases() const { return down.stride * along.stride; }
  int64_t at_once() const { return max64(1, kTileRows / phases()); }  // channels of a tile
  int64_t wide() const { return block * kN; }
  int64_t tile_size() const { return at_once() * phases() * wide() + kN; }
  int64_t laid_size() const { return wide() + down.taps * pitch + along.taps; }
  int64_t line_size() const { return along.stride * (wide() + kN); }
  int64_t size() const { return depth * wide() + tile_size() + laid_size() + 2 * line_size(); }

  // What n places from q on read of a channel: tap (j, i) is j · pitch + i before the result.
  const float* lay_out(const float* plane, int64_t q, int64_t n, float* to) const {
    const int64_t before = (down.taps - 1) * pitch + along.taps - 1, end = q + n + before;
    const int64_t first = along.first - (along.taps - 1);
    const int64_t low = min64(max64(0, -first), pitch);
    const int64_t high = max64(low, min64(pitch, along.inputs - first));
    memset(to, 0, (n + before) * sizeof(float));
    for (int64_t row = q / pitch; row * pitch < end; ++row) {
      const int64_t at = row + down.first - (down.taps - 1), line = row * pitch;
      const int64_t begin = max64(line + low, q), stop = min64(line + high, end);
      if (at >= 0 && at < down.inputs && begin < stop)
        memcpy(to + begin - q, plane + at * along.inputs + first + begin - line,
               (stop - begin) * sizeof(float));
    }
    return to + before;
  }
  // Whether places are the inputs as they lie in memory.
  bool bare() const {
    return down.taps * along.taps == 1 && down.first == 0 && along.first == 0 &&
           pitch == along.inputs;
  }
  // Panels of n places from q on.
  void pack(const float* image, int64_t q, int64_t n, float* laid, float* to) const {
    const int64_t plane = down.inputs * along.inputs, made = ceil_div(n, kN);
    const bool inside = bare() && q + made * kN <= plane;
    for (int64_t c = 0; c < channels; ++c, image += plane) {
      const float* from = inside ? image + q : lay_out(image, q, made * kN, laid);
      for (int64_t j = 0; j < down.taps; ++j) {
        for (int64_t i = 0; i < along.taps; ++i, to += kN) {
          const float* line = from - j * pitch - i;
          for (int64_t p = 0; p < made; ++p) {
            const vf low = load(line + p * kN), high = load(line + p * kN + kLanes);
            store(to + p * depth * kN, low);
            store(to + p * depth * kN + kLanes, high);
          }
        }
      }
    }
  }
  // The taps of phases of four kinds: with or without the last one down, and along.
  int64_t kinds() const { return 4 * depth; }
  void list_taps() {
    const int64_t step = results * down.kernel * along.kernel;
    for (int64_t kind = 0; kind < 4; ++kind) {
      Tap* to = taps + kind * depth;
      int64_t line = 0;
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t j = 0; j < down.taps; ++j) {
          for (int64_t i = 0; i < along.taps; ++i, line += kN) {
            if (j < down.taps - kind / 2 && i < along.taps - kind % 2)
              *to++ = {c * step + j * down.stride * along.kernel + i * along.stride, line};
          }
        }
      }
    }
  }

  // Sums of the phases of a kind, of some channels from the `first` on.
  void sums(int64_t kind, const float* w, int64_t some, int64_t n, const float* packed,
            float* tile) const {
    const float* rows[kTileRows + kMostPhases];
    float* to[kTileRows + kMostPhases];
    int64_t made = 0;
    for (int64_t c = 0; c < some; ++c) {
      for (int64_t y = 0; y < down.stride; ++y) {
        for (int64_t x = 0; x < along.stride; ++x) {
          if ((y >= down.whole()) * 2 + (x >= along.whole()) != kind) continue;
          rows[made] = w + (c * down.kernel + y) * along.kernel + x;
          to[made++] = tile + ((c * down.stride + y) * along.stride + x) * wide();
        }
      }
    }
    const int64_t k = channels * (down.taps - kind / 2) * (along.taps - kind % 2);
    for (int64_t r = 0; r < made;) {
      const int64_t left = made - r, count = left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
      for (int64_t at = 0; at < n; at += kN) {
        const bool half = n - at <= kLanes;
        (count == 6   ? half ? transposed_micro<6, 1> : transposed_micro<6, 2>
         : count == 4 ? half ? transposed_micro<4, 1> : transposed_micro<4, 2>
         : count == 2 ? half ? transposed_micro<2, 1> : transposed_micro<2, 2>
         : half ? transposed_micro<1, 1>
                : transposed_micro<1, 2>)(k, rows + r, taps + kind * depth, packed + at * depth,
                                          to + r, at);
      }
      r += count;
    }
  }
  // The results of a channel in the tile's rows.
  void write(int64_t image, int64_t channel, int64_t q, int64_t n, const float* tile,
             float* lines) const {
    const View& out = v.x;
    const float add = bias ? scalar_at<float>(*bias, channel * bias->strides[0]) : 0;
    const int64_t base = image * out.strides[0] + channel * out.strides[1];
    for (int64_t at = 0; at < n;) {
      const int64_t row = (q + at) / pitch, column = (q + at) % pitch;
      const int64_t count = min64(n - at, along.places - column);
      const int64_t begin = column * along.stride - along.lead;
      const int64_t low = max64(0, begin), high = min64(along.length, begin + count * along.stride);
      for (int64_t y = 0; y < down.stride && low < high; ++y) {
        const int64_t to = row * down.stride + y - down.lead;
        if (to < 0 || to >= down.length) continue;
        const float* line = put_together(tile + y * along.stride * wide() + at, wide(),
                                         along.stride, count, lines, lines + line_size());
        write_line<float>(out, base + to * out.strides[3] + low * out.strides[4], out.strides[4],
                          high - low, line + low - begin, add);
      }
      at += pitch - column;
    }
  }
  // Task i: some channels of some places of an image.
  void run(int64_t i, float* packed) const {
    float *tile = packed + depth * wide(), *laid = tile + tile_size(), *lines = laid + laid_size();
    const int64_t blocks = ceil_div(panels, block), first = i % parts * part;
    const int64_t q = i / parts % blocks * wide(), n = min64(wide(), positions - q);
    const int64_t group = i / parts / blocks % v.groups, image = i / parts / blocks / v.groups;
    const int64_t plane = down.inputs * along.inputs;
    pack(g + (image * v.groups + group) * channels * plane, q, n, laid, packed);
    const int64_t elements = down.kernel * along.kernel;
    for (int64_t c = first; c < min64(first + part, results); c += at_once()) {
      const int64_t some = min64(at_once(), results - c);
      const float* w = weight + (group * channels * results + c) * elements;
      for (int kind = 0; kind < 4; ++kind) sums(kind, w, some, n, packed, tile);
      for (int64_t r = 0; r < some; ++r)
        write(image, group * results + c + r, q, n, tile + r * phases() * wide(), lines);
    }
  }
};

}  // namespace

bool transposed_fits(const Conv& v) {
  if (kLanes < 8 || v.out.dtype == DType::f64 || v.x.shape[2] != 1 || v.out.shape[2] != 1 ||
      v.weight.shape[2] != 1 || v.offset[0] != 0 || v.out_channels() < 8)
    return false;
  for (int i = 1; i < 3; ++i) {
    // Most places of long kernels, and of results far beyond the inputs, read zeros.
    const int64_t kernel = v.weight.shape[2 + i], most = v.out.shape[2 + i] + kernel;
    if (v.dilation[i] != 1 || kernel < v.stride[i] || kernel > 4096 ||
        v.x.shape[2 + i] > 2 * most * v.stride[i])
      return false;
  }
  const int64_t phases = v.stride[1] * v.stride[2];
  return phases > 1 && phases <= kMostPhases;
}

const char* transposed(const Conv& v, const View* bias) {
  if constexpr (kLanes >= 8) {
    Transposed t(v, bias);
    const size_t own = t.size() * sizeof(float);
    Scratch memory(own * num_threads()), taps(t.kinds() * sizeof(Tap)),
        g(plain_bytes<float>(v.out)), weight(plain_bytes<float>(v.weight));
    if (!memory.as<char>() || !taps.as<char>() || !g.as<char>() || !weight.as<char>())
      return "conv: out of memory";
    t.g = plain<float>(v.out, g.as<float>());
    t.weight = plain<float>(v.weight, weight.as<float>());
    t.taps = taps.as<Tap>();
    t.list_taps();
    const int64_t tasks = v.batch() * v.groups * ceil_div(t.panels, t.block) * t.parts;
    parallel_for(tasks, 1, [&](int64_t begin, int64_t end, int worker) {
      float* mine = reinterpret_cast<float*>(memory.as<char>() + worker * own);
      for (int64_t i = begin; i < end; ++i) t.run(i, mine);
    });
    return nullptr;
  }
  return "conv: no transposed convolution in this build";
}

}  // namespace tl::TL_ISA
