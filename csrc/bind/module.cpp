// tallow._native: the module, the kernel call and what all binding files share.
#include <nanobind/stl/string.h>

#include <string>
#include <utility>

#include "../core/alloc.h"
#include "../core/blas.h"
#include "../core/isa.h"
#include "../core/parallel.h"
#include "../core/steady_threads.h"
#include "../core/watch.h"
#include "dispatch.h"

namespace tl::bind {
namespace {

const Kernel& find(const char* name) {
  const Kernel* kernel = kernels().find(name);
  if (!kernel)
    raise("ArgumentError", "kernel",
          std::string("no kernel named ") + name + " in the " + isa_name() + " build");
  return *kernel;
}

void call_with(const Kernel& kernel, nb::args args) {
  PyObject* list[kMaxArgs];
  const int n = static_cast<int>(args.size());
  for (int i = 0; i < n && i < kMaxArgs; ++i) list[i] = args[i].ptr();
  call_kernel(kernel, list, n, kernel.name);
}

}  // namespace

void call_kernel(const Kernel& kernel, PyObject* const* args, int n, const char* where) {
  if (n > kMaxArgs) raise("ArgumentError", where, "too many arguments");
  Arg list[kMaxArgs];
  for (int i = 0; i < n; ++i) {
    PyObject* value = args[i];
    if (is_array(value) || is_tensor(value)) {
      list[i].kind = Arg::array;
      list[i].a = is_array(value) ? as_array(value) : array_of(value);
    } else if (value == Py_None) {
      list[i].kind = Arg::none;
      list[i].i = 0;
    } else if (PyFloat_CheckExact(value)) {
      list[i].kind = Arg::real;
      list[i].f = PyFloat_AS_DOUBLE(value);
    } else {
      list[i].kind = Arg::integer;
      list[i].i = PyLong_AsLongLong(value);
      if (list[i].i == -1 && PyErr_Occurred()) throw nb::python_error();
    }
  }
  checked([&](Error& error) { return run_checked(kernel, list, n, error, where); });
}

void raise(const char* type, const char* where, const std::string& text) {
  nb::object error = nb::module_::import_("tallow.errors").attr(type);
  PyErr_SetString(error.ptr(), (std::string(where) + ": " + text).c_str());
  throw nb::python_error();
}

void raise(const Error& error) {
  if (error.kind == ErrorKind::host && PyErr_Occurred()) throw nb::python_error();
  static constexpr const char* kClasses[] = {"TallowError",      "ArgumentError", "ShapeError",
                                             "DTypeError",       "NoKernelError", "IndexRangeError",
                                             "OutOfMemoryError", "GradError",     "DeviceError",
                                             "TallowError",      "CaptureError"};
  nb::object type =
      nb::module_::import_("tallow.errors").attr(kClasses[static_cast<int>(error.kind)]);
  PyErr_SetString(type.ptr(), error.text);
  throw nb::python_error();
}

DType dtype_from(int64_t code) {
  if (code < 0 || code >= kDTypeCount)
    raise("DTypeError", "dtype", "expected the code of a dtype, got " + std::to_string(code));
  return static_cast<DType>(code);
}

std::string shape_text(const View& v) { return ShapeText(v).text; }

// --- what the core asks of Python
// -----------------------------------------------------------------

// Lets the tape copy what it needs of a storage that is about to change.
static bool before_write(Storage* storage) {
  nb::gil_scoped_acquire gil;
  try {
    nb::module_::import_("tallow.autograd.record")
        .attr("before_write")(reinterpret_cast<uintptr_t>(storage));
    return true;
  } catch (nb::python_error& error) {
    error.restore();
    return false;
  }
}

static const char* run_long(const Kernel& kernel, const Arg* args, int n, const char* op) {
  nb::gil_scoped_release release;
  return invoke(kernel, args, n, op);
}

}  // namespace tl::bind

NB_MODULE(_native, m) {
  using namespace tl;
  using namespace tl::bind;
  nb::set_leak_warnings(false);
  host = {before_write, run_long};

  nb::list dtypes;
  for (int i = 0; i < kDTypeCount; ++i) {
    const DTypeRow& r = kDTypes[i];
    dtypes.append(nb::make_tuple(r.name, r.bytes, r.block, std::string(1, r.kind)));
  }
  m.attr("DTYPES") = dtypes;
  m.attr("MAX_DIMS") = kMaxDims;
  m.attr("ISA") = isa_name();
  nb::list isas;
  for (int i = 0; const char* isa = runnable_isa(i); ++i) isas.append(isa);
  m.attr("ISAS") = nb::tuple(isas);
  const Blas* blas = external_blas();
  m.attr("BLAS") = blas ? blas->name : "builtin";
  m.attr("ENVIRONMENT_ERROR") = environment_error();

  bind_size(m);
  bind_array(m);
  bind_objects(m);
  bind_dispatch(m);
  bind_complex_views(m);
  bind_elementwise(m);
  bind_scan(m);
  bind_interleaved(m);
  bind_texts(m);
  bind_host_device(m);
  bind_plan(m);
  bind_program(m);
  bind_trace(m);

  m.def("expect_values", [](const Array& x, const char* where) {
    expect_values(x, where);
    expect_readable(x, where);
  });
  m.def("kernel_names", [] {
    nb::list names;
    for (const Kernel& k : kernels()) names.append(nb::make_tuple(k.name, k.signature));
    return names;
  });
  m.def("call", [](const char* name, nb::args args) { call_with(find(name), args); });
  // A Python callable for one kernel, on arguments as its signature names them.
  m.def("kernel", [](const char* name) {
    const Kernel* kernel = &find(name);
    return nb::cpp_function([kernel](nb::args args) { call_with(*kernel, args); });
  });
  // Bytes that the address of an element must be a multiple of.
  m.def("alignment_of", [](int dtype) { return alignment_of(dtype_from(dtype)); });
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads);
  // For calls of this thread alone; 0: no other number than set_num_threads gave. Gives the last
  // one.
  m.def("set_thread_limit", [](int n) { return std::exchange(steady_threads, n); });
  m.def("set_default_float", [](int code) { default_float = dtype_from(code); });
  m.def("pool_stats", [] {
    PoolStats s = pool_stats();
    return nb::make_tuple(s.in_use, s.cached, s.peak);
  });
  m.def("pool_trim", &pool_trim);
}
