#include "elementwise.h"

#include <cstdio>
#include <new>
#include <utility>

#include "strides.h"

namespace tl {
namespace {

constexpr int kMostOperands = 3, kMostConstants = 3;

bool refuse_blocks(const View& v, const char* where, Error& error) {
  if (!is_block(v.dtype)) return true;
  return error.set(ErrorKind::no_kernel, where,
                   "expected a plain dtype, got %s (use .to(tl.f32) first)", row(v.dtype).name);
}

bool promote(const Operand* operands, int n, const char* where, Promotion& groups, Error& error) {
  for (int i = 0; i < n; ++i) {
    const Array* array = operands[i].array;
    if (!array) {
      groups.add(operands[i].number);
    } else if (refuse_blocks(*array, where, error)) {
      groups.add(*array);
    } else {
      return false;
    }
  }
  return true;
}

// An array that is made only when it is needed: most calls make none.
class LazyArray {
 public:
  LazyArray() {}
  LazyArray(const LazyArray&) = delete;
  ~LazyArray() {
    if (made_) array_.~Array();
  }
  const Array& set(Array&& array) {
    if (made_)
      array_ = std::move(array);
    else
      new (&array_) Array(std::move(array));
    made_ = true;
    return array_;
  }
  Array& get() { return array_; }

 private:
  union {
    Array array_;
  };
  bool made_ = false;
};

// One call on its way to the kernel.
class Call {
 public:
  Call(const ElementwiseOp& op, const Kernel& kernel, Error& error)
      : op_(op), kernel_(kernel), error_(error) {}

  // Brings the operands to one dtype and finds the shape and dtype of the result.
  bool prepare(const Operand* operands) {
    DType common;
    return settle(operands, common) && convert(operands, common) && broadcast();
  }
  // Sees all operands in the result's shape.
  bool broadcast(const Array* target);
  bool run(Array& out, const double* constants);
  void order(Array& out) const {
    const View* views[kMostOperands];
    for (int i = 0; i < op_.operands; ++i) views[i] = in_[i];
    if (!ordered_) follow_strides(views, op_.operands, same_, out);
  }

  View result;    // shape and dtype
  Device device;  // that of the operands; numbers and 0-d arrays on the CPU go where the others are

 private:
  bool settle(const Operand* operands, DType& common);
  bool convert(const Operand* operands, DType common);
  bool broadcast();
  bool refuse_shapes() const;

