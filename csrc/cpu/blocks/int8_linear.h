// `linear` with activations rounded to int8 blocks of 32 (`fast`), for one block format.
#pragma once
#include "int8_dot.h"
#include "int8_panel.h"

namespace tl::TL_ISA {

template <class F>
const char* linear_int8_of(const Linear& l) {
  return l.m <= kDotRows ? decode_rows<F>(l) : prefill_rows<F>(l);
}

}  // namespace tl::TL_ISA
