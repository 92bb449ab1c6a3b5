#include "promote.h"

#include <initializer_list>

namespace tl {

int category(DType dtype) {
  switch (row(dtype).kind) {
    case 'b':
      return 0;
    case 'u':
    case 'i':
      return 1;
    case 'f':
      return 2;
    case 'c':
      return 3;
    default:
      return 4;
  }
}

DType promote_types(DType a, DType b) {
  if (a == b) return a;
  int ca = category(a), cb = category(b);
  if (ca != cb) return ca > cb ? a : b;
  int wa = bytes_of(a), wb = bytes_of(b);
  if (ca == 2) {
    if (wa != wb) return wa > wb ? a : b;
    return DType::f32;  // f16 with bf16, or two kinds of f8
  }
  bool ua = row(a).kind == 'u', ub = row(b).kind == 'u';
  if (ua == ub) return wa > wb ? a : b;
  DType s = ua ? b : a;
  int ws = ua ? wb : wa, wu = ua ? wa : wb;
  if (ws > wu) return s;
  return wu == 1 ? DType::i16 : wu == 2 ? DType::i32 : DType::i64;
}

DType dtype_of(const Number& number) {
  switch (number.kind) {
    case Number::boolean:
      return DType::bool_;
    case Number::integer:
      return DType::i64;
    case Number::real:
      return default_float;
    default:
      return DType::complex64;
  }
}

DType Promotion::result() const {
  DType out = dims_;
  for (DType next : {zero_, number_}) {
    if (next == kNone) continue;
    if (out == kNone || category(next) > category(out)) out = next;
  }
  return out;
}

}  // namespace tl
