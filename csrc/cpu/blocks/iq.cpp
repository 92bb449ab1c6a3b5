// The formats of the family "iq" in blocks.def.
#include "formats_of.h"

namespace tl::TL_ISA {
template void add_formats<FormatGroup::iq>(BlockFormat*);
}  // namespace tl::TL_ISA
