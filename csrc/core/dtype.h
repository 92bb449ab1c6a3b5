// Dtypes as a table (dtype.def), and the 16-bit float types as plain structs that every compiler
// accepts.
#pragma once
#include <cstdint>
#include <cstring>

namespace tl {

enum class DType : uint8_t {
#define DTYPE(name, bytes, block, kind) name,
#include "dtype.def"
#undef DTYPE
  count
};

struct DTypeRow {
  const char* name;
  int16_t bytes;  // per block
  int16_t block;  // elements per block; 1 for plain dtypes
  char kind;
};

inline constexpr DTypeRow kDTypes[] = {
#define DTYPE(name, bytes, block, kind) {#name, bytes, block, kind},
#include "dtype.def"
#undef DTYPE
};

inline constexpr int kDTypeCount = static_cast<int>(DType::count);

constexpr const DTypeRow& row(DType d) { return kDTypes[static_cast<int>(d)]; }
constexpr int bytes_of(DType d) { return row(d).bytes; }
constexpr int block_of(DType d) { return row(d).block; }
constexpr bool is_float(DType d) { return row(d).kind == 'f'; }
constexpr bool is_block(DType d) { return row(d).kind == 'q'; }
// What the address of an element must be a multiple of; blocks are read byte by byte.
constexpr int alignment_of(DType d) {
  return is_block(d) ? 1 : row(d).bytes / (row(d).kind == 'c' ? 2 : 1);
}
constexpr bool is_integral(DType d) {
  return row(d).kind == 'i' || row(d).kind == 'u' || row(d).kind == 'b';
}

// The 16-bit floats in memory; arithmetic is always done in float (cpu/simd converts).
struct f16 {
  uint16_t bits;
};
struct bf16 {
  uint16_t bits;
};

// A bool as it lies in memory. Files, buffers and views of bytes bring other values than 0 and 1,
// and mapped memory cannot be put right, so whoever reads one asks only whether it is 0.
struct bool8 {
  uint8_t byte;
  constexpr operator bool() const { return byte != 0; }
};

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<bool>() {
  return DType::bool_;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<int8_t>() {
  return DType::i8;
}
template <>
constexpr DType dtype_of<int16_t>() {
  return DType::i16;
}
template <>
constexpr DType dtype_of<uint16_t>() {
  return DType::u16;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<uint32_t>() {
  return DType::u32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<uint64_t>() {
  return DType::u64;
}
template <>
constexpr DType dtype_of<f16>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}

}  // namespace tl
