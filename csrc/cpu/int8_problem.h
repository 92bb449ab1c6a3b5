// What the kernels of int8_products.h read from their arguments, and the memory that they take.
#pragma once
#include "int8_products.h"

#define TL_INT8_ENDS " a_zero:in? b_zero:in? scale:in? bias:in? zero:in? packed:in?"

namespace tl::TL_ISA {

inline bool is_byte(const View& x) { return x.dtype == DType::u8 || x.dtype == DType::i8; }

// Of `count` elements, one or none: false if it is neither.
inline bool read_zeros(const Arg& arg, const View& of, int64_t count, Zeros* to) {
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
inline const char* read_ends(const Arg* args, const View& out, int64_t count, Ends* to) {
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
inline int64_t row_parts(int64_t tasks, int64_t m) {
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

inline bool too_large(int64_t rows, int64_t k) {
  const int64_t most = int64_t{1} << 50;
  return rows > most || k > most || (rows + kTileRows) > most / (k + 64);
}

// Memory for `count` products of m rows: all rows packed, a panel for each thread, offsets of
// columns, and an image.
class Workspace {
 public:
  PackedRows* packed;
  int64_t* offsets;
  uint8_t* image;

  // `rows`: those that were packed before, or null.
  Workspace(int64_t count, int64_t m, int64_t k, int64_t image_bytes, uint8_t* rows = nullptr)
      : count_(count),
        m_(m),
        k_(k),
        units_(ceil_div(k, 32)),
        rows_bytes_(rows_bytes(m, k)),
        panel_bytes_(panel_scratch(units_)),
        memory_((rows ? 0 : count * rows_bytes_) + count * sizeof(PackedRows) +
                num_threads() * panel_bytes_ + k * sizeof(int64_t) + image_bytes) {
    char* at = memory_.as<char>();
    if (!at) return;
    panels_ = rows ? at : at + count * rows_bytes_;
    if (rows) at = reinterpret_cast<char*>(rows);
    offsets = reinterpret_cast<int64_t*>(panels_ + num_threads() * panel_bytes_);
    packed = reinterpret_cast<PackedRows*>(offsets + k);
    image = reinterpret_cast<uint8_t*>(packed + count);
    for (int64_t i = 0; i < count; ++i) {
      auto* q = reinterpret_cast<BytesTile::Activation*>(at + i * rows_bytes_);
      packed[i] = {q, reinterpret_cast<char*>(q + PackedRows::padded(m) * units_ * 32), units_};
    }
  }
  static int64_t rows_bytes(int64_t m, int64_t k) {
    return static_cast<int64_t>(PackedRows::bytes(m, ceil_div(k, 32)) + 63) / 64 * 64;
  }
  bool good() const { return memory_.as<char>() != nullptr; }
  char* panel(int worker) const { return panels_ + worker * panel_bytes_; }
  // Packs count × m rows of k bytes, one behind the other.
  void pack(const uint8_t* rows, const Zeros& zeros) const {
    const int64_t padded = PackedRows::padded(m_);
    parallel_for(count_ * padded, 1 + 32768 / (k_ + 1), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i % padded, from = min64(row, m_ - 1) + i / padded * m_;
        if (packed->pairs)
          packed->pack_pairs(rows + from * k_, k_, row, zeros.is_signed);
        else
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

// Memory that int8_rows or int8_columns wrote, of at least `least` bytes; null if there is none,
// and false if it is another.
inline bool read_packed(const Arg& arg, int64_t least, uint8_t** to) {
  *to = nullptr;
  if (arg.kind == Arg::none) return true;
  const View& x = *arg.a;
  if (x.dtype != DType::u8 || !x.contiguous() || x.size() < least) return false;
  *to = x.ptr<uint8_t>();
  return true;
}

}  // namespace tl::TL_ISA
