// copy: any plain dtype and layout to any other; the one place where dtypes are converted.
// Conversion goes through one of a few wide types (float, double, int64, and uint64 for itself) in
// small buffers, so that the code grows with the number of dtypes and not with its square.
#include "../core/kernel.h"
#include "strided.h"

namespace tl::TL_ISA {
namespace {

constexpr int kChunk = 256;
constexpr const char* kNoDtype = "no conversion between these dtypes";

enum class Wide { single, twice, integer, natural };

Wide wide_of(DType d) {
  return d == DType::f64   ? Wide::twice
         : is_float(d)     ? Wide::single
         : d == DType::u64 ? Wide::natural
                           : Wide::integer;
}

template <class T, class W>
void read(const std::byte* p, int64_t stride, W* wide, int n) {
  if constexpr (__is_same(W, float)) {
    if (stride == sizeof(T)) {
      const T* x = reinterpret_cast<const T*>(p);
      int i = 0;
      for (; i + kLanes <= n; i += kLanes) store(wide + i, load(x + i));
      for (; i < n; ++i) wide[i] = to_float(x[i]);
      return;
    }
    for (int i = 0; i < n; ++i) wide[i] = to_float(*reinterpret_cast<const T*>(p + i * stride));
  } else {
    for (int i = 0; i < n; ++i)
      wide[i] = static_cast<W>(*reinterpret_cast<const T*>(p + i * stride));
  }
}

template <class W, class T>
void write(std::byte* p, int64_t stride, const W* wide, int n) {
  if constexpr (__is_same(W, float) &&
                (__is_same(T, float) || __is_same(T, f16) || __is_same(T, bf16))) {
    if (stride == sizeof(T)) {
      T* out = reinterpret_cast<T*>(p);
      int i = 0;
      for (; i + kLanes <= n; i += kLanes) store(out + i, load(wide + i));
      for (; i < n; ++i) out[i] = from_float<T>(wide[i]);
      return;
    }
  }
  for (int i = 0; i < n; ++i) {
    T& out = *reinterpret_cast<T*>(p + i * stride);
    if constexpr (__is_same(T, bool))
      out = wide[i] != W(0);
    else if constexpr (__is_same(T, f16) || __is_same(T, bf16))
      out = from_float<T>(static_cast<float>(wide[i]));
    // By way of int64, as C defines it for every value that fits: unsigned targets wrap instead of
    // being undefined.
    else if constexpr (!__is_same(T, float) && !__is_same(T, double) &&
                       (__is_same(W, float) || __is_same(W, double))) {
      // The upper half of u64 lies outside int64.
      if (__is_same(T, uint64_t) && wide[i] >= W(9223372036854775808.0))
        out = static_cast<T>(wide[i]);
      else
        out = static_cast<T>(static_cast<int64_t>(wide[i]));
    } else
      out = static_cast<T>(wide[i]);
  }
}

template <class W>
using ReadFn = void (*)(const std::byte*, int64_t, W*, int);
template <class W>
using WriteFn = void (*)(std::byte*, int64_t, const W*, int);

template <class W>
WriteFn<W> writer(DType d) {
  switch (d) {
    case DType::bool_:
      return write<W, bool>;
    case DType::u8:
      return write<W, uint8_t>;
    case DType::i8:
      return write<W, int8_t>;
    case DType::i16:
      return write<W, int16_t>;
    case DType::u16:
      return write<W, uint16_t>;
    case DType::i32:
      return write<W, int32_t>;
    case DType::u32:
      return write<W, uint32_t>;
    case DType::i64:
      return write<W, int64_t>;
    case DType::u64:
      return write<W, uint64_t>;
    case DType::f16:
      return write<W, f16>;
    case DType::bf16:
      return write<W, bf16>;
    case DType::f32:
      return write<W, float>;
    case DType::f64:
      return write<W, double>;
    default:
      return nullptr;
  }
}

template <class W>
const char* convert(const Loop<2>& loop, ReadFn<W> in, WriteFn<W> out) {
  if (!in || !out) return kNoDtype;
  struct Pair {
    ReadFn<W> in;
    WriteFn<W> out;
  };
  const Pair pair{in, out};
  loop.run(
      [](std::byte* const* p, const int64_t* s, int64_t n, const void* context) {
        const Pair& f = *static_cast<const Pair*>(context);
        W wide[kChunk];
        for (int64_t i = 0; i < n; i += kChunk) {
          int m = n - i < kChunk ? static_cast<int>(n - i) : kChunk;
          f.in(p[1] + i * s[1], s[1], wide, m);
          f.out(p[0] + i * s[0], s[0], wide, m);
        }
      },
      &pair);
  return nullptr;
}

ReadFn<float> read_single(DType d) {
  return d == DType::f32    ? read<float, float>
         : d == DType::f16  ? read<f16, float>
         : d == DType::bf16 ? read<bf16, float>
                            : nullptr;
}
ReadFn<int64_t> read_integer(DType d) {
  switch (d) {
    case DType::bool_:
      return read<bool, int64_t>;
    case DType::u8:
      return read<uint8_t, int64_t>;
    case DType::i8:
      return read<int8_t, int64_t>;
    case DType::i16:
      return read<int16_t, int64_t>;
    case DType::u16:
      return read<uint16_t, int64_t>;
    case DType::i32:
      return read<int32_t, int64_t>;
    case DType::u32:
      return read<uint32_t, int64_t>;
    case DType::i64:
      return read<int64_t, int64_t>;
    default:
      return nullptr;
  }
}

// --- same dtype: bytes are moved, never looked at
// ----------------------------------------------------------------------------

template <class Word>
void move_words(std::byte* const* p, const int64_t* s, int64_t n) {
  if (s[0] == sizeof(Word) && s[1] == sizeof(Word)) {
    memcpy(p[0], p[1], n * sizeof(Word));
    return;
  }
  for (int64_t i = 0; i < n; ++i) memcpy(p[0] + i * s[0], p[1] + i * s[1], sizeof(Word));
}

// A transposition: the output runs along one axis, the input along the other. Square tiles keep
// both in cache lines.
template <class Word>
void transpose(const View& out, const View& x) {
  constexpr int64_t kTile = 64 / sizeof(Word) * 4;
  int64_t rows = x.back(2), columns = x.back(1), batch = 1;
  for (int i = 0; i < x.ndim - 2; ++i) batch *= x.shape[i];
  int64_t tall = (rows + kTile - 1) / kTile;
  parallel_for(batch * tall, 1 + 32768 / (kTile * columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t piece = begin; piece < end; ++piece) {
      int64_t rest = piece / tall, top = piece % tall * kTile;
      Word *to = out.ptr<Word>(), *from = x.ptr<Word>();
      for (int i = x.ndim - 3; i >= 0; --i) {
        to += rest % x.shape[i] * out.strides[i];
        from += rest % x.shape[i] * x.strides[i];
        rest /= x.shape[i];
      }
      int64_t bottom = top + kTile < rows ? top + kTile : rows;
      int64_t or_ = out.back_stride(2), oc = out.back_stride(1), xr = x.back_stride(2),
              xc = x.back_stride(1);
      for (int64_t left = 0; left < columns; left += kTile) {
        int64_t right = left + kTile < columns ? left + kTile : columns;
        for (int64_t r = top; r < bottom; ++r) {
          for (int64_t c = left; c < right; ++c) to[r * or_ + c * oc] = from[r * xr + c * xc];
        }
      }
    }
  });
}

template <class Word>
void copy_words(const View& out, const View& x) {
  if (x.ndim >= 2 && out.back_stride(1) == 1 && x.back_stride(2) == 1 && x.back_stride(1) > 1 &&
      x.back(1) >= 8 && x.back(2) >= 8) {
    transpose<Word>(out, x);
    return;
  }
  Loop<2>({&out, &x}).run(move_words<Word>);
}

// Whole blocks of a block dtype, row by row; rows are contiguous.
const char* copy_blocks(const View& out, const View& x) {
  int64_t block = block_of(x.dtype), bytes = bytes_of(x.dtype), row = x.back(1) / block * bytes;
  if (row == 0 || x.size() == 0) return nullptr;
  int64_t rows = x.size() / x.back(1);
  for (int64_t i = 0; i < rows; ++i) {
    std::byte *to = out.data, *from = x.data;
    int64_t rest = i;
    for (int axis = x.ndim - 2; axis >= 0; --axis) {
      int64_t at = rest % x.shape[axis];
      rest /= x.shape[axis];
      to += at * out.strides[axis] / block * bytes;
      from += at * x.strides[axis] / block * bytes;
    }
    memcpy(to, from, row);
  }
  return nullptr;
}

const char* copy(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (out.dtype == x.dtype) {
    if (is_block(x.dtype)) return copy_blocks(out, x);
    switch (bytes_of(x.dtype)) {
      case 1:
        copy_words<uint8_t>(out, x);
        return nullptr;
      case 2:
        copy_words<uint16_t>(out, x);
        return nullptr;
      case 4:
        copy_words<uint32_t>(out, x);
        return nullptr;
      default:
        copy_words<uint64_t>(out, x);
        return nullptr;
    }
  }
  if (is_block(out.dtype) || is_block(x.dtype)) return kNoDtype;
  Loop<2> loop({&out, &x});
  switch (wide_of(x.dtype)) {
    case Wide::single:
      return convert<float>(loop, read_single(x.dtype), writer<float>(out.dtype));
    case Wide::twice:
      return convert<double>(loop, read<double, double>, writer<double>(out.dtype));
    case Wide::natural:
      return convert<uint64_t>(loop, read<uint64_t, uint64_t>, writer<uint64_t>(out.dtype));
    default:
      return convert<int64_t>(loop, read_integer(x.dtype), writer<int64_t>(out.dtype));
  }
}

}  // namespace

void register_copy(KernelTable& t) { t.add("copy", "out:A x:A", copy); }

}  // namespace tl::TL_ISA
