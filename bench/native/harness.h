// What the native checks and benches share: buffers with a View, random weights of any dtype, kernel calls.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "core/kernel.h"
#include "core/parallel.h"
#include "cpu/quant_blocks.h"

namespace tl::TL_ISA {
void register_matmul(KernelTable& t);
void register_quant(KernelTable& t);
}  // namespace tl::TL_ISA

namespace tl {

inline const Kernel* find(const char* name) {
  static KernelTable* table = [] {
    auto* t = new KernelTable;
    TL_ISA::register_matmul(*t);
    TL_ISA::register_quant(*t);
    return t;
  }();
  return table->find(name);
}

// Ends where its last byte is, so that a sanitizer sees what reads beyond.
struct Buffer {
  View view;
  std::shared_ptr<void> memory;
  Buffer(DType dtype, int64_t rows, int64_t columns) {
    size_t size = rows * columns / block_of(dtype) * bytes_of(dtype);
    void* data = nullptr;
    if (posix_memalign(&data, 64, size ? size : 1)) abort();
    memset(data, 0, size);
    memory.reset(data, free);
    view.data = static_cast<std::byte*>(data);
    view.dtype = dtype;
    view.ndim = 2;
    view.shape[0] = rows;
    view.shape[1] = columns;
    view.strides[0] = columns;
    view.strides[1] = 1;
  }
};

inline Arg arg(const View& v) {
  Arg a{};
  a.kind = Arg::array;
  a.a = &v;
  return a;
}

inline const char* call_linear(const View& out, const View& x, const View& w, const View* bias, bool exact) {
  Arg args[5] = {arg(out), arg(x), arg(w), Arg{}, Arg{}};
  if (bias) args[3] = arg(*bias);
  args[4].kind = Arg::integer;
  args[4].i = exact;
  return call(*find("linear"), args, 5);
}

inline void put(const View& v, int64_t i, double x) {
  switch (v.dtype) {
    case DType::f32: v.ptr<float>()[i] = float(x); break;
    case DType::f64: v.ptr<double>()[i] = x; break;
    case DType::f16: v.ptr<f16>()[i] = TL_ISA::to_f16(float(x)); break;
    case DType::bf16: v.ptr<bf16>()[i] = TL_ISA::to_bf16(float(x)); break;
    default: abort();
  }
}

inline Buffer random_floats(DType dtype, int64_t rows, int64_t columns, std::mt19937& rng) {
  Buffer b(dtype, rows, columns);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < rows * columns; ++i) put(b.view, i, normal(rng));
  return b;
}

// Where the f16 scales (and minima) stand in a block; all other bytes may be anything.
inline std::vector<int> halves_of(DType dtype) {
  switch (dtype) {
    case DType::q4_1: case DType::q5_1: case DType::q4_k: case DType::q5_k: case DType::q8_1: return {0, 2};
    case DType::q2_k: return {80, 82};
    case DType::q3_k: return {108};
    case DType::q6_k: return {208};
    case DType::tq1_0: return {52};
    case DType::tq2_0: return {64};
    case DType::q8_k: case DType::iq1_m: case DType::mxfp4: case DType::nvfp4: case DType::f8e4m3_128: return {};
    default: return {0};
  }
}

inline Buffer random_weights(DType dtype, int64_t rows, int64_t columns, std::mt19937& rng) {
  if (!is_block(dtype)) return random_floats(dtype, rows, columns, rng);
  Buffer b(dtype, rows, columns);
  uint8_t* p = b.view.ptr<uint8_t>();
  int size = bytes_of(dtype);
  std::vector<int> halves = halves_of(dtype);
  for (int64_t i = 0; i < rows * columns / block_of(dtype); ++i, p += size) {
    for (int j = 0; j < size; ++j) p[j] = uint8_t(rng());
    float scale = std::uniform_real_distribution<float>(-0.01f, 0.01f)(rng);
    f16 half = TL_ISA::to_f16(scale);
    for (int at : halves) memcpy(p + at, &half, 2);
    if (dtype == DType::q8_k) memcpy(p, &scale, 4);
    if (dtype == DType::mxfp4) p[0] = uint8_t(120 + rng() % 8);
    if (dtype == DType::iq1_m) {  // its scale is in the top nibbles of four u16
      for (int j = 0; j < 4; ++j) p[49 + 2 * j] = uint8_t((p[49 + 2 * j] & 15) | (half.bits >> 4 * j & 15) << 4);
    }
    if (dtype == DType::f8e4m3_128) {
      memcpy(p, &scale, 4);
      for (int j = 4; j < size; ++j) p[j] = uint8_t((p[j] & 0x7f) == 0x7f ? 0 : p[j]);
    }
  }
  return b;
}

// All elements in row-major order, whatever the strides; block dtypes by the "dequantize" kernel (itself checked in
// tests/native against the gguf package).
inline std::vector<double> as_double(const View& v) {
  std::vector<double> out;
  if (is_block(v.dtype)) {
    Buffer floats(DType::f32, v.shape[0], v.shape[1]);
    Arg args[2] = {arg(floats.view), arg(v)};
    if (const char* e = call(*find("dequantize"), args, 2)) printf("%s\n", e);
    return as_double(floats.view);
  }
  int64_t n = v.size();
  for (int64_t i = 0; i < n; ++i) {
    int64_t at = 0, rest = i;
    for (int d = v.ndim - 1; d >= 0; --d) {
      at += rest % v.shape[d] * v.strides[d];
      rest /= v.shape[d];
    }
    switch (v.dtype) {
      case DType::f32: out.push_back(v.ptr<float>()[at]); break;
      case DType::f64: out.push_back(v.ptr<double>()[at]); break;
      case DType::f16: out.push_back(TL_ISA::to_float(v.ptr<f16>()[at])); break;
      case DType::bf16: out.push_back(TL_ISA::to_float(v.ptr<bf16>()[at])); break;
      default: abort();
    }
  }
  return out;
}

}  // namespace tl