  const ElementwiseOp& op_;
  const Kernel& kernel_;
  Error& error_;
  const Array* in_[kMostOperands] = {};
  LazyArray own_[kMostOperands];  // what was made of an operand for this call
  bool ordered_ = true, same_ = true;
};

bool Call::settle(const Operand* operands, DType& common) {
  // The first operand of a choice is its mask, which says nothing of the dtype.
  const int mask = op_.type == ElementwiseClass::choice;
  Promotion groups;
  if (!promote(operands + mask, op_.operands - mask, op_.name, groups, error_)) return false;
  if (mask && !operands->array)
    return error_.set(ErrorKind::dtype, op_.name,
                      "expected a Tensor for a condition, got a number");
  if (mask && operands->array->dtype != DType::bool_ && operands->array->dtype != DType::u8)
    return error_.set(ErrorKind::no_kernel, op_.name, "expected a bool condition, got %s",
                      row(operands->array->dtype).name);
  if (!mask && !groups.has_array())
    return error_.set(ErrorKind::dtype, op_.name, "expected a Tensor, got numbers only");
  common = groups.result();
  if (op_.type == ElementwiseClass::power) {
    // As torch, which does not give 1 / b of an integer b the integers' type.
    const Operand& exponent = operands[1];
    if (!exponent.array && exponent.number.kind <= Number::integer && exponent.number.re < 0 &&
        category(common) < 2)
      return error_.set(ErrorKind::argument, op_.name,
                        "expected an exponent from 0 up for integers, got a negative number");
  }
  return op_.settle(common, common, error_);
}

bool Call::convert(const Operand* operands, DType common) {
  const int mask = op_.type == ElementwiseClass::choice;
  result.dtype = op_.result(common);
  for (int i = 0; i < op_.operands; ++i) {
    if (operands[i].array && device == Device{}) device = operands[i].array->device();
  }
  for (int i = 0; i < op_.operands; ++i) {
    const Array* array = operands[i].array;
    in_[i] = array;
    if (!array)
      in_[i] = &own_[i].set(scalar(operands[i].number, common, false, op_.name, error_));
    else if (const DType wanted = i < mask ? DType::bool_ : common; array->dtype != wanted)
      in_[i] = &own_[i].set(cast(*array, wanted, op_.name, error_));
    if (!in_[i]->ok()) return false;
    if (in_[i]->device() == device) continue;
    if (in_[i]->ndim) return refuse_mixed(op_.name, in_[i]->device(), device, error_);
    in_[i] = &own_[i].set(moved(*in_[i], device, op_.name, error_));
    if (!in_[i]->ok()) return false;
  }
  return true;
}

bool Call::broadcast() {
  int ndim = 0;
  for (int i = 0; i < op_.operands; ++i) ndim = in_[i]->ndim > ndim ? in_[i]->ndim : ndim;
  result.ndim = static_cast<int8_t>(ndim);
  for (int i = 1; i <= ndim; ++i) {
    int64_t size = 1;
    for (int k = 0; k < op_.operands; ++k) {
      const int64_t other = in_[k]->back(i);
      if (size != other && size != 1 && other != 1) return refuse_shapes();
      size = size == 1 ? other : size;
    }
    result.shape[ndim - i] = size;
  }
  return true;
}

bool Call::refuse_shapes() const {
  char text[kMostOperands * sizeof(ShapeText) + 16];
  int at = 0;
  for (int k = 0; k < op_.operands; ++k)
    at += snprintf(text + at, sizeof text - static_cast<size_t>(at), "%s%s",
                   k == 0                  ? ""
                   : k + 1 == op_.operands ? " and "
                                           : ", ",
                   ShapeText(*in_[k]).text);
  return error_.set(ErrorKind::shape, op_.name, "expected shapes that broadcast, got %s", text);
}

bool Call::broadcast(const Array* target) {
  for (int i = 0; i < op_.operands; ++i) {
    ordered_ = ordered_ && in_order(*in_[i]);
    if (!same_shape(*in_[i], result)) {
      same_ = false;
      View seen;
      if (!broadcast_view(*in_[i], result.shape, result.ndim, op_.name, seen, error_)) return false;
      if (in_[i] == &own_[i].get())
        static_cast<View&>(own_[i].get()) = seen;
      else
        in_[i] = &own_[i].set(in_[i]->with(seen));
    }
    // An operand that overlaps the output without being the very same view would be read after it
    // was overwritten.
    const Array& x = *in_[i];
    if (!target || x.storage() != target->storage() ||
        (x.byte_offset() == target->byte_offset() && x.dtype == target->dtype &&
         memcmp(x.strides, target->strides, sizeof(int64_t) * x.ndim) == 0))
      continue;
    in_[i] = &own_[i].set(contiguous_copy(x, op_.name, error_));
    if (!in_[i]->ok()) return false;
  }
  return true;
}

bool Call::run(Array& out, const double* constants) {
  Arg args[1 + kMostOperands + kMostConstants];
  args[0].kind = Arg::array;
  args[0].a = &out;
  int n = 1;
  for (int i = 0; i < op_.operands; ++i, ++n) {
    args[n].kind = Arg::array;
    args[n].a = in_[i];
  }
  for (int i = 0; i < op_.constants; ++i, ++n) {
    args[n].kind = Arg::real;
    args[n].f = constants[i];
  }
  return tl::run(kernel_, args, n, error_);
}

bool can_hold(const char* where, const View& target, const View& result, Error& error) {
  if (!same_shape(target, result))
    return error.set(ErrorKind::shape, where, "expected an output of shape %s, got %s",
                     ShapeText(result).text, ShapeText(target).text);
  if (category(result.dtype) > category(target.dtype))
    return error.set(ErrorKind::no_kernel, where, "a result of %s cannot be stored into %s",
                     row(result.dtype).name, row(target.dtype).name);
  return true;
}

}  // namespace

Array elementwise(const ElementwiseOp& op, const Kernel& kernel, const Operand* operands,
                  const double* constants, Error& error) {
  Call call(op, kernel, error);
  if (!call.prepare(operands)) return {};
  Array out = new_array(call.result.dtype, call.result.shape, call.result.ndim, call.device,
                        op.name, error);
  if (!out.ok() || !call.broadcast(nullptr)) return {};
  call.order(out);
  if (!call.run(out, constants)) return {};
  return out;
}

bool elementwise_into(Array& target, const ElementwiseOp& op, const Kernel& kernel,
                      const Operand* operands, const double* constants, Error& error) {
  Call call(op, kernel, error);
  if (!call.prepare(operands) || !can_hold(op.name, target, call.result, error)) return false;
  if (target.dtype == call.result.dtype)
    return call.broadcast(&target) && call.run(target, constants);
  Array out = new_array(call.result.dtype, target.shape, target.ndim, call.device, op.name, error);
  return out.ok() && call.broadcast(nullptr) && call.run(out, constants) &&
         copy_into(target, out, op.name, error);
}

bool result_type(const Operand* operands, int n, const char* where, DType& dtype, Error& error) {
  Promotion groups;
  if (!promote(operands, n, where, groups, error)) return false;
  dtype = groups.result();
  return true;
}

}  // namespace tl
