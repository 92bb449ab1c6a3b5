// Products of 8-bit integers, "matmul_int8", and operands packed for them.
#include "int8_problem.h"

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
  TL_INLINE void write(int64_t row, const int32_t* c, char* to) {
    const bool by_row = p.ends.by_row;
    if (by_row) fetch_bias(row, 0);
    const f32x8 row_bias = bias[0] - f32x8{};
    const f32x8 row_scale =
        (by_row && p.ends.scale ? p.ends.scale[row * p.ends.scale_step] : 0) - f32x8{};
    // Unsigned: sums wrap around, and what was packed elsewhere may be any number.
    const uint32_t term = static_cast<uint32_t>(p.rows->term(row));
    const uint32_t zero =
        static_cast<uint32_t>(kWords && !p.rows->pairs ? 1 : p.row_zeros.at(row, !p.rows->pairs));
    const bool bytes = p.ends.itemsize() == 1, is_signed = p.ends.dtype == DType::i8;
    const float low = static_cast<float>((is_signed ? -128 : 0) - p.ends.zero), high = low + 255;
    for (int j = 0; j < kAcross; j += 8) {
      u32x8 v = load_as<u32x8>(c + j) - load_as<u32x8>(panel.zeros + j) * term +
                load_as<u32x8>(panel.terms + j) * zero;
      if (p.ends.dtype == DType::i32) {
        store_at(to + 4 * j, v);
        continue;
      }
      const f32x8 b = by_row ? row_bias : load_as<f32x8>(bias + j);
      if (bytes) v += (u32x8)b;
      f32x8 f = __builtin_convertvector((i32x8)v, f32x8) *
                (by_row ? row_scale : load_as<f32x8>(scale + j));
      if (!bytes) {
        store_at(to + 4 * j, f + b);
        continue;
      }
      f = min(max(f, f32x8{} + low), f32x8{} + high);
      const i32x8 whole = round_to_int(f) + p.ends.zero;
      const auto narrow = __builtin_convertvector(whole, Simd<int8_t, 8>);
      memcpy(to + j, &narrow, 8);
    }
  }
};

// Asks for a part of the next packed panel with each group of rows: a gap lies between the steps of
// two, at which prefetching by the processor ends.
class NextPanel {
 public:
  NextPanel(const Product& p, int64_t panel, int64_t rows) {
    if (!p.panels || (panel + 1) * kAcross >= p.n) return;
    const int64_t bytes = Panel8::bytes(p.rows->units);
    at_ = p.panels + (panel + 1) * bytes;
    left_ = ceil_div(p.rows->pairs ? 512 + (bytes - 512) / 2 : bytes, 64);
    each_ = ceil_div(left_, max64(1, ceil_div(rows, kTileRows)));
  }
  void some() {
    const int64_t count = min64(each_, left_);
    left_ -= count;
    for (int64_t i = 0; i < count; ++i, at_ += 64) __builtin_prefetch(at_, 0, 2);
  }

 private:
  const uint8_t* at_ = nullptr;
  int64_t left_ = 0, each_ = 0;
};

}  // namespace

void multiply_panel8(const Product& p, int64_t panel, int64_t begin, int64_t end, char* scratch) {
  const int64_t first = panel * kAcross, used = min64(kAcross, p.n - first);
  char* aligned = scratch + (64 - reinterpret_cast<uintptr_t>(scratch) % 64) % 64;
  const int64_t units = p.rows->units;
  Panel8 tiles{reinterpret_cast<uint8_t*>(aligned), units, {}, {}};
  if (p.panels)
    tiles = Panel8::kept(p.panels + panel * Panel8::bytes(units), units, p.rows->pairs, aligned);
  else
    tiles.pack(p.columns, first, used, p.column_zeros);
  RowEnd ends(p, tiles, first, used);
  const Runs runs(p.target, first, used);
  const bool whole = used == kAcross && p.target.pitch == 0;
  alignas(64) int32_t c[kTileRows * kAcross];
  alignas(64) char line[4 * kAcross];
  NextPanel next(p, panel, end - begin);
  for (int64_t row = begin; row < end; row += kTileRows) {
    next.some();
    const int here = static_cast<int>(min64(kTileRows, end - row));
    if (here == kTileRows) {
      multiply_rows<kTileRows>(*p.rows, tiles, row, c);
    } else {
      for (int r = 0; r < here; ++r) multiply_rows<1>(*p.rows, tiles, row + r, c + r * kAcross);
    }
    for (int r = 0; r < here; ++r) {
      char* to = p.target.out + (row + r) * p.target.row_step;
      ends.write(row + r, c + r * kAcross, whole ? to + first * p.ends.itemsize() : line);
      if (!whole) runs.write(to, line, p.ends.itemsize());
    }
  }
}

