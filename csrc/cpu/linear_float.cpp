// `linear` with float activations (`exact`): weights of any float or block dtype, by the number of
// rows.
#include "linear_order.h"

namespace tl::TL_ISA {

const char* linear_float(const Linear& l) {
  bool known = with_plain(l.weight.dtype, [](auto) {}) || block_format(l.weight.dtype);
  if (!known) return "linear: no kernel for this weight dtype";
  if (l.m <= kDotRows && l.weight.back_stride(1) == 1 && Order(l).lanes > 1)
    return linear_few_rows(l);
  if (takes_columns(l)) return linear_columns(l);
  return takes_some_rows(l) ? linear_some_rows(l) : linear_many_rows(l);
}

}  // namespace tl::TL_ISA
