// tallow._native: the module, the kernel call and what all binding files share.
#include <nanobind/stl/string.h>

#include <chrono>
#include <string>

#include "../core/alloc.h"
#include "../core/parallel.h"
#include "../core/plan.h"
#include "bind.h"

namespace tl::bind {
namespace {

// Below this many elements a kernel is over before releasing the GIL would pay.
constexpr int64_t kReleaseFrom = 16384;

const Kernel& find(const char* name) {
  const Kernel* kernel = kernels().find(name);
  if (!kernel)
    raise("ArgumentError", "kernel",
          std::string("no kernel named ") + name + " in the " + isa_name() + " build");
  return *kernel;
}

void call_with(const Kernel& kernel, nb::args args) {
  int n = static_cast<int>(args.size());
  if (n > kMaxArgs) raise("ArgumentError", kernel.name, "too many arguments");
  Arg list[kMaxArgs];
  for (int i = 0; i < n; ++i) {
    nb::handle value = args[i];
    Array* array;
    if (nb::try_cast<Array*>(value, array) && array) {
      list[i].kind = Arg::array;
      list[i].a = array;
    } else if (value.is_none()) {
      list[i].kind = Arg::none;
      list[i].i = 0;
    } else if (PyFloat_CheckExact(value.ptr())) {
      list[i].kind = Arg::real;
      list[i].f = PyFloat_AS_DOUBLE(value.ptr());
    } else {
      list[i].kind = Arg::integer;
      list[i].i = PyLong_AsLongLong(value.ptr());
      if (list[i].i == -1 && PyErr_Occurred()) throw nb::python_error();
    }
  }
  run(kernel, list, n);
}

}  // namespace

void raise(const char* type, const char* where, const std::string& text) {
  nb::object error = nb::module_::import_("tallow.errors").attr(type);
  PyErr_SetString(error.ptr(), (std::string(where) + ": " + text).c_str());
  throw nb::python_error();
}

void raise(const Error& error) {
  static constexpr const char* kClasses[] = {
      "TallowError",     "ArgumentError",    "ShapeError", "DTypeError",  "NoKernelError",
      "IndexRangeError", "OutOfMemoryError", "GradError",  "DeviceError", "TallowError"};
  nb::object type =
      nb::module_::import_("tallow.errors").attr(kClasses[static_cast<int>(error.kind)]);
  PyErr_SetString(type.ptr(), error.text);
  throw nb::python_error();
}

std::string shape_text(const View& v) { return ShapeText(v).text; }

Array empty(DType dtype, const int64_t* shape, int ndim, const char* where, Device device) {
  Array out = Array::empty(dtype, shape, ndim, device);
  if (out.ok()) return out;
  View wanted;
  wanted.ndim = static_cast<int8_t>(ndim < kMaxDims ? ndim : kMaxDims);
  for (int i = 0; i < wanted.ndim; ++i) wanted.shape[i] = shape[i];
  int64_t bytes = ndim > kMaxDims ? -1 : contiguous_bytes(dtype, shape, ndim);
  if (bytes < 0) {
    raise("ShapeError", where,
          "expected a shape of at most " + std::to_string(kMaxDims) +
              " axes whose size fits in memory" +
              (is_block(dtype)
                   ? " and whose last axis is a multiple of " + std::to_string(block_of(dtype))
                   : "") +
              ", got " + shape_text(wanted) + " of " + row(dtype).name);
  }
  raise("OutOfMemoryError", where,
        "expected room for " + std::to_string(bytes) + " bytes, got none");
}

void expect_values(const Array& x, const char* where) {
  if (x.device().type == Device::meta)
    raise("DeviceError", where,
          "expected a tensor with values, got one on meta (move its module with "
          "to_empty(device='cpu') and fill it)");
}

// The one device of a call's arrays.
static Device device_of(const char* where, const Arg* args, int n) {
  Device device;
  bool known = false;
  for (int i = 0; i < n; ++i) {
    if (args[i].kind != Arg::array) continue;
    Device next = static_cast<const Array*>(args[i].a)->device();
    if (known && !(next == device)) refuse_mixed(where, device, next);
    device = next;
    known = true;
  }
  return device;
}

void refuse_mixed(const char* where, Device a, Device b) {
  raise("DeviceError", where,
        std::string("expected operands on one device, got ") + name_of(a) + " and " + name_of(b) +
            " (move them with .to(device))");
}

// Refuses a write outside inference mode of what was made in it, save through `.data`, as in torch;
// lets the tape copy what it needs of a storage that is about to change.
static void before_write(const Array& x, const char* where) {
  Storage* storage = x.storage();
  if ((storage->guards & kInference) && !in_inference() && !x.has_own_version())
    raise("GradError", where,
          "expected a tensor that may be changed outside inference_mode, got one made in it (use "
          ".clone() first)");
  if (!(storage->guards & kWatched)) return;
  storage->guards &= static_cast<uint8_t>(~kWatched);
  nb::module_::import_("tallow.autograd.record")
      .attr("before_write")(reinterpret_cast<uintptr_t>(storage));
}

void run(const Kernel& kernel, const Arg* args, int n) {
  const Device device = device_of(kernel.name, args, n);
  int64_t work = 0;
  for (int i = 0; i < n; ++i) {
    if (args[i].kind != Arg::array) continue;
    auto* array = const_cast<Array*>(static_cast<const Array*>(args[i].a));
    if (kernel.written >> i & 1) {
      for (int axis = 0; axis < array->ndim; ++axis) {
        if (array->strides[axis] == 0 && array->shape[axis] > 1 && array->size() > 0)
          raise("ShapeError", kernel.name,
                "expected a target whose elements lie apart, got one expanded to " +
                    shape_text(*array) + " (use .clone() first)");
      }
      Storage* storage = array->storage();
      if (storage->guards.load(std::memory_order_relaxed)) before_write(*array, kernel.name);
      if (!storage->writable && !detach(storage))
        raise("OutOfMemoryError", kernel.name, "no room for a writable copy");
      array->count_write();
    }
    array->sync();
    int64_t size = array->size();
    work = size > work ? size : work;
  }
  if (!kernels(device)) {
    if (recording())
      raise("DeviceError", kernel.name,
            "a plan computes values: it cannot be captured with tensors on meta, which have none");
    return;
  }
  const char* error;
  if (work >= kReleaseFrom) {
    nb::gil_scoped_release release;
    error = call(kernel, args, n);
  } else {
    error = call(kernel, args, n);
  }
  if (error) {
    std::string text = error;
    const std::string named = std::string(kernel.name) + ": ";
    if (text.compare(0, named.size(), named) == 0) text.erase(0, named.size());
    for (int i = 0; i < n; ++i) {
      if (args[i].kind == Arg::array)
        text += std::string(i ? ", " : " (arguments ") + row(args[i].a->dtype).name +
                shape_text(*args[i].a);
    }
    const bool dtype = text.rfind("no kernel for this dtype", 0) == 0;
    raise(dtype ? "NoKernelError" : "ArgumentError", kernel.name, text + ")");
  }
  if (recording()) recording()->add(kernel, args, n);
}

bool is_recording() { return recording() != nullptr; }

// Quantisers read contiguous f32; the unpackers write contiguous floats of at most 32 bits. The
// rest goes by way of f32.
void copy_into(Array& out, const Array& x, const char* where) {
  if (!(out.device() == x.device())) refuse_mixed(where, out.device(), x.device());
  Array source = x;
  bool packs = is_block(out.dtype) && out.dtype != x.dtype,
       unpacks = is_block(x.dtype) && out.dtype != x.dtype;
  if (unpacks) {
    source = contiguous(x, where);
    bool direct = out.dtype == DType::f32 || out.dtype == DType::f16 || out.dtype == DType::bf16;
    if (!direct || !out.contiguous()) {
      source = cast(source, DType::f32, where);
      return copy_into(out, source, where);
    }
  } else if (packs) {
    if (row(x.dtype).kind == 'c')
      raise("NoKernelError", where,
            std::string("expected a real dtype to make ") + row(out.dtype).name + " of, got " +
                row(x.dtype).name);
    source = contiguous(cast(x, DType::f32, where), where);
    if (!out.contiguous()) {
      source = cast(source, out.dtype, where);
      return copy_into(out, source, where);
    }
  }
  Arg args[3] = {};  // the third: no importances
  args[0].kind = args[1].kind = Arg::array;
  args[0].a = &out;
  args[1].a = &source;
  run(find(unpacks ? "dequantize" : packs ? "quantize" : "copy"), args, packs ? 3 : 2);
}

Array moved(const Array& x, Device device, const char* where) {
  if (x.device() == device) return x;
  expect_values(x, where);
  return like(x, x.dtype, where, device);  // on meta, which has no values to copy
}

Array cast(const Array& x, DType dtype, const char* where) {
  if (x.dtype == dtype) return x;
  Array out = like(x, dtype, where);
  copy_into(out, x, where);
  return out;
}

Array contiguous_copy(const Array& x, const char* where) {
  Array out = empty_like(x, where);
  copy_into(out, x, where);
  return out;
}

Array contiguous(const Array& x, const char* where) {
  return x.contiguous() ? x : contiguous_copy(x, where);
}

}  // namespace tl::bind

