// Products with weights that also lie eight rows interleaved (core/interleaved.h): what unpacks the
// rows of a file elsewhere reads whole vectors here. Results have the very same bits.
#pragma once
#include "../../core/interleaved.h"
#include "int8_rows.h"

namespace tl {

// Of a format that has such a form; `rows` takes eights for the weights' rows.
struct InterleavedFormat {
  RowsKernel one, some;  // for one row of activations, for several
  // The blocks of an eight as eight columns of tiles (int8_tile.h), and their scales and minima.
  void (*panel)(const uint8_t* eight, int64_t blocks, uint8_t* tile, float* d, float* m);
};

}  // namespace tl

#ifdef TL_BELOW
namespace tl::TL_BELOW {
const InterleavedFormat* interleaved_format(DType dtype);
}
#endif

namespace tl::TL_ISA {

// Null where there is none for the dtype.
const InterleavedFormat* interleaved_format(DType dtype);

// What makes that form; nothing in a set that has no kernels for it.
void register_interleaved(KernelTable& t);

}  // namespace tl::TL_ISA
