// Registers every kernel family of this instruction set. A new kernel file adds one line here. A
// set above another (TL_BELOW) has only the families whose vectors it widens. The runtime of saved
// plans (TL_INFERENCE) has none for training, and what is fast (TL_HOT) only where it counts.
#include "../core/kernel.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

void register_attention(KernelTable& t);
void register_complex(KernelTable& t);
void register_conv(KernelTable& t);
void register_conv_unfold(KernelTable& t);
void register_copy(KernelTable& t);
void register_elementwise(KernelTable& t);
void register_embedding(KernelTable& t);
void register_index(KernelTable& t);
void register_mask(KernelTable& t);
void register_matmul(KernelTable& t);
void register_norm(KernelTable& t);
void register_optim(KernelTable& t);
void register_pad(KernelTable& t);
void register_pool(KernelTable& t);
void register_probe(KernelTable& t);
void register_quant(KernelTable& t);
void register_quantize(KernelTable& t);
void register_random(KernelTable& t);
void register_recurrent(KernelTable& t);
void register_reduce(KernelTable& t);
void register_resample(KernelTable& t);
void register_rope(KernelTable& t);
void register_sample(KernelTable& t);
void register_scan(KernelTable& t);
void register_scatter(KernelTable& t);
void register_sort(KernelTable& t);
void register_variance(KernelTable& t);
void register_vecdot(KernelTable& t);

void register_all(KernelTable& t);
void register_all(KernelTable& t) {
#ifndef TL_NO_ATTENTION
  register_attention(t);
#endif
  register_conv(t);
  register_matmul(t);
#ifndef TL_INFERENCE
  register_probe(t);
#endif
#ifndef TL_BELOW
  register_copy(t);
  register_elementwise(t);
  register_embedding(t);
  register_norm(t);
  register_quant(t);
  register_rope(t);
#ifndef TL_HOT
  register_complex(t);
  register_conv_unfold(t);
  register_index(t);
  register_mask(t);
  register_pad(t);
  register_pool(t);
  register_random(t);
  register_recurrent(t);
  register_reduce(t);
  register_resample(t);
  register_sample(t);
  register_scan(t);
  register_scatter(t);
  register_sort(t);
  register_variance(t);
  register_vecdot(t);
#ifndef TL_INFERENCE
  register_optim(t);
  register_quantize(t);
#endif
#endif
#endif
}

}  // namespace tl::TL_ISA
