// The dtype in which operands of several dtypes meet, as in torch: tensors with axes decide, then
// 0-d tensors, then numbers; a later group counts only when it is of a higher category (bool <
// integer < float < complex).
#pragma once
#include "error.h"

namespace tl {

// The dtype of floats made without one, and of quotients of integers.
inline DType default_float = DType::f32;

// 0 bool, 1 integers, 2 floats, 3 complex, 4 blocks.
int category(DType dtype);

// The dtype of a result of two dtypes of one group.
DType promote_types(DType a, DType b);

// A number that stands where an array could.
struct Number {
  enum Kind : uint8_t { boolean, integer, real, complex };
  Kind kind = integer;
  bool large = false;     // an integer outside int64: `i` holds the bits of one that u64 can hold
  int64_t i = 0;          // of bools and integers
  double re = 0, im = 0;  // the value of every kind
  const char* text = nullptr;  // how the caller wrote it, for errors
};
DType dtype_of(const Number& number);

// Collects the dtypes of operands, by group.
class Promotion {
 public:
  void add(const View& array) { add(array.ndim ? dims_ : zero_, array.dtype); }
  void add(const Number& number) { add(number_, dtype_of(number)); }
  bool has_array() const { return dims_ != kNone || zero_ != kNone; }
  DType result() const;

 private:
  static constexpr DType kNone = DType::count;
  static void add(DType& group, DType dtype) {
    group = group == kNone ? dtype : promote_types(group, dtype);
  }
  DType dims_ = kNone, zero_ = kNone, number_ = kNone;
};

}  // namespace tl
