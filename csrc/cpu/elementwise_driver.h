// The driver of elementwise kernels: axes are merged, cut into pieces for the thread pool, and each
// piece is walked in chunks. One for each number of arrays that there is room for.
#pragma once
#include "../core/parallel.h"
#include "elementwise.h"
#include "strided.h"

namespace tl::TL_ISA {

// Elements of one piece: enough work (several microseconds) to be worth handing to another thread.
inline constexpr int64_t kPiece = 16384;
// Rows shorter than this are taken several at a time; a transposed operand is cut to such rows.
inline constexpr int64_t kShort = 64;
// An output this large passes the cache by; the inputs keep their place in it.
inline constexpr int64_t kStreamFrom = int64_t{48} << 20;

// The two innermost axes of one piece.
template <int kOperands>
struct Block {
  std::byte* at[kOperands];
  int64_t row_steps[kOperands], column_steps[kOperands];  // bytes
  int64_t rows, columns;
};

template <int kOperands>
struct Job {
  int inputs;
  Conversion conversions[kOperands];
  Step step;
  const double* numbers;
  bool stream;

  void run(const Block<kOperands>& b) const;

 private:
  void line(std::byte* const* at, const int64_t* steps, int64_t n, bool kept,
            std::byte (*chunks)[kChunk * 8]) const;
  void several(const Block<kOperands>& b, int64_t left, int64_t columns,
               std::byte (*chunks)[kChunk * 8]) const;
  void apply(void* out, const void* const* in, int64_t n) const { step(out, in, n, numbers); }
};

inline void stream_bytes(std::byte* to, const std::byte* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 32) stream32(to + i, from + i);
}

// One row. `kept`: operands that do not move from row to row are in their chunks already.
template <int kOperands>
void Job<kOperands>::line(std::byte* const* at, const int64_t* steps, int64_t n, bool kept,
                          std::byte (*chunks)[kChunk * 8]) const {
  bool direct[kOperands], all = true;
  for (int k = 0; k <= inputs; ++k) {
    direct[k] = conversions[k].same && steps[k] == conversions[k].width;
    all = all && direct[k];
  }
  if (all && !stream) {
    const void* in[kOperands - 1];
    for (int k = 0; k < inputs; ++k) in[k] = at[k + 1];
    if (step)
      apply(at[0], in, n);
    else
      memmove(at[0], at[1], n * conversions[0].width);  // a caller may give what overlaps
    return;
  }
  for (int64_t i = 0; i < n; i += kChunk) {
    int64_t m = n - i < kChunk ? n - i : kChunk;
    const void* in[kOperands - 1];
    for (int k = 1; k <= inputs; ++k) {
      std::byte* p = at[k] + i * steps[k];
      in[k - 1] = direct[k] ? p : chunks[k];
      if (direct[k] || (steps[k] == 0 && (kept || i > 0))) continue;
      if (step || !direct[0] || stream) conversions[k].load(p, steps[k], chunks[k], m);
    }
    std::byte* p = at[0] + i * steps[0];
    bool streams = stream && direct[0] && (m * conversions[0].width) % 32 == 0 &&
                   reinterpret_cast<uintptr_t>(p) % 32 == 0;
    std::byte* result = direct[0] && !streams ? p : chunks[0];
    const void* from = result;
    if (step)
      apply(result, in, m);
    else if (direct[0] && !streams)
      conversions[1].load(at[1] + i * steps[1], steps[1], p, m);
    else
      from = in[0];
    if (streams)
      stream_bytes(p, static_cast<const std::byte*>(from), m * conversions[0].width);
    else if (!direct[0])
      conversions[0].store(p, steps[0], from, m);
  }
}

// Each element of a column repeated along its row.
template <class Word>
void broadcast_words(void* to, const void* from, int64_t rows, int64_t columns) {
  Word* out = static_cast<Word*>(to);
  for (int64_t r = 0; r < rows; ++r) {
    Word value = static_cast<const Word*>(from)[r];
    for (int64_t c = 0; c < columns; ++c) *out++ = value;
  }
}
inline void broadcast_column(void* to, const void* from, int64_t rows, int64_t columns, int wide) {
  auto* f = wide == 1   ? broadcast_words<uint8_t>
            : wide == 2 ? broadcast_words<uint16_t>
            : wide == 4 ? broadcast_words<uint32_t>
                        : broadcast_words<uint64_t>;
  f(to, from, rows, columns);
}

// Short rows, as many at once as a chunk holds.
template <int kOperands>
void Job<kOperands>::several(const Block<kOperands>& b, int64_t left, int64_t columns,
                             std::byte (*chunks)[kChunk * 8]) const {
  int64_t group = kChunk / columns;
  if (group > b.rows) group = b.rows;
  alignas(64) std::byte spare[kChunk * 8];
  bool direct[kOperands];
  for (int k = 0; k <= inputs; ++k) {
    direct[k] = conversions[k].same && b.column_steps[k] == conversions[k].width &&
                (b.rows == 1 || b.row_steps[k] == columns * conversions[k].width);
  }
  for (int64_t top = 0; top < b.rows; top += group) {
    int64_t height = b.rows - top < group ? b.rows - top : group;
    const void* in[kOperands - 1];
    for (int k = 1; k <= inputs; ++k) {
      std::byte* p = b.at[k] + top * b.row_steps[k] + left * b.column_steps[k];
      in[k - 1] = direct[k] ? p : chunks[k];
      if (direct[k] || (b.row_steps[k] == 0 && top > 0)) continue;
      if (b.column_steps[k] == 0 && b.row_steps[k] != 0) {
        conversions[k].load(p, b.row_steps[k], spare, height);
        broadcast_column(chunks[k], spare, height, columns, conversions[k].wide);
        continue;
      }
      for (int64_t r = 0; r < height; ++r)
        conversions[k].load(p + r * b.row_steps[k], b.column_steps[k],
                            chunks[k] + r * columns * conversions[k].wide, columns);
    }
    std::byte* p = b.at[0] + top * b.row_steps[0] + left * b.column_steps[0];
    const void* from = in[0];
    if (step) {
      std::byte* result = direct[0] ? p : chunks[0];
      apply(result, in, height * columns);
      from = result;
    }
    if (direct[0] && step) continue;
    for (int64_t r = 0; r < height; ++r)
      conversions[0].store(p + r * b.row_steps[0], b.column_steps[0],
                           static_cast<const std::byte*>(from) + r * columns * conversions[0].wide,
                           columns);
  }
}

