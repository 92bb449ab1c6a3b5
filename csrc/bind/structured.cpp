// Calls of structured ops (core/contract.h): what Python gives as their arguments.
#include "../core/contract.h"
#include "dispatch.h"

#include <cstring>

namespace tl::bind {
namespace {

constexpr int kMostArguments = 4;

struct Arguments {
  StructuredArg at[kMostArguments];
  int64_t axes[kMaxDims];
};

const Array* read_array(PyObject* given, const char* where) {
  if (is_tensor(given)) return array_of(given);
  raise("DTypeError", where, std::string("expected a Tensor, got ") + Py_TYPE(given)->tp_name);
}

int64_t read_axis(PyObject* given, const char* where, int ndim) {
  int overflow = 1;
  int64_t axis = 0;
  if (PyIndex_Check(given)) {
    nb::object whole = checked(PyNumber_Index(given));
    axis = PyLong_AsLongLongAndOverflow(whole.ptr(), &overflow);
  }
  if (!overflow) return axis;
  const std::string n = std::to_string(ndim), last = std::to_string(ndim - 1);
  raise(
      "IndexRangeError", where,
      "expected an axis in [-" + n + ", " + last + "], got " + nb::str(nb::handle(given)).c_str());
}

// None: all axes.
void read_axes(PyObject* given, const char* where, int ndim, Arguments& args, IntList& list) {
  list = {args.axes, 0};
  if (given == Py_None) return;
  if (PyIndex_Check(given)) {
    args.axes[list.count++] = read_axis(given, where, ndim);
    return;
  }
  nb::object all = checked(PySequence_Fast(given, "expected an axis or a list of axes"));
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(all.ptr());
  if (n > kMaxDims) raise("ShapeError", where, "expected each axis once, got more than there are");
  for (Py_ssize_t i = 0; i < n; ++i)
    args.axes[list.count++] = read_axis(item_at(all, i, where).ptr(), where, ndim);
}

int read_dtype(PyObject* given) {
  if (given == Py_None) return -1;
  nb::object code = checked(PyObject_CallOneArg(hooks[dtype_code], given));
  return static_cast<int>(dtype_from(nb::cast<int>(code)));
}

bool read_bool(PyObject* given) {
  const int truth = PyObject_IsTrue(given);
  if (truth < 0) throw nb::python_error();
  return truth;
}

void read(const CallerData& c, const Values& v, Arguments& args) {
  const char* where = c.name.c_str();
  for (int i = 0; i < v.n; ++i) {
    StructuredArg& arg = args.at[i];
    switch (c.structured->kinds[i]) {
      case 'a':
        arg.array = read_array(v.at[i], where);
        break;
      case 'b':
        arg.truth = read_bool(v.at[i]);
        break;
      case 'd':
        arg.dtype = read_dtype(v.at[i]);
        break;
      case 'i':
        if (v.at[i] != Py_None && !PyIndex_Check(v.at[i]))
          raise("ShapeError", where,
                std::string("expected one axis, got ") + nb::str(nb::handle(v.at[i])).c_str());
        [[fallthrough]];
      default:
        read_axes(v.at[i], where, args.at[0].array->ndim, args, arg.axes);
    }
  }
}

}  // namespace

void read_structured(CallerData& c, const char* name) {
  c.structured = find_structured(name);
  if (!c.structured)
    raise("ArgumentError", c.name.c_str(), std::string("no structured op named ") + name);
  if (strlen(c.structured->kinds) != c.parameters.size())
    raise("ArgumentError", c.name.c_str(), "other parameters than those of its structured op");
}

nb::object run_structured(const CallerData& c, const Values& v) {
  const char* where = c.name.c_str();
  Arguments args;
  read(c, v, args);
  View shape;
  tl::bind::checked([&](Error& error) {
    return c.structured->shape(*c.structured, args.at, where, shape, error);
  });
  if (!accepts(c, v)) return call_by_signature(c, c.reference, v);
  const Device device = args.at[0].array->device();
  if (c.kernel ? is_absent(*c.kernel, device) : backend_of(device) != nullptr)
    return call_by_signature(c, c.reference, v);
  if (c.function && kernels(device)) return call_by_signature(c, c.function, v);
  Array out = empty(shape.dtype, shape.shape, shape.ndim, where, device);
  if (kernels(device))
    tl::bind::checked([&](Error& error) {
      return c.structured->fill(*c.structured, args.at, where, out, error);
    });
  return checked(new_tensor(new_array(std::move(out))));
}

}  // namespace tl::bind
