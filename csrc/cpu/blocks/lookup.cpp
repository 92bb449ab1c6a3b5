// The formats of the family "lookup" in blocks.def.
#include "formats_of.h"

namespace tl::TL_ISA {
template void add_formats<FormatGroup::lookup>(BlockFormat*);
}  // namespace tl::TL_ISA
