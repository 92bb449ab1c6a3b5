// The end of every `linear`: bias, activation, residual, and the dtype of the result.
#include "gemm_linear.h"

namespace tl::TL_ISA {

Epilogue::Epilogue(const Linear& l, int64_t column0, int columns)
    : l_(l), column0_(column0), columns_(columns) {
  for (int c = 0; l.has_bias && c < columns; ++c) bias_[c] = bias_at(l, column0 + c);
}

void Epilogue::fetch(int64_t row0, int64_t rows) const {
  if (l_.out.back_stride(1) != 1 || l_.out_rows) return;
  const int64_t size = bytes_of(l_.out.dtype), line = l_.out.back_stride(2) * size;
  const uint8_t* at = l_.out.ptr<const uint8_t>() + row0 * line + column0_ * size;
  for (; rows > 0; --rows, at += line) {
    for (int64_t i = 0; i < columns_ * size; i += 64) __builtin_prefetch(at + i, 1);
  }
}

void Epilogue::rows(int64_t row0, int64_t rows, float* tile, int64_t stride) const {
  if (!l_.out_rows) return neighbours(row0, rows, tile, stride);
  for (int64_t r = 0; r < rows; ++r)
    neighbours(l_.out_rows[row0 + r], 1, tile + r * stride, stride);
}

void Epilogue::neighbours(int64_t row0, int64_t rows, float* tile, int64_t stride) const {
  if (l_.out.dtype == DType::f32 && columns_ == kPanelColumns<float> &&
      l_.out.back_stride(1) == 1 && (!l_.act || stride == columns_) &&
      (!l_.has_residual || l_.residual.back_stride(1) == 1))
    return whole_panel(row0, rows, tile, stride);  // most products
  if (l_.act) activate(rows, tile, stride);
  with_float(l_.out.dtype, [&]<class T>(T) {
    if (l_.act)
      write<T, false>(row0, rows, tile, stride);
    else
      write<T, true>(row0, rows, tile, stride);
  });
}

// A panel's columns as two vectors; loops over columns would take longer than what they do.
void Epilogue::whole_panel(int64_t row0, int64_t rows, float* tile, int64_t stride) const {
  const vf first = load(bias_), second = load(bias_ + kLanes);
  const auto each = [rows](float* to, int64_t line, const float* from, int64_t step,
                           const auto& change) {
    for (int64_t r = 0; r < rows; ++r, to += line, from += step) {
      store(to, change(load(from), 0));
      store(to + kLanes, change(load(from + kLanes), 1));
    }
  };
  const auto with_bias = [&](vf v, int half) { return v + (half ? second : first); };
  const int64_t line = l_.out.back_stride(2);
  float* out = l_.out.ptr<float>() + row0 * line + column0_;
  if (l_.act) {
    each(tile, stride, tile, stride, with_bias);
    const void* in[] = {tile};
    l_.act(tile, in, rows * columns_, nullptr);
    if (!l_.has_residual) return each(out, line, tile, stride, [](vf v, int) { return v; });
  } else if (!l_.has_residual) {
    return each(out, line, tile, stride, with_bias);
  }
  const int64_t apart = l_.residual.back_stride(2);
  const float* residual = l_.residual.ptr<float>() + row0 * apart + column0_;
  for (int64_t r = 0; r < rows; ++r, out += line, tile += stride, residual += apart) {
    vf low = load(tile), high = load(tile + kLanes);
    if (!l_.act) low = low + first, high = high + second;
    store(out, low + load(residual));
    store(out + kLanes, high + load(residual + kLanes));
  }
}

void Epilogue::activate(int64_t rows, float* tile, int64_t stride) const {
  for (int64_t r = 0; r < rows; ++r) {
    for (int c = 0; c < columns_; ++c) tile[r * stride + c] += bias_[c];
  }
  const bool together = stride == columns_;
  const int64_t lines = together ? 1 : rows, length = together ? rows * columns_ : columns_;
  for (int64_t r = 0; r < lines; ++r) {
    float* line = tile + r * stride;
    const void* in[] = {line};
    l_.act(line, in, length, nullptr);
  }
}

template <class T, bool kBias>
void Epilogue::write(int64_t row0, int64_t rows, const float* tile, int64_t stride) const {
  const int64_t step = l_.out.back_stride(1), line = l_.out.back_stride(2);
  T* out = l_.out.ptr<T>() + row0 * line + column0_ * step;
  const T* residual = nullptr;
  int64_t residual_step = 0, residual_line = 0;
  if (l_.has_residual) {
    residual_step = l_.residual.back_stride(1), residual_line = l_.residual.back_stride(2);
    residual = l_.residual.ptr<T>() + row0 * residual_line + column0_ * residual_step;
  }
  for (int64_t r = 0; r < rows; ++r, out += line, tile += stride, residual += residual_line) {
    int c = 0;
    if (step == 1 && (!residual || residual_step == 1)) {
      for (; c + kLanes <= columns_; c += kLanes) {
        vf v = load(tile + c);
        if (kBias) v = v + load(bias_ + c);
        if (residual) v = v + load(residual + c);
        store(out + c, v);
      }
    }
    for (; c < columns_; ++c) {
      float v = tile[c];
      if (kBias) v += bias_[c];
      if (residual) v += to_float(residual[c * residual_step]);
      out[c * step] = from_float<T>(v);
    }
  }
}

void write_tile(const Linear& l, int64_t row0, int64_t rows, int64_t column0, int columns,
                float* tile, int64_t tile_stride) {
  Epilogue(l, column0, columns).rows(row0, rows, tile, tile_stride);
}

}  // namespace tl::TL_ISA
