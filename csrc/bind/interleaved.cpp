// Weights with a second form beside the rows that they have.
#include "../core/interleaved.h"

#include "bind.h"

namespace tl::bind {
namespace {

// The same weight, whose products read `eights`: what the kernel "interleave" made of it.
Array with_form(Array& weight, Array& eights) {
  constexpr const char* kWhere = "with_interleaved";
  expect_values(weight, kWhere);
  expect_values(eights, kWhere);
  weight.sync();
  eights.sync();
  if (weight.storage()->writable)
    raise("ArgumentError", kWhere, "expected a weight on read-only memory");
  if (weight.ndim != 2 || !weight.contiguous() || !is_block(weight.dtype))
    raise("ArgumentError", kWhere, "expected a contiguous matrix of blocks");
  const int64_t wanted = interleaved_bytes(weight.dtype, weight.shape[0], weight.shape[1]);
  if (eights.dtype != DType::u8 || !eights.contiguous() || eights.size() != wanted ||
      eights.storage()->writable || reinterpret_cast<uintptr_t>(eights.data) % 32 != 0)
    raise("ArgumentError", kWhere,
          "expected " + std::to_string(wanted) +
              " read-only bytes at a multiple of 32 as the second form");
  Array out = with_interleaved(weight, eights);
  if (!out.ok()) raise("OutOfMemoryError", kWhere, "no memory");
  return out;
}

}  // namespace

void bind_interleaved(nb::module_& m) {
  m.def("with_interleaved", &with_form);
  // Its bytes; 0 where this processor's kernels know none.
  m.def("interleaved_bytes", [](const Array& x) -> int64_t {
    if (x.ndim != 2 || !is_block(x.dtype) || !kernels().find("interleave")) return 0;
    return interleaved_bytes(x.dtype, x.shape[0], x.shape[1]);
  });
}

}  // namespace tl::bind