namespace {

// Of rows and columns: offsets in packed rows fit into 32 bits, as sums of products do.
constexpr int64_t kMostDepth = int64_t{1} << 28;

// Columns of a matrix, or rows of `groups` ones, as the kernels below take them.
const char* int8_columns(const Arg* args, int) {
  const View &out = *args[0].a, &b = *args[1].a;
  Zeros zeros;
  if (b.ndim != 2 || !is_byte(b) || !b.contiguous() || out.dtype != DType::u8 ||
      !out.contiguous() || !read_zeros(args[2], b, b.shape[1], &zeros))
    return "int8_columns: expected a contiguous matrix of bytes, and zero points, one or one each";
  const int64_t k = b.shape[0], n = b.shape[1];
  if (k > kMostDepth || too_large(n, 2 * k + 128))
    return "int8_columns: expected fewer rows and columns";
  const int64_t units = ceil_div(k, 32), panels = ceil_div(n, kAcross),
                bytes = Panel8::bytes(units);
  if (out.size() < panels * bytes) return "int8_columns: expected an out that is large enough";
  Scratch memory(k * sizeof(int64_t));
  auto* offsets = memory.as<int64_t>();
  if (!offsets) return "int8_columns: out of memory";
  for (int64_t p = 0; p < k; ++p) offsets[p] = p * n;
  const Columns columns{b.ptr<uint8_t>(), offsets, k, zeros.is_signed};
  memset(out.ptr<uint8_t>(), 0, out.size());  // what lies between the parts, and behind them
  bool pairs = kWords;
  auto pack = [&](bool* good) {
    parallel_for(panels, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        uint8_t* to = out.ptr<uint8_t>() + i * bytes;
        Panel8 panel{to + 512, units, {}, {}};
        const int64_t first = i * kAcross, used = min64(kAcross, n - first);
        if constexpr (kWords) {
          if (good && !panel.pack_pairs(columns, first, used, zeros)) {
            __atomic_store_n(good, false, __ATOMIC_RELAXED);
            return;
          }
        }
        if (!good) panel.pack(columns, first, used, zeros);
        panel.keep(to);
      }
    });
  };
  if (pairs) pack(&pairs);
  if (!pairs) memset(out.ptr<uint8_t>(), 0, out.size()), pack(nullptr);
  return nullptr;
}

const char* int8_rows(const Arg* args, int) {
  const View &out = *args[0].a, &w = *args[1].a;
  const int64_t groups = args[3].i;
  Zeros zeros;
  if (w.ndim != 2 || !is_byte(w) || !w.contiguous() || out.dtype != DType::u8 ||
      !out.contiguous() || !read_zeros(args[2], w, w.shape[0], &zeros))
    return "int8_rows: expected a contiguous matrix of bytes, and zero points, one or one each";
  const int64_t k = w.shape[1];
  if (groups < 1 || w.shape[0] % groups != 0 || k > kMostDepth ||
      too_large(w.shape[0], 2 * k + 128) ||
      out.size() < groups * Workspace::rows_bytes(w.shape[0] / groups, k))
    return "int8_rows: expected groups of rows, and an out that is large enough";
  memset(out.ptr<uint8_t>(), 0, out.size());  // what lies between the groups, and behind them
  if (w.shape[0] == 0) return nullptr;
  Workspace work(groups, w.shape[0] / groups, k, 0, out.ptr<uint8_t>());
  if (!work.good()) return "int8_rows: out of memory";
  work.pack(w.ptr<uint8_t>(), zeros);
  return nullptr;
}

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
  uint8_t* panels;
  const int64_t panel_bytes = Panel8::bytes(ceil_div(k, 32));
  if (!read_packed(args[8], ceil_div(n, kAcross) * panel_bytes, &panels) ||
      (panels && (batch != 1 || k > kMostDepth)))
    return "matmul_int8: expected one matrix of packed columns";
  base.panels = panels;
  if (out.size() == 0) return nullptr;
  Workspace work(batch, m, k, 0);
  if (!work.good()) return "matmul_int8: out of memory";
  work.packed->pairs = panels && Panel8::in_pairs(panels);
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

}  // namespace

void register_int8_conv(KernelTable& t);
void register_int8_dynamic(KernelTable& t);
void register_int8_products(KernelTable& t);
void register_int8_products(KernelTable& t) {
  register_int8_conv(t);
  register_int8_dynamic(t);
  t.add("int8_columns", "out:out b:in zero:in?", int8_columns);
  t.add("int8_rows", "out:out w:in zero:in? groups:i", int8_rows);
  t.add("matmul_int8", "out:out a:in b:in" TL_INT8_ENDS, matmul_int8);
}

}  // namespace tl::TL_ISA