NB_MODULE(_native, m) {
  using namespace tl;
  using namespace tl::bind;
  nb::set_leak_warnings(false);

  nb::list dtypes;
  for (int i = 0; i < kDTypeCount; ++i) {
    const DTypeRow& r = kDTypes[i];
    dtypes.append(nb::make_tuple(r.name, r.bytes, r.block, std::string(1, r.kind)));
  }
  m.attr("DTYPES") = dtypes;
  m.attr("MAX_DIMS") = kMaxDims;
  m.attr("ISA") = isa_name();
  m.attr("ENVIRONMENT_ERROR") = environment_error();

  bind_size(m);
  bind_array(m);
  bind_elementwise(m);
  bind_scan(m);

  m.def("expect_values", &expect_values);
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
  nb::class_<Plan>(m, "Plan")
      .def(nb::init<>())
      // Calls on this thread are recorded from start() to stop().
      .def("start",
           [](Plan& p) {
             if (recording()) raise("ArgumentError", "capture", "a plan is being captured already");
             recording() = &p;
           })
      .def("stop", [](Plan&) { recording() = nullptr; })
      .def("run",
           [](Plan& p) {
             if (recording())
               raise("ArgumentError", "plan", "a plan cannot be replayed while one is captured");
             const Kernel* failed = nullptr;
             const char* error;
             {
               nb::gil_scoped_release release;
               error = p.run(&failed);
             }
             if (error) raise("ArgumentError", failed->name, error);
           })
      // One replay, and how long each call took: a list of (kernel, seconds).
      .def("profile",
           [](Plan& p) {
             nb::list out;
             for (const Plan::Call& c : p.calls()) {
               auto begin = std::chrono::steady_clock::now();
               if (const char* error = p.run_one(c)) raise("ArgumentError", c.kernel->name, error);
               std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
               out.append(nb::make_tuple(c.kernel->name, took.count()));
             }
             return out;
           })
      .def("__len__", [](const Plan& p) { return p.size(); });
  // Bytes that the address of an element must be a multiple of.
  m.def("alignment_of", [](int dtype) { return alignment_of(static_cast<DType>(dtype)); });
  m.def("set_inference", &set_inference);  // of this thread
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads);
  m.def("set_default_float", [](int code) { default_float = static_cast<DType>(code); });
  m.def("pool_stats", [] {
    PoolStats s = pool_stats();
    return nb::make_tuple(s.in_use, s.cached, s.peak);
  });
  m.def("pool_trim", &pool_trim);
}
