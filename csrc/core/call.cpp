#include "call.h"

#include <cstdio>
#include <cstring>

#include "plan/capture.h"
#include "strides.h"
#include "watch.h"

namespace tl {
namespace {

// Below this many elements a kernel is over before letting go of a lock would pay.
constexpr int64_t kLongFrom = 16384;

bool is_expanded(const View& v) {
  for (int i = 0; i < v.ndim; ++i) {
    if (v.strides[i] == 0 && v.shape[i] > 1) return v.size() > 0;
  }
  return false;
}

bool make_writable(const Array& out, const char* where, Error& error) {
  if (is_expanded(out))
    return error.set(ErrorKind::shape, where,
                     "expected a target whose elements lie apart, got one expanded to %s (use "
                     ".clone() first)",
                     ShapeText(out).text);
  Storage* storage = out.storage();
  if (!allow_write(out, where, error)) return false;
  if (!storage->writable && !detach(storage))
    return error.set(ErrorKind::memory, where, "no room for a writable copy");
  out.count_write();
  return true;
}

// The kernel's text, with the arrays that it was given.
__attribute__((cold)) bool refuse(const Kernel& kernel, const Arg* args, int n, const char* text,
                                  const char* where, Error& error) {
  const size_t name = strlen(kernel.name);
  if (strncmp(text, kernel.name, name) == 0 && text[name] == ':' && text[name + 1] == ' ')
    text += name + 2;
  if (strncmp(text, "expected an index in", 20) == 0)  // what a caller's data holds
    return error.set(ErrorKind::index, kernel.name, "%s", text);
  char arrays[1536] = "";
  size_t length = 0;
  for (int i = 0; i < n; ++i) {
    if (args[i].kind != Arg::array || !args[i].a) continue;
    const ShapeText shape(*args[i].a);
    const char* between = i ? ", " : " (arguments ";
    const size_t more = strlen(between) + strlen(row(args[i].a->dtype).name) + strlen(shape.text);
    if (length + more >= sizeof arrays) break;
    for (const char* part : {between, row(args[i].a->dtype).name, shape.text})
      length = static_cast<size_t>(stpcpy(arrays + length, part) - arrays);
  }
  auto says = [&](const char* start) { return strncmp(text, start, strlen(start)) == 0; };
  const ErrorKind kind = says("no kernel for this dtype") ? ErrorKind::no_kernel
                         : says("expected an index in [") || says("expected ids in [")
                             ? ErrorKind::index
                             : ErrorKind::argument;
  return error.set(kind, where, "%s%s%s", text, arrays, length ? ")" : "");
}

// Where the device has no such kernel, with the dtype of what is read.
__attribute__((cold)) bool refuse_absent(const Kernel& kernel, const Arg* args, int n,
                                         const char* where, Error& error) {
  const Array* x = nullptr;
  for (int i = n - 1; i >= 0; --i) {
    const bool takes = args[i].kind == Arg::array && (!x || (kernel.read >> i & 1));
    if (takes) x = static_cast<const Array*>(args[i].a);
  }
  return error.set(ErrorKind::no_kernel, where,
                   "expected a device with the kernel %s, got %s, which has none (for %s; move the "
                   "operands with .cpu())",
                   kernel.name, name_of(x->device()), row(x->dtype).name);
}

const Kernel& known(const char* name) {
  const Kernel* kernel = kernels().find(name);
  if (!kernel) __builtin_trap();  // every build has these
  return *kernel;
}

}  // namespace

// Refuses a write outside inference mode of what was made in it, save through `.data`, as in torch;
// lets the host copy what it needs of a storage that is about to change.
bool allow_write(const Array& x, const char* where, Error& error, bool replayed) {
  Storage* storage = x.storage();
  if (!storage->guards.load(std::memory_order_relaxed)) return true;
  if ((storage->guards & kInference) && !replayed && !in_inference() && !x.has_own_version())
    return error.set(ErrorKind::gradient, where,
                     "expected a tensor that may be changed outside inference_mode, got one made "
                     "in it (use .clone() first)");
  if (!(storage->guards & kWatched)) return true;
  storage->guards &= static_cast<uint8_t>(~kWatched);
  if (!host.before_write || host.before_write(storage)) return true;
  return error.set(ErrorKind::host, where, "the write was refused");
}

Array new_array(DType dtype, const int64_t* shape, int ndim, Device device, const char* where,
                Error& error) {
  Array out = Array::empty(dtype, shape, ndim, device);
  if (out.ok()) return out;
  const int64_t bytes = ndim < 0 || ndim > kMaxDims ? -1 : contiguous_bytes(dtype, shape, ndim);
  if (bytes >= 0) {
    error.set(ErrorKind::memory, where, "expected room for %lld bytes, got none",
              static_cast<long long>(bytes));
    return out;
  }
  char whole[64] = "";
  if (is_block(dtype))
    snprintf(whole, sizeof whole, ", the last axis a multiple of %d", block_of(dtype));
  error.set(ErrorKind::shape, where,
            "expected a shape of at most %d axes and fewer than 2**63 bytes%s, got %s of %s",
            kMaxDims, whole, ShapeText(shape, ndim).text, row(dtype).name);
  return out;
}

Array new_like(const Array& x, DType dtype, Device device, const char* where, Error& error) {
  Array out = new_array(dtype, x.shape, x.ndim, device, where, error);
  if (out.ok() && !is_block(dtype) && !is_block(x.dtype)) keep_strides(x, out);
  return out;
}

bool expect_values(const Array& x, const char* where, Error& error) {
  if (x.device().type == Device::cpu) return true;
  if (x.device().type != Device::meta)
    return error.set(ErrorKind::device, where,
                     "expected a tensor on cpu, got one on %s (copy it with .cpu() first)",
                     name_of(x.device()));
  return error.set(ErrorKind::device, where,
                   "expected a tensor with values, got one on meta (move its module with "
                   "to_empty(device='cpu') and fill it)");
}

bool refuse_mixed(const char* where, Device a, Device b, Error& error) {
  return error.set(ErrorKind::device, where,
                   "expected operands on one device, got %s and %s (move them with .to(device)%s)",
                   name_of(a), name_of(b),
                   a.type == Device::meta || b.type == Device::meta
                       ? "; what is on meta has no values: fill a module by loading weights or "
                         "load_state_dict(…, assign=True), or give it memory by to_empty()"
                       : "");
}

namespace {

// x, or a copy, as new_like lays it out: what moves to another device is its bytes.
Array dense(const Array& x, const char* where, Error& error) {
  Array like = new_like(x, x.dtype, {Device::meta}, where, error);
  if (!like.ok() || memcmp(like.strides, x.strides, sizeof(int64_t) * x.ndim) == 0)
    return like.ok() ? x : like;
  Array out = new_like(x, x.dtype, x.device(), where, error);
  return out.ok() && copy_into(out, x, where, error) ? out : Array();
}

}  // namespace

Array moved(const Array& x, Device device, const char* where, Error& error) {
  if (x.device() == device) return x;
  if (device.type == Device::meta) return new_like(x, x.dtype, device, where, error);
  // Bytes are copied here and now, by no call.
  if (recording() && !recording()->may_read(x, where, error)) return {};
  const Backend *from = backend_of(x.device()), *to = backend_of(device);
  if (!from && !expect_values(x, where, error)) return {};
  if (from && to) {
    const Array host = moved(x, {}, where, error);
    return host.ok() ? moved(host, device, where, error) : host;
  }
  Array source = dense(x, where, error);
  Array out = source.ok() ? new_like(source, x.dtype, device, where, error) : source;
  const size_t bytes = static_cast<size_t>(contiguous_bytes(x.dtype, x.shape, x.ndim));
  if (!out.ok() || bytes == 0) return out;
  source.sync();
  (to ? to->from_host : from->to_host)(out.data, source.data, bytes);
  filled_by_host(out);
  return out;
}

bool run(const Kernel& kernel, const Arg* args, int n, Error& error, const char* where) {
  if (!where) where = kernel.name;
  int64_t work = 0;
  const Array* first = nullptr;
  for (int i = 0; i < n; ++i) {
    if (args[i].kind != Arg::array) continue;
    const auto* array = static_cast<const Array*>(args[i].a);
    if (!first) first = array;
    if (!(array->device() == first->device()))
      return refuse_mixed(where, first->device(), array->device(), error);
  }
  const Kernel* found = &kernel;
  if (first && backend_of(first->device())) {
    found = kernels(first->device())->find(kernel.name);
    if (!found) return refuse_absent(kernel, args, n, where, error);
  }
  for (int i = 0; i < n; ++i) {
    if (args[i].kind != Arg::array) continue;
    auto* array = const_cast<Array*>(static_cast<const Array*>(args[i].a));
    if ((kernel.written >> i & 1) && !make_writable(*array, where, error)) return false;
    array->sync();
    const int64_t size = array->size();
    work = size > work ? size : work;
  }
  if (first && first->device().type == Device::meta)
    return !recording() || error.set(ErrorKind::device, where,
                                     "a plan computes values: it cannot be captured with tensors "
                                     "on meta, which have none");
  Capture* capture = recording();
  if (capture && !capture->before(*found, args, n, error)) return false;
  if (capture && capture->skips()) return true;
  const char* text = work >= kLongFrom && host.run_long ? host.run_long(*found, args, n, where)
                                                        : invoke(*found, args, n, where);
  if (text && capture) capture->undo();
  return text ? refuse(kernel, args, n, text, where, error) : true;
}

bool run_checked(const Kernel& kernel, const Arg* args, int n, Error& error, const char* where) {
  if (!where) where = kernel.name;
  if (const char* text = check_call(kernel, args, n))
    return refuse(kernel, args, n, text, where, error);
  return run(kernel, args, n, error, where);
}

// Quantisers read contiguous f32; the unpackers write contiguous floats of at most 32 bits. The
// rest goes by way of f32.
bool copy_into(Array& out, const Array& x, const char* where, Error& error) {
  static const Kernel &copy = known("copy"), *quantize = kernels().find("quantize"),
                      &dequantize = known("dequantize");
  const bool unpacks = is_block(x.dtype) && out.dtype != x.dtype,
             packs = is_block(out.dtype) && out.dtype != x.dtype && !unpacks;
  if (!(out.device() == x.device())) return refuse_mixed(where, out.device(), x.device(), error);
  Array source;
  if (packs && row(x.dtype).kind == 'c')
    return error.set(ErrorKind::no_kernel, where, "expected a real dtype to make %s of, got %s",
                     row(out.dtype).name, row(x.dtype).name);
  if (packs || unpacks) {
    source = packs ? cast(x, DType::f32, where, error) : x;
    if (source.ok()) source = contiguous(source, where, error);
    bool direct =
        packs || out.dtype == DType::f32 || out.dtype == DType::f16 || out.dtype == DType::bf16;
    if (source.ok() && (!direct || !out.contiguous())) {
      source = cast(source, packs ? out.dtype : DType::f32, where, error);
      return source.ok() && copy_into(out, source, where, error);
    }
    if (!source.ok()) return false;
  }
  Arg args[3] = {};  // the third: no importances
  args[0].kind = args[1].kind = Arg::array;
  args[0].a = &out;
  args[1].a = packs || unpacks ? &source : &x;
  if (packs && !quantize)
    return error.set(ErrorKind::no_kernel, where, "expected a build that quantises, got a runtime");
  if (const Watch* w = watching()) w->copies(where);
  return run(unpacks ? dequantize : packs ? *quantize : copy, args, packs ? 3 : 2, error);
}

Array cast(const Array& x, DType dtype, const char* where, Error& error) {
  if (x.dtype == dtype) return x;
  Array out = new_like(x, dtype, x.device(), where, error);
  return out.ok() && copy_into(out, x, where, error) ? out : Array();
}

Array contiguous_copy(const Array& x, const char* where, Error& error) {
  Array out = new_array(x.dtype, x.shape, x.ndim, x.device(), where, error);
  return out.ok() && copy_into(out, x, where, error) ? out : Array();
}

Array contiguous(const Array& x, const char* where, Error& error) {
  return x.contiguous() ? x : contiguous_copy(x, where, error);
}

bool broadcast_view(const View& x, const int64_t* shape, int ndim, const char* where, View& out,
                    Error& error) {
  bool fits = ndim >= x.ndim && ndim <= kMaxDims;
  for (int i = 1; fits && i <= ndim; ++i) {
    int64_t size = x.back(i);
    fits = size == shape[ndim - i] || size == 1;
  }
  if (!fits)
    return error.set(ErrorKind::shape, where, "expected a shape that broadcasts to %s, got %s",
                     ShapeText(shape, ndim).text, ShapeText(x).text);
  View seen = x;
  seen.ndim = static_cast<int8_t>(ndim);
  for (int i = 1; i <= ndim; ++i) {
    int64_t size = x.back(i);
    seen.shape[ndim - i] = shape[ndim - i];
    seen.strides[ndim - i] = size == shape[ndim - i] && i <= x.ndim ? x.back_stride(i) : 0;
  }
  out = seen;
  return true;
}

bool assign(Array& x, const Array& source, const char* where, Error& error) {
  View seen;
  if (!broadcast_view(source, x.shape, x.ndim, where, seen, error)) return false;
  Array from = moved(source, x.device(), where, error);
  if (!from.ok() || !broadcast_view(from, x.shape, x.ndim, where, seen, error)) return false;
  from = from.with(seen);
  if (from.storage() == x.storage()) from = contiguous_copy(from, where, error);
  return from.ok() && copy_into(x, from, where, error);
}

bool fill_new(Array& x, const Array& one, const char* where, Error& error) {
  if (is_block(x.dtype)) return zero_blocks(x, *one.ptr<float>(), where, error);
  const int64_t width = bytes_of(one.dtype), bytes = x.size() * width;
  // Few elements take less time than the call of a kernel.
  if (bytes <= 0 || bytes > 1024 || x.device().type != Device::cpu || one.dtype != x.dtype ||
      recording())
    return assign(x, one, where, error);
  memcpy(x.data, one.data, width);
  for (int64_t done = width; done < bytes; done *= 2)
    memcpy(x.data + done, x.data, done < bytes - done ? done : bytes - done);
  return true;
}

Array aligned(Array x, const char* where, Error& error) {
  const int off = misalignment(x);
  if (off == 0) return x;
  if (x.storage()->writable)
    error.set(ErrorKind::argument, where,
              "expected writable memory at a multiple of %d bytes, which %s needs, got an address "
              "%d beyond one: copy it first (tl.tensor does)",
              alignment_of(x.dtype), row(x.dtype).name, off);
  else
    error.set(ErrorKind::memory, where, "no memory");
  return {};
}

bool holds(DType dtype, int64_t value) {
  if (!is_integral(dtype) || dtype == DType::bool_) return true;
  int bits = 8 * bytes_of(dtype);
  if (bits == 64) return true;
  // A negative value of an unsigned dtype wraps where its absolute value fits, as in PyTorch.
  int64_t top = int64_t{1} << (row(dtype).kind == 'u' ? bits : bits - 1);
  return value < top && (row(dtype).kind == 'u' ? value > -top : value >= -top);
}

bool integer_of(const Number& number, DType dtype, bool strict, const char* where, int64_t& out,
                Error& error) {
  const double real = number.re;
  bool fits = true;
  if (number.kind != Number::real) {
    out = number.i;
    fits = !number.large || (dtype == DType::u64 && number.i != 0);
    if (fits && number.large) return true;
  } else if (dtype == DType::bool_) {
    out = real != 0;
    return true;
  } else if (dtype == DType::u64 && real >= 9223372036854775808.0 &&
             real < 18446744073709551616.0) {
    out = static_cast<int64_t>(static_cast<uint64_t>(real));
    return true;
  } else {
    fits = real >= -9223372036854775808.0 && real < 9223372036854775808.0;
    if (fits) out = static_cast<int64_t>(real);
  }
  if (fits && (!strict || holds(dtype, out))) return true;
  char text[40];
  if (number.kind == Number::real)
    snprintf(text, sizeof text, "%g", real);
  else
    snprintf(text, sizeof text, "%lld", static_cast<long long>(number.i));
  return error.set(ErrorKind::argument, where, "expected a number that %s can hold, got %s",
                   row(dtype).name, number.text ? number.text : text);
}

Array scalar(const Number& number, DType dtype, bool strict, const char* where, Error& error) {
  const bool complex = dtype == DType::complex64;
  if (!complex && number.kind == Number::complex) {
    error.set(ErrorKind::dtype, where, "expected a number, got complex");
    return {};
  }
  if (number.large && !is_integral(dtype) && __builtin_isinf(number.re)) {
    error.set(ErrorKind::argument, where,
              "expected a number that a float can hold, got a larger integer");
    return {};
  }
  const DType wide = complex || dtype == DType::f32 ? dtype
                     : is_float(dtype)              ? DType::f64
                                                    : DType::i64;
  int64_t whole = 0;
  if (wide == DType::i64 && !integer_of(number, dtype, strict, where, whole, error)) return {};
  Array out = new_array(wide, nullptr, 0, {}, where, error);
  if (!out.ok()) return out;
  filled_by_host(out);
  if (wide == DType::i64) {
    *out.ptr<int64_t>() = whole;
  } else if (wide == DType::f64) {
    *out.ptr<double>() = number.re;
  } else {
    out.ptr<float>()[0] = static_cast<float>(number.re);
    if (complex) out.ptr<float>()[1] = static_cast<float>(number.im);
  }
  if (dtype == DType::u64) out.dtype = dtype;  // the same 64 bits
  return cast(out, dtype, where, error);
}

}  // namespace tl
