// The formats of the family "small" in blocks.def.
#include "formats_of.h"

namespace tl::TL_ISA {
template void add_formats<FormatGroup::small>(BlockFormat*);
}  // namespace tl::TL_ISA
