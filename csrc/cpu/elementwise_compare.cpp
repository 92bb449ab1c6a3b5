// Comparisons of integers of one and of four bytes where they lie: through 64 bits, as the others
// go, they would take several times as long. Two loops for each size are enough for all six.
#include <string_view>

#include "elementwise.h"

namespace tl::TL_ISA {
namespace {

constexpr int kStep = 32;  // results at once

// What is done to both operands, to tell bools from each other and unsigned numbers by a signed
// comparison, and to the result.
struct Terms {
  uint32_t flip;
  uint8_t most, invert;
};

template <bool kEqual>
b32 compare(const uint8_t* a, const uint8_t* b, const Terms& t) {
  const b32 most = b32{} + t.most, flip = b32{} + static_cast<uint8_t>(t.flip);
  const b32 x = least32(load_as<b32>(a), most) ^ flip, y = least32(load_as<b32>(b), most) ^ flip;
  return kEqual ? (b32)(x == y) : (b32)((i8x32)x > (i8x32)y);
}
template <bool kEqual>
b32 compare(const uint32_t* a, const uint32_t* b, const Terms& t) {
  i32x8 found[4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    const i32x8 x = (i32x8)(load_as<u32x8>(a + 8 * k) ^ t.flip),
                y = (i32x8)(load_as<u32x8>(b + 8 * k) ^ t.flip);
    found[k] = kEqual ? x == y : x > y;
  }
  return to_bytes(found);
}

template <class Word, bool kEqual>
void compare_all(void* o, const void* const* in, int64_t n, const double* context) {
  const Terms& t = *reinterpret_cast<const Terms*>(context);
  uint8_t* out = static_cast<uint8_t*>(o);
  const Word *a = static_cast<const Word*>(in[0]), *b = static_cast<const Word*>(in[1]);
  if constexpr (kLanes < 8) {  // without instructions that pack bytes, vectors are only long code
    using Signed = std::make_signed_t<Word>;
    for (int64_t i = 0; i < n; ++i) {
      Word x = a[i], y = b[i];
      if (sizeof(Word) == 1) x = x < t.most ? x : t.most, y = y < t.most ? y : t.most;
      const bool found = kEqual ? x == y
                                : static_cast<Signed>(x ^ static_cast<Word>(t.flip)) >
                                      static_cast<Signed>(y ^ static_cast<Word>(t.flip));
      out[i] = found ^ t.invert;
    }
    return;
  }
  auto step = [&](const Word* p, const Word* q) {
    return (compare<kEqual>(p, q, t) ^ t.invert) & 1;
  };
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store_at(out + i, step(a + i, b + i));
  if (i == n) return;
  Word rest[2][kStep] = {};
  memcpy(rest[0], a + i, (n - i) * sizeof(Word));
  memcpy(rest[1], b + i, (n - i) * sizeof(Word));
  const b32 last = step(rest[0], rest[1]);
  memcpy(out + i, &last, n - i);
}

}  // namespace

bool compare_words(const View* const* views, std::string_view name) {
  const DType dtype = views[1]->dtype;
  const int bytes = bytes_of(dtype);
  if (!is_integral(dtype) || (bytes != 1 && bytes != 4) || views[2]->dtype != dtype ||
      views[0]->dtype != DType::bool_)
    return false;
  const bool equal = name == "eq" || name == "ne", below = name == "lt" || name == "ge",
             above = name == "gt" || name == "le";
  if (!equal && !below && !above) return false;
  const bool is_signed = dtype == DType::i8 || dtype == DType::i32;
  Terms terms;
  terms.flip = is_signed ? 0 : bytes == 1 ? 0x80 : 0x80000000;
  terms.most = dtype == DType::bool_ ? 1 : 255;
  terms.invert = name == "ne" || name == "ge" || name == "le";
  const View* order[] = {views[0], views[below ? 2 : 1], views[below ? 1 : 2]};
  const Conversion words = reading(dtype, ComputeType::raw);
  const Conversion forms[] = {writing(DType::bool_, ComputeType::raw), words, words};
  run_steps(order, forms, 2,
            bytes == 1 ? equal ? compare_all<uint8_t, true> : compare_all<uint8_t, false>
            : equal    ? compare_all<uint32_t, true>
                       : compare_all<uint32_t, false>,
            reinterpret_cast<const double*>(&terms));
  return true;
}

bool differs_from_zero(const View& out, const View& x) {
  const int64_t zero = 0;
  View zeros = x;  // of x's shape, all in one place
  zeros.data = reinterpret_cast<std::byte*>(const_cast<int64_t*>(&zero));
  for (int64_t& stride : zeros.strides) stride = 0;
  const View* operands[] = {&out, &x, &zeros};
  return compare_words(operands, "ne");
}

}  // namespace tl::TL_ISA
