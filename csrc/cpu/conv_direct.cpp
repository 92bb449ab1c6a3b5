// Convolution of few channels, or by kernels of many elements: some rows of all channels are laid
// out as for depthwise convolutions, and the sums of four output channels read them where they lie.
// Packing panels pays where many output channels read each of them.
#include "conv_gemm.h"
#include "conv_layout.h"

namespace tl::TL_ISA {

namespace {

constexpr int kRowsAtOnce = 4;
constexpr int64_t kStep = 3 * kLanes;  // positions that four rows sum at once
// Floats laid out at once, for the second cache: rows that kernels share are laid out once for each
// piece, and what a kernel reads together is near.
constexpr int64_t kLaid = 32768, kMostLaid = int64_t{1} << 17;

// How the outputs are cut: some rows, or a part of one, whose inputs stay in cache.
struct Pieces {
  int64_t lines, halo;          // laid out for one output row, and their surplus
  int64_t width, across, rows;  // of a piece, pieces side by side, rows of one

  explicit Pieces(const Conv& v) {
    const View& w = v.weight;
    const int64_t extra = (w.shape[3] - 1) * v.dilation[1] / v.stride[1];
    const int64_t planes = w.shape[2] * v.stride[1] * v.stride[2] * v.channels();
    halo = (w.shape[4] - 1) * v.dilation[2] / v.stride[2];
    lines = planes * (1 + extra);
    width = v.out.shape[4];
    const int64_t room = max64(kStep, kLaid / lines - halo);
    across = 1;
    if (width > 2 * room) {
      width = ceil_div(ceil_div(width, ceil_div(width, room)), kStep) * kStep;
      across = ceil_div(v.out.shape[4], width);
    }
    const int64_t fitting = kLaid / (planes * (width + halo)) - extra;
    const int64_t bands = ceil_div(v.out.shape[3], max64(1, fitting));
    rows = ceil_div(v.out.shape[3], bands);
  }
};

// to[r][j] = Σ_p w[r][p] · from[at[p] + j] for kVecs vectors of j.
template <int kRows, int kVecs>
void direct_micro(int64_t k, const float* w, int64_t w_row, const float* from, const int64_t* at,
                  float* to, int64_t to_row) {
  vf sum[kRows][kVecs] = {};
  const float* line[kRows];
  for (int r = 0; r < kRows; ++r) line[r] = w + r * w_row;
  for (int64_t p = 0; p < k; ++p) {
    const float* lane = from + at[p];
    vf x[kVecs];
#pragma GCC unroll 8
    for (int j = 0; j < kVecs; ++j) x[j] = load(lane + j * kLanes);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const vf y = splat(line[r][p]);
#pragma GCC unroll 8
      for (int j = 0; j < kVecs; ++j) sum[r][j] = fma(y, x[j], sum[r][j]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int j = 0; j < kVecs; ++j) store(to + r * to_row + j * kLanes, sum[r][j]);
  }
}

// The same for n positions; up to eight vectors are written beyond them. Eight sums or more at a
// time hide how long one takes.
template <int kRows>
void direct_line(int64_t k, const float* w, int64_t w_row, const float* from, const int64_t* at,
                 int64_t n, float* to, int64_t to_row) {
  constexpr int kMost = kRows == 1 ? 8 : kRows == 2 ? 6 : kRows == 3 ? 4 : 3;
  constexpr int kLess = (kMost + 1) / 2;
  for (int64_t i = 0; i < n;) {
    const int64_t left = ceil_div(n - i, kLanes);
    if (left <= kLess || (left > kMost && left <= 2 * kLess)) {
      direct_micro<kRows, kLess>(k, w, w_row, from + i, at, to + i, to_row);
      i += kLess * kLanes;
    } else {
      direct_micro<kRows, kMost>(k, w, w_row, from + i, at, to + i, to_row);
      i += kMost * kLanes;
    }
  }
}

// One convolution and what its pieces share.
struct Direct {
  const Conv v;
  const Pieces pieces;
  Layout layout;
  const float* weight;
  int64_t *at, depth, channel, tile_row;  // shifts, their number, floats of a channel and of sums
  int64_t blocks, block_rows;             // of output channels, which may be tasks of their own

  static Conv one_piece(const Conv& v, const Pieces& pieces, int64_t begin) {
    Conv part = v;
    part.out.shape[4] = pieces.width;
    part.offset[2] += begin * v.stride[2];
    return part;
  }
  explicit Direct(const Conv& c)
      : v(c), pieces(v), layout(one_piece(v, pieces, 0)), weight(nullptr), at(nullptr) {
    layout.most = pieces.rows;
    depth = v.channels() * v.kernel_elements();
    channel = v.weight.shape[2] * layout.row_phases * layout.column_phases * layout.plane();
    tile_row = pieces.rows * layout.pitch + 8 * kLanes;
    const int64_t tasks = v.batch() * v.groups * v.out.shape[2] * bands() * pieces.across;
    const int64_t wanted = num_threads() == 1 ? 1 : ceil_div(2 * num_threads(), tasks);
    const int64_t all = ceil_div(v.out_channels(), kRowsAtOnce);
    block_rows = ceil_div(all, min64(all, wanted)) * kRowsAtOnce;
    blocks = ceil_div(v.out_channels(), block_rows);
  }
  int64_t bands() const { return ceil_div(v.out.shape[3], pieces.rows); }
  // Sums read up to eight vectors beyond what is laid out.
  int64_t laid_size() const { return v.channels() * channel + layout.pitch + 16 * kLanes; }
  int64_t size() const { return (laid_size() + kRowsAtOnce * tile_row + 15) / 16 * 16; }