// Whether an operand runs along memory faster from row to row than within one.
template <int kOperands>
bool crosses_rows(const Block<kOperands>& b, int k) {
  return b.row_steps[k] != 0 && magnitude(b.row_steps[k]) < magnitude(b.column_steps[k]);
}

template <int kOperands>
void Job<kOperands>::run(const Block<kOperands>& b) const {
  alignas(64) std::byte chunks[kOperands][kChunk * 8];
  bool crossed = false;
  for (int k = 0; k <= inputs; ++k) crossed = crossed || crosses_rows(b, k);
  if (b.rows > 1 && (crossed || b.columns <= kShort)) {
    for (int64_t left = 0; left < b.columns; left += kShort)
      several(b, left, b.columns - left < kShort ? b.columns - left : kShort, chunks);
    return;
  }
  std::byte* at[kOperands];
  for (int64_t r = 0; r < b.rows; ++r) {
    bool kept = r > 0;
    for (int k = 0; k <= inputs; ++k) {
      at[k] = b.at[k] + r * b.row_steps[k];
      // Repeated within the row but not from row to row: read anew.
      if (k > 0 && b.column_steps[k] == 0 && b.row_steps[k] != 0) kept = false;
    }
    line(at, b.column_steps, b.columns, kept, chunks);
  }
}

// At least two axes, of which the inner ones are the rows and columns of a piece.
template <int kOperands>
StridedIterator<kOperands> iterator_of(const View* const* views, int count) {
  StridedIterator<kOperands> it = iterator_by_stride<kOperands>(views, count);
  for (; it.ndim < 2; ++it.ndim) {  // rows of one column are never short of an axis
    it.shape[it.ndim] = it.shape[0];
    it.shape[0] = 1;
    for (auto& strides : it.strides) {
      strides[it.ndim] = strides[0];
      strides[0] = 0;
    }
  }
  return it;
}

template <int kOperands>
void drive(const View* const* views, const Conversion* conversions, int inputs, Step step,
           const double* numbers) {
  int64_t size = views[0]->size();
  if (size == 0) return;
  int count = inputs + 1;
  bool plain = size <= kPiece && step;
  for (int k = 0; plain && k < count; ++k) plain = conversions[k].same && views[k]->contiguous();
  if (plain) {
    const void* in[kOperands - 1];
    for (int k = 0; k < inputs; ++k) in[k] = views[k + 1]->data;
    step(views[0]->data, in, size, numbers);
    return;
  }
  const StridedIterator<kOperands> it = iterator_of<kOperands>(views, count);
  Job<kOperands> job{inputs, {}, step, numbers, size * conversions[0].width >= kStreamFrom};
  for (int k = 0; k < count; ++k) {
    job.conversions[k] = conversions[k];
    if (k > 0 && views[k]->data == views[0]->data) job.stream = false;
  }
  int64_t rows = it.shape[it.ndim - 2], columns = it.shape[it.ndim - 1], outer = 1;
  for (int i = 0; i < it.ndim - 2; ++i) outer *= it.shape[i];
  Block<kOperands> whole;
  whole.rows = rows;
  whole.columns = columns;
  bool crossed = false;
  for (int k = 0; k < count; ++k) {
    whole.at[k] = views[k]->data;
    whole.row_steps[k] = it.strides[k][it.ndim - 2];
    whole.column_steps[k] = it.strides[k][it.ndim - 1];
    crossed = crossed || (rows > 1 && crosses_rows(whole, k));
  }
  if (outer == 1 && size <= kPiece) {
    job.run(whole);
    return;
  }
  // Pieces are wide for the sake of long lines; for a transposed operand nearer to square.
  int64_t most = crossed ? kShort * 8 : kPiece;
  int64_t across = (columns + most - 1) / most;
  int64_t width = ((columns + across - 1) / across + kChunk - 1) / kChunk * kChunk;
  if (width > columns) width = columns;
  across = (columns + width - 1) / width;
  int64_t height = kPiece / width < 1 ? 1 : kPiece / width > rows ? rows : kPiece / width;
  int64_t down = (rows + height - 1) / height;
  int64_t grain = width * height >= kPiece / 2 ? 1 : kPiece / (width * height);
  parallel_for(outer * down * across, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t piece = begin; piece < end; ++piece) {
      int64_t left = piece % across * width, rest = piece / across;
      int64_t top = rest % down * height;
      rest /= down;
      Block<kOperands> b = whole;
      b.columns = columns - left < width ? columns - left : width;
      b.rows = rows - top < height ? rows - top : height;
      for (int k = 0; k < count; ++k) b.at[k] += left * b.column_steps[k] + top * b.row_steps[k];
      for (int i = it.ndim - 3; i >= 0; --i) {
        int64_t index = rest % it.shape[i];
        rest /= it.shape[i];
        for (int k = 0; k < count; ++k) b.at[k] += index * it.strides[k][i];
      }
      job.run(b);
    }
    if (job.stream) stream_done();
  });
}

}  // namespace tl::TL_ISA
