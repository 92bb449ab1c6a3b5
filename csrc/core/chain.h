// Several elementwise ops as one kernel, elementwise_chain: what its arguments say.
//
// Arguments are the result, up to kChainInputs arrays of its shape and dtype, kChainSteps integers
// and kChainConstants reals. An integer is a step: from the lowest byte on its op (a line of
// ops/chain.def, 0: none), three operands, and the first of its constants. Operands are the arrays
// from 0 on, the results of earlier steps from kChainInputs on. The last step gives the result.
#pragma once
#include "kernel.h"

namespace tl {

inline constexpr int kChainInputs = 7, kChainSteps = 8, kChainConstants = 8;
inline constexpr char kChainSignature[] =
    "out:out a:in b:in? c:in? d:in? e:in? f:in? g:in? first:i second:i third:i fourth:i fifth:i "
    "sixth:i seventh:i eighth:i p:f q:f r:f s:f t:f u:f v:f w:f";

struct ChainOp {
  const char* name;
  int8_t operands, constants;
};
// Null: there is no such op.
const ChainOp* chain_op(int64_t code);

struct ChainStep {
  uint8_t code, operands[3], constant;
};

struct Chain {
  int inputs = 0, count = 0;
  ChainStep steps[kChainSteps];
  // From arguments that fit the signature. Null, or what is wrong with them.
  const char* read(const Arg* args);
};

// Whether calls of this kernel have steps to be checked.
bool is_chain(const Kernel& kernel);

}  // namespace tl