  void shifts() {
    layout.shifts(v, at);
    for (int64_t p = v.kernel_elements(); p < depth; ++p)
      at[p] = at[p - v.kernel_elements()] + channel;
  }

  // The sums of some output channels, those of a row `layout.pitch` after those before it.
  void sums(int64_t row, int64_t count, const float* laid, int64_t rows, float* tile) const {
    const int64_t width = pieces.width, flat = layout.flat(rows, width);
    const bool joined = flat <= rows * ceil_div(width, kLanes) * kLanes;
    const auto line = count == 1   ? direct_line<1>
                      : count == 2 ? direct_line<2>
                      : count == 3 ? direct_line<3>
                                   : direct_line<4>;
    for (int64_t y = 0; y < (joined ? 1 : rows); ++y) {
      const int64_t begin = y * layout.pitch;
      line(depth, weight + row * depth, depth, laid + begin, at, joined ? flat : width,
           tile + begin, tile_row);
    }
  }
  void write(int64_t row, int64_t count, int64_t offset, int64_t rows, int64_t width,
             float* tile) const {
    const bool ended = end_tile(v, row, count, tile, tile_row);
    for (int64_t r = 0; r < count; ++r) {
      const float add = ended ? -0.0f : bias_of<float>(v, row + r);
      for (int64_t y = 0; y < rows; ++y) {
        const int64_t to = offset + (row + r) * v.out.strides[1] + y * v.out.strides[3];
        write_results<float>(v, to, width, tile + r * tile_row + y * layout.pitch, add);
        if (!ended) activate(v, v.out.ptr<float>() + to, width);
      }
    }
  }
  // Task i: a block of output channels of one piece.
  void run(int64_t i, float* laid) const {
    const int64_t block = i % blocks, x0 = i / blocks % pieces.across * pieces.width;
    int64_t rest = i / blocks / pieces.across;
    const int64_t y0 = rest % bands() * pieces.rows;
    rest /= bands();
    const int64_t z = rest % v.out.shape[2], g = rest / v.out.shape[2] % v.groups;
    const int64_t n = rest / v.out.shape[2] / v.groups;
    const int64_t rows = min64(pieces.rows, v.out.shape[3] - y0);
    const int64_t width = min64(pieces.width, v.out.shape[4] - x0);
    const Conv part = one_piece(v, pieces, x0);
    for (int64_t c = 0; c < v.channels(); ++c)
      lay_out<float>(part, layout, n, g * v.channels() + c, z, y0, rows, false, laid + c * channel);
    const int64_t offset =
        n * v.out.strides[0] + z * v.out.strides[2] + y0 * v.out.strides[3] + x0 * v.out.strides[4];
    const int64_t first = g * v.out_channels() + block * block_rows;
    const int64_t last = min64(first + block_rows, (g + 1) * v.out_channels());
    float* tile = laid + laid_size();
    for (int64_t row = first; row < last; row += kRowsAtOnce) {
      const int64_t count = min64(kRowsAtOnce, last - row);
      sums(row, count, laid, rows, tile);
      write(row, count, offset, rows, width, tile);
    }
  }
};

}  // namespace

bool direct_fits(const Conv& v) {
  if (v.out.dtype == DType::f64 || v.stride[1] > kMostStride || v.stride[2] > kMostStride)
    return false;
  // Panels pay for more output channels; sooner on short rows, where strides are undone for many
  // channels, and where registers do not hold twelve sums beside what is multiplied.
  const bool dense = v.stride[1] == 1 && v.stride[2] == 1;
  const bool wide = kLanes >= 8 && v.out.shape[4] >= 64 && (dense || v.channels() <= 8);
  if (v.kernel_elements() < 2 || v.out_channels() > (wide ? 64 : 16)) return false;
  // Far dilations would lay out mostly zeros, or more than an integer can count.
  const View& w = v.weight;
  const double extra = static_cast<double>((w.shape[3] - 1) * v.dilation[1] / v.stride[1]);
  const double halo = static_cast<double>((w.shape[4] - 1) * v.dilation[2] / v.stride[2]);
  const double planes = static_cast<double>(w.shape[2] * v.stride[1] * v.stride[2] * v.channels());
  if (planes * (1 + extra) * (2 * kStep + halo) > kMostLaid) return false;
  // What is laid out costs less than panels with as many copies as the kernel has elements.
  const Pieces pieces(v);
  const double laid = planes * (static_cast<double>(pieces.rows) + extra) *
                      (static_cast<double>(pieces.width) + halo);
  return laid <=
         static_cast<double>(v.channels() * (v.kernel_elements() + 1) * pieces.rows * pieces.width);
}

const char* direct(const Conv& v) {
  Direct d(v);
  const size_t own = d.size() * sizeof(float);
  Scratch memory(own * num_threads()), weight_memory(plain_bytes<float>(v.weight)),
      at_memory(d.depth * sizeof(int64_t));
  if (!memory.as<char>() || !weight_memory.as<char>() || !at_memory.as<char>())
    return "conv: out of memory";
  d.weight = plain<float>(v.weight, weight_memory.as<float>());
  d.at = at_memory.as<int64_t>();
  d.shifts();
  const int64_t tasks = d.v.batch() * d.v.groups * d.v.out.shape[2] * d.bands() * d.pieces.across;
  const int64_t work = d.block_rows * d.depth * d.pieces.rows * d.pieces.width;
  parallel_for(tasks * d.blocks, 1 + 65536 / work, [&](int64_t begin, int64_t end, int worker) {
    float* mine = reinterpret_cast<float*>(memory.as<char>() + worker * own);
    for (int64_t i = begin; i < end; ++i) d.run(i, mine);
  });
  return nullptr;
}

}  // namespace tl::TL_ISA
