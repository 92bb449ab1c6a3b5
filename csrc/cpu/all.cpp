// Registers every kernel family of this ISA build. A new kernel file adds one line here.
#include "../core/kernel.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

void register_attention(KernelTable& t);
void register_copy(KernelTable& t);
void register_elementwise(KernelTable& t);
void register_embedding(KernelTable& t);
void register_index(KernelTable& t);
void register_matmul(KernelTable& t);
void register_norm(KernelTable& t);
void register_quant(KernelTable& t);
void register_reduce(KernelTable& t);
void register_rope(KernelTable& t);
void register_sample(KernelTable& t);

void register_all(KernelTable& t);
void register_all(KernelTable& t) {
  register_attention(t);
  register_copy(t);
  register_elementwise(t);
  register_embedding(t);
  register_index(t);
  register_matmul(t);
  register_norm(t);
  register_quant(t);
  register_reduce(t);
  register_rope(t);
  register_sample(t);
}

}  // namespace tl::TL_ISA
