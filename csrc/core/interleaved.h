// Second forms of weights: eight rows interleaved, so that one vector holds what belongs together.
// Only the products that gain by it ask; for everybody else a weight has its rows alone.
#pragma once
#include "array.h"

namespace tl {

// Rows lie eight by eight, the last eight filled up with its last row. Of each eight come two
// blocks of depth at a time: the 16-bit scales (and minima) of eight rows beside each other, of the
// first block and of the second, then the 4-byte words of the quantised weights of eight rows
// beside each other, of the first block and of the second; a last block without another alone.
// Whole vectors lie at multiples of 32 bytes.
TL_INLINE int64_t eight_rows_bytes(DType dtype, int64_t depth) {
  return (depth / block_of(dtype) * bytes_of(dtype) * 8 + 31) / 32 * 32;
}
TL_INLINE int64_t interleaved_bytes(DType dtype, int64_t rows, int64_t depth) {
  return (rows + 7) / 8 * eight_rows_bytes(dtype, depth);
}

// While one exists, no second form goes away; made by what asks for one and reads it.
class InterleavedReader {
 public:
  InterleavedReader();
  ~InterleavedReader();
  InterleavedReader(const InterleavedReader&) = delete;
  InterleavedReader& operator=(const InterleavedReader&) = delete;
  // The second form of a weight, or null; also of its first rows alone. One load while no weight
  // has any.
  const uint8_t* operator()(const View& weight) const;

 private:
  const bool any_;
};

// The same elements as `weight`, which is read-only, and which has its second form in `eights` as
// long as this array or a view of it lives. What is written to it in place moves to another address
// and has no second form. Not ok() when memory is out.
Array with_interleaved(const Array& weight, const Array& eights);

}  // namespace tl
