// Several elementwise ops as one kernel: each chunk of the result passes all steps while it is in
// the first-level cache. Steps are the loops of the single ops, and round as these do.
#include "../core/chain.h"
#include "elementwise_driver.h"

namespace tl::TL_ISA {

Step chain_step(int code);  // elementwise.cpp

namespace {

struct Steps {
  int count;
  Step fn[kChainSteps];
  const double* numbers[kChainSteps];
  ChainStep rows[kChainSteps];
};

void run_chain(void* out, const void* const* in, int64_t n, const double* context) {
  const Steps& s = *reinterpret_cast<const Steps*>(context);
  alignas(64) float results[kChainSteps - 1][kChunk];
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t m = n - i < kChunk ? n - i : kChunk;
    for (int at = 0; at < s.count; ++at) {
      const void* operands[3];
      for (int k = 0; k < 3; ++k) {
        const int from = s.rows[at].operands[k];
        operands[k] = from < kChainInputs ? static_cast<const float*>(in[from]) + i
                                          : results[from - kChainInputs];
      }
      if (at + 1 == s.count) {
        s.fn[at](static_cast<float*>(out) + i, operands, m, s.numbers[at]);
        break;
      }
      s.fn[at](results[at], operands, m, s.numbers[at]);
    }
  }
}

const char* chain(const Arg* args, int) {
  Chain given;
  if (const char* error = given.read(args)) return error;
  const View* views[kChainInputs + 1];
  Conversion forms[kChainInputs + 1];
  const Conversion form = reading(DType::f32, ComputeType::f32);
  double numbers[kChainConstants];
  for (int k = 0; k <= given.inputs; ++k) {
    views[k] = args[k].a;
    if (views[k]->dtype != DType::f32) return "no kernel for this dtype";
    forms[k] = k == 0 ? writing(DType::f32, ComputeType::f32) : form;
  }
  if (const char* error = differ(views, given.inputs + 1)) return error;
  for (int i = 0; i < kChainConstants; ++i) numbers[i] = args[1 + kChainInputs + kChainSteps + i].f;
  Steps steps;
  steps.count = given.count;
  for (int i = 0; i < given.count; ++i) {
    steps.rows[i] = given.steps[i];
    steps.fn[i] = chain_step(given.steps[i].code);
    steps.numbers[i] = numbers + given.steps[i].constant;
  }
  drive<kChainInputs + 1>(views, forms, given.inputs, run_chain,
                          reinterpret_cast<const double*>(&steps));
  return nullptr;
}

}  // namespace

void register_elementwise_chain(KernelTable& t);
void register_elementwise_chain(KernelTable& t) {
  t.add("elementwise_chain", kChainSignature, chain);
}

}  // namespace tl::TL_ISA
