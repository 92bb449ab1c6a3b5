#include "chain.h"

#include <cstring>

namespace tl {
namespace {

constexpr ChainOp kOps[] = {
#define STEP(name, operands, constants) {#name, operands, constants},
#include "../ops/chain.def"
};
constexpr int64_t kCount = sizeof kOps / sizeof *kOps;

}  // namespace

const ChainOp* chain_op(int64_t code) {
  return code >= 1 && code <= kCount ? &kOps[code - 1] : nullptr;
}

bool is_chain(const Kernel& kernel) { return strcmp(kernel.name, "elementwise_chain") == 0; }

const char* Chain::read(const Arg* args) {
  const Arg* integers = args + 1 + kChainInputs;
  inputs = count = 0;
  while (inputs < kChainInputs && args[1 + inputs].kind == Arg::array) ++inputs;
  for (int i = inputs; i < kChainInputs; ++i)
    if (args[1 + i].kind == Arg::array) return "expected arrays one after the other";
  while (count < kChainSteps && integers[count].i != 0) {
    const int64_t word = integers[count].i;
    ChainStep& step = steps[count];
    step.code = static_cast<uint8_t>(word & 255);
    step.constant = static_cast<uint8_t>(word >> 32 & 255);
    const ChainOp* op = chain_op(step.code);
    if (!op || word >> 40 != 0) return "expected steps of ops that there are";
    if (step.constant + op->constants > kChainConstants) return "expected constants that there are";
    for (int k = 0; k < 3; ++k) {
      const int from = step.operands[k] = static_cast<uint8_t>(word >> (8 * (k + 1)) & 255);
      const bool there = from < kChainInputs ? from < inputs : from - kChainInputs < count;
      if (k < op->operands ? !there : from != 0)
        return "expected operands that are arrays or results of earlier steps";
    }
    ++count;
  }
  for (int i = count; i < kChainSteps; ++i)
    if (integers[i].i != 0) return "expected steps one after the other";
  return count > 0 ? nullptr : "expected a step or more";
}

}  // namespace tl
