// Python's numbers as those of core.
#include "bind.h"

namespace tl::bind {
namespace {

// How an integer is written, or how long it is.
void write_digits(nb::handle h, DigitsText& digits) {
  std::string text = nb::str(h).c_str();
  if (text.size() > 40) text = "a number of " + std::to_string(text.size()) + " digits";
  snprintf(digits.text, sizeof digits.text, "%s", text.c_str());
}

void read_integer(nb::handle h, Number& number, DigitsText& digits) {
  int overflow = 0;
  number.i = PyLong_AsLongLongAndOverflow(h.ptr(), &overflow);
  if (number.i == -1 && PyErr_Occurred()) throw nb::python_error();
  number.re = static_cast<double>(number.i);
  if (!overflow) return;
  number.large = true;
  number.i = overflow > 0 ? static_cast<int64_t>(PyLong_AsUnsignedLongLong(h.ptr())) : 0;
  if (PyErr_Occurred()) PyErr_Clear(), number.i = 0;
  number.re = PyLong_AsDouble(h.ptr());
  if (PyErr_Occurred()) PyErr_Clear(), number.re = overflow * __builtin_inf();
  write_digits(h, digits);
  number.text = digits.text;
}

}  // namespace

double real_of(nb::handle number, const char* where) {
  double value = PyFloat_AsDouble(number.ptr());
  if (value != -1 || !PyErr_Occurred()) return value;
  bool large = PyErr_ExceptionMatches(PyExc_OverflowError);
  PyErr_Clear();
  if (large)
    raise("ArgumentError", where, "expected a number that a float can hold, got a larger integer");
  raise("DTypeError", where,
        std::string("expected a number, got ") + Py_TYPE(number.ptr())->tp_name);
}

Number number_of(nb::handle h, DigitsText& digits, const char* where) {
  Number number;
  if (PyFloat_Check(h.ptr())) {
    number.kind = Number::real;
    number.re = PyFloat_AS_DOUBLE(h.ptr());
  } else if (PyBool_Check(h.ptr())) {
    number.kind = Number::boolean;
    number.re = static_cast<double>(number.i = h.ptr() == Py_True);
  } else if (PyLong_Check(h.ptr())) {
    read_integer(h, number, digits);
  } else if (PyComplex_Check(h.ptr())) {
    number.kind = Number::complex;
    number.re = PyComplex_RealAsDouble(h.ptr());
    number.im = PyComplex_ImagAsDouble(h.ptr());
  } else {
    raise("NoKernelError", where,
          std::string("expected a Tensor or a number, got ") + Py_TYPE(h.ptr())->tp_name);
  }
  return number;
}

// Whatever can be converted to a number of this dtype, as `float()`, `int()` and `complex()` do.
static Number number_for(nb::handle h, DType dtype, DigitsText& digits, const char* where) {
  Number number;
  if (dtype == DType::complex64) {
    Py_complex value = PyComplex_AsCComplex(h.ptr());
    if (PyErr_Occurred()) throw nb::python_error();
    number.kind = Number::complex;
    number.re = value.real;
    number.im = value.imag;
  } else if (is_integral(dtype) && PyIndex_Check(h.ptr())) {
    nb::object whole = nb::steal(PyNumber_Index(h.ptr()));
    if (!whole.is_valid()) throw nb::python_error();
    read_integer(whole, number, digits);
  } else {
    number.kind = Number::real;
    number.re = real_of(h, where);
  }
  return number;
}

int64_t integer_of(nb::handle h, DType dtype, const char* where) {
  DigitsText digits;
  Number number = number_for(h, dtype, digits, where);
  Error error;
  int64_t value = 0;
  if (tl::integer_of(number, dtype, true, where, value, error)) return value;
  write_digits(h, digits);
  number.text = digits.text;
  tl::integer_of(number, dtype, true, where, value, error);
  raise(error);
}

Array scalar(nb::handle h, DType dtype, const char* where) {
  DigitsText digits;
  Number number = number_for(h, dtype, digits, where);
  if (!number.text && is_integral(dtype)) {
    write_digits(h, digits);
    number.text = digits.text;
  }
  return checked([&](Error& error) { return tl::scalar(number, dtype, true, where, error); });
}

}  // namespace tl::bind
