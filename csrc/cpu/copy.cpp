// copy: any plain dtype and layout to any other; the one place where dtypes are converted.
// Conversion goes through one of a few wide types (float, double, int64, uint64, complex) in small
// buffers, so that the code grows with the number of dtypes and not with its square.
#include "../core/parallel.h"
#include "elementwise.h"
#include "narrow_floats.h"
#include "transpose.h"

namespace tl::TL_ISA {
namespace {

constexpr const char* kNoDtype = "no conversion between these dtypes";

template <class T>
constexpr bool kHalf = __is_same(T, f16) || __is_same(T, bf16);
template <class T>
constexpr bool kEighth = __is_same(T, f8e4m3) || __is_same(T, f8e5m2);

template <bool first, class A, class B>
struct Conditional {
  using Type = A;
};
template <class A, class B>
struct Conditional<false, A, B> {
  using Type = B;
};

template <class T, class W>
TL_INLINE W widen(T x) {
  if constexpr (kHalf<T> || kEighth<T>)
    return to_float(x);
  else if constexpr (__is_same(T, bool8))  // a minimum, which there is in vectors
    return static_cast<W>(x.byte < 1 ? x.byte : uint8_t{1});
  else
    return static_cast<W>(x);
}

// A float without its fraction; what I cannot hold (NaN too) is its smallest number, as the
// processor's own instruction has it and so torch, and not whatever the compiler makes of it.
template <class I, class W>
TL_INLINE I whole(W x) {
  constexpr W kEdge = sizeof(I) == 8 ? 9223372036854775808.0 : 2147483648.0;
  constexpr I kLowest = static_cast<I>(uint64_t{1} << (8 * sizeof(I) - 1));
  return x > -kEdge - 1 && x < kEdge ? static_cast<I>(x) : kLowest;
}

template <class T, class W>
TL_INLINE T shrink(W x) {
  if constexpr (__is_same(T, c64)) {
    return {static_cast<float>(x), 0.f};
  } else if constexpr (__is_same(T, bool)) {
    return x != W(0);
  } else if constexpr (kHalf<T>) {
    return from_float<T>(static_cast<float>(x));
  } else if constexpr (__is_same(T, f8e4m3)) {
    return to_e4m3(static_cast<float>(x));
  } else if constexpr (__is_same(T, f8e5m2)) {
    return to_e5m2(static_cast<float>(x));
  } else if constexpr (!__is_same(T, float) && !__is_same(T, double) &&
                       (__is_same(W, float) || __is_same(W, double))) {
    // By way of a signed integer that holds every value of T: unsigned targets wrap instead of
    // being undefined. The upper half of u64 lies outside int64.
    if (__is_same(T, uint64_t) && x >= W(9223372036854775808.0) && x < W(18446744073709551616.0))
      return static_cast<T>(x);
    constexpr bool kNarrow = sizeof(T) < 4 || __is_same(T, int32_t);
    return static_cast<T>(whole<typename Conditional<kNarrow, int32_t, int64_t>::Type>(x));
  } else {
    return static_cast<T>(x);
  }
}

// --- chunks in, chunks out
// -------------------------------------------------------------------------------------------------

template <class T, class W>
void read(const std::byte* p, int64_t stride, void* buffer, int64_t n) {
  W* wide = static_cast<W*>(buffer);
  if (stride == 0) {
    W value = widen<T, W>(*reinterpret_cast<const T*>(p));
    for (int64_t i = 0; i < n; ++i) wide[i] = value;
    return;
  }
  if (stride == sizeof(T)) {
    const T* x = reinterpret_cast<const T*>(p);
    int64_t i = 0;
    if constexpr (kHalf<T>) {
      for (; i + kLanes <= n; i += kLanes) tl::TL_ISA::store(wide + i, load(x + i));
    }
    for (; i < n; ++i) wide[i] = widen<T, W>(x[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    wide[i] = widen<T, W>(*reinterpret_cast<const T*>(p + i * stride));
}

template <class W, class T>
void write(std::byte* p, int64_t stride, const void* buffer, int64_t n) {
  const W* wide = static_cast<const W*>(buffer);
  if (stride == sizeof(T)) {
    T* out = reinterpret_cast<T*>(p);
    int64_t i = 0;
    if constexpr (__is_same(W, float) && __is_same(T, bf16)) {
      for (; i + 2 * kLanes <= n; i += 2 * kLanes)
        store_pair(out + i, load(wide + i), load(wide + i + kLanes));
    }
    if constexpr (__is_same(W, float) && kHalf<T>) {
      for (; i + kLanes <= n; i += kLanes) tl::TL_ISA::store(out + i, load(wide + i));
    }
    for (; i < n; ++i) out[i] = shrink<T>(wide[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(p + i * stride) = shrink<T>(wide[i]);
}

// The real part lies first; only bool asks for both.
void read_bool8(const std::byte* p, int64_t stride, void* buffer, int64_t n) {
  float* wide = static_cast<float*>(buffer);
  for (int64_t i = 0; i < n; ++i) {
    c64 x = *reinterpret_cast<const c64*>(p + i * stride);
    wide[i] = x.re != 0 || x.im != 0 ? 1.f : 0.f;
  }
}

template <class Word>
bool rows_aligned(const std::byte* p, int64_t stride) {
  return (reinterpret_cast<uintptr_t>(p) | static_cast<uintptr_t>(stride)) % sizeof(Word) == 0;
}

template <class Word>
void load_words(const std::byte* p, int64_t stride, void* buffer, int64_t n) {
  Word* to = static_cast<Word*>(buffer);
  if (stride == sizeof(Word)) {
    memcpy(to, p, n * sizeof(Word));
  } else if (stride == 0) {
    Word value = reinterpret_cast<const Loose<Word>*>(p)->value;
    for (int64_t i = 0; i < n; ++i) to[i] = value;
  } else if (stride == -static_cast<int64_t>(sizeof(Word))) {  // written in vectors
    const auto* from = reinterpret_cast<const Loose<Word>*>(p);
    for (int64_t i = 0; i < n; ++i) to[i] = from[-i].value;
  } else if (rows_aligned<Word>(p, stride)) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; ++i) to[i] = *reinterpret_cast<const Word*>(p + i * stride);
  } else {
    for (int64_t i = 0; i < n; ++i)
      to[i] = reinterpret_cast<const Loose<Word>*>(p + i * stride)->value;
  }
}
template <class Word>
void store_words(std::byte* p, int64_t stride, const void* buffer, int64_t n) {
  const Word* from = static_cast<const Word*>(buffer);
  if (stride == sizeof(Word)) {
    memcpy(p, from, n * sizeof(Word));
  } else if (rows_aligned<Word>(p, stride)) {
    for (int64_t i = 0; i < n; ++i) *reinterpret_cast<Word*>(p + i * stride) = from[i];
  } else {
    for (int64_t i = 0; i < n; ++i) reinterpret_cast<Loose<Word>*>(p + i * stride)->value = from[i];
  }
}

Conversion words_of(int width) {
  Conversion f;
  f.width = f.wide = static_cast<int16_t>(width);
  f.same = true;
  f.load = width == 1   ? load_words<uint8_t>
           : width == 2 ? load_words<uint16_t>
           : width == 4 ? load_words<uint32_t>
                        : load_words<uint64_t>;
  f.store = width == 1   ? store_words<uint8_t>
            : width == 2 ? store_words<uint16_t>
            : width == 4 ? store_words<uint32_t>
                         : store_words<uint64_t>;
  return f;
}

// Integers of 8 and 16 bits, which floats hold exactly, too.
template <class W>
LoadFn small_loader(DType d) {
  switch (d) {
    case DType::bool_:
      return read<bool8, W>;
    case DType::u8:
      return read<uint8_t, W>;
    case DType::i8:
      return read<int8_t, W>;
    case DType::i16:
      return read<int16_t, W>;
    case DType::u16:
      return read<uint16_t, W>;
    default:
      return nullptr;
  }
}

LoadFn loader(DType d, ComputeType wide) {
  if (wide == ComputeType::f32) {
    switch (d) {
      case DType::f16:
        return read<f16, float>;
      case DType::bf16:
        return read<bf16, float>;
      case DType::f8e4m3:
        return read<f8e4m3, float>;
      case DType::f8e5m2:
        return read<f8e5m2, float>;
      case DType::complex64:
        return read<float, float>;
      case DType::i32:
        return read<int32_t, float>;
      default:
        return small_loader<float>(d);
    }
  }
  if (wide != ComputeType::i64) return nullptr;
  return d == DType::i32   ? read<int32_t, int64_t>
         : d == DType::u32 ? read<uint32_t, int64_t>
                           : small_loader<int64_t>(d);
}

// A hot set leaves these to the plainest.
template <class W>
StoreFn rare_writer([[maybe_unused]] DType d) {
#ifdef TL_HOT
  return nullptr;
#else
  return d == DType::f64 ? write<W, double> : d == DType::complex64 ? write<W, c64> : nullptr;
#endif
}

template <class W>
StoreFn writer(DType d) {
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
    case DType::f8e4m3:
      return write<W, f8e4m3>;
    case DType::f8e5m2:
      return write<W, f8e5m2>;
    default:
      return rare_writer<W>(d);
  }
}

// The dtype whose memory already is the wide type.
DType compute_dtype(ComputeType wide) {
  switch (wide) {
    case ComputeType::f32:
      return DType::f32;
    case ComputeType::f64:
      return DType::f64;
    case ComputeType::i64:
      return DType::i64;
    case ComputeType::u64:
      return DType::u64;
    default:
      return DType::complex64;
  }
}

int compute_bytes(ComputeType wide) { return wide == ComputeType::f32 ? 4 : 8; }

void copy_words(const View& out, const View& x) {
  View to = out, from = x;
  const bool turned = x.ndim > 2 && x.size() >= 1024 && !(x.contiguous() && out.contiguous());
  if (turned) put_in_order(to, from);
  if (is_transposition(to, from)) {
    switch (bytes_of(x.dtype)) {
      case 1:
        return transpose<uint8_t>(to, from);
      case 2:
        return transpose<uint16_t>(to, from);
      case 4:
        return transpose<uint32_t>(to, from);
      default:
        return transpose<uint64_t>(to, from);
    }
  }
  const View* views[] = {&out, &x};
  const Conversion forms[] = {words_of(bytes_of(x.dtype)), words_of(bytes_of(x.dtype))};
  run_steps(views, forms, 1, nullptr, nullptr);
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

}  // namespace

const char* copy_array(const View& out, const View& x) {
  const View* views[] = {&out, &x};
  if (const char* error = differ(views, 2)) return error;
  if (out.dtype == x.dtype) {
    if (is_block(x.dtype)) return copy_blocks(out, x);
    copy_words(out, x);
    return nullptr;
  }
  if (is_block(out.dtype) || is_block(x.dtype)) return kNoDtype;
  if (out.dtype == DType::bool_ && differs_from_zero(out, x)) return nullptr;
  // Integers of 8 and 16 bits on their way to floats are such at once, without an error; those of
  // 32 bits are rounded once on either way, unless to doubles.
  const bool small = (bytes_of(x.dtype) <= 2 || x.dtype == DType::i32) && is_float(out.dtype) &&
                     out.dtype != DType::f64;
  ComputeType wide =
      small || x.dtype == DType::complex64 ? ComputeType::f32 : compute_type(x.dtype);
  Conversion forms[] = {writing(out.dtype, wide), reading(x.dtype, wide)};
  if (x.dtype == DType::complex64 && out.dtype == DType::bool_) forms[1].load = read_bool8;
  if (!forms[0].width || !forms[1].width) return kNoDtype;
  if (forms[1].same && !forms[0].same && out.contiguous() && x.contiguous()) {
    // Nothing is to be gathered or kept in a cache: long pieces cost fewer calls.
    parallel_for(x.size(), 16384, [&](int64_t begin, int64_t end, int) {
      forms[0].store(out.data + begin * forms[0].width, forms[0].width,
                     x.data + begin * forms[1].width, end - begin);
    });
    return nullptr;
  }
  if (forms[0].same && !forms[1].same && out.contiguous() && x.contiguous()) {
    parallel_for(x.size(), 16384, [&](int64_t begin, int64_t end, int) {
      forms[1].load(x.data + begin * forms[1].width, forms[1].width,
                    out.data + begin * forms[0].width, end - begin);
    });
    return nullptr;
  }
  run_steps(views, forms, 1, nullptr, nullptr);
  return nullptr;
}

ComputeType compute_type(DType d) {
  return d == DType::f64         ? ComputeType::f64
         : d == DType::complex64 ? ComputeType::complex
         : is_float(d)           ? ComputeType::f32
         : d == DType::u64       ? ComputeType::u64
                                 : ComputeType::i64;
}

Conversion reading(DType dtype, ComputeType wide) {
  if (wide == ComputeType::raw || dtype == compute_dtype(wide)) return words_of(bytes_of(dtype));
  Conversion f;
  f.load = loader(dtype, wide);
  if (!f.load) return f;
  f.width = static_cast<int16_t>(bytes_of(dtype));
  f.wide = static_cast<int16_t>(compute_bytes(wide));
  return f;
}

Conversion writing(DType dtype, ComputeType wide) {
  if (wide == ComputeType::raw || dtype == compute_dtype(wide)) return words_of(bytes_of(dtype));
  Conversion f;
  f.store = wide == ComputeType::f32 ? writer<float>(dtype)
#ifndef TL_HOT
            : wide == ComputeType::f64 ? writer<double>(dtype)
#endif
            : wide == ComputeType::u64 ? writer<uint64_t>(dtype)
            : wide == ComputeType::i64 ? writer<int64_t>(dtype)
                                       : nullptr;
  if (!f.store) return f;
  f.width = static_cast<int16_t>(bytes_of(dtype));
  f.wide = static_cast<int16_t>(compute_bytes(wide));
  return f;
}

static const char* copy(const Arg* args, int) { return copy_array(*args[0].a, *args[1].a); }
void register_copy(KernelTable& t) { t.add("copy", "out:out x:in", copy); }

}  // namespace tl::TL_ISA
