// Walks over bytes of files that would take Python a microsecond an item.
#include "bind.h"

namespace tl::bind {

// Each string is a little-endian u64 length and that many bytes.
int64_t skip_strings(nb::handle source, int64_t at, int64_t count) {
  Py_buffer buffer;
  if (PyObject_GetBuffer(source.ptr(), &buffer, PyBUF_SIMPLE) != 0) throw nb::python_error();
  auto* bytes = static_cast<const std::byte*>(buffer.buf);
  bool inside = at >= 0 && at <= buffer.len;
  for (int64_t i = 0; inside && i < count; ++i) {
    uint64_t length;
    inside = buffer.len - at >= 8;
    if (!inside) break;
    memcpy(&length, bytes + at, 8);
    at += 8;
    inside = length <= static_cast<uint64_t>(buffer.len - at);
    if (inside) at += static_cast<int64_t>(length);
  }
  PyBuffer_Release(&buffer);
  return inside ? at : -1;
}

namespace {

// The same strings as a tuple, None when they do not all lie inside; bytes that are not UTF-8
// become surrogates. A vocabulary has a hundred thousand: a call of Python for each takes 25 ms.
nb::object read_strings(nb::handle source, int64_t at, int64_t count) {
  const int64_t end = skip_strings(source, at, count);
  if (end < 0 || count < 0) return nb::none();
  Py_buffer buffer;
  if (PyObject_GetBuffer(source.ptr(), &buffer, PyBUF_SIMPLE) != 0) throw nb::python_error();
  auto* bytes = static_cast<const char*>(buffer.buf);
  nb::object texts = nb::steal(PyTuple_New(count));
  for (int64_t i = 0; texts && i < count; ++i) {
    uint64_t length;
    memcpy(&length, bytes + at, 8);
    at += 8;
    PyObject* text =
        PyUnicode_DecodeUTF8(bytes + at, static_cast<Py_ssize_t>(length), "surrogateescape");
    if (!text)
      texts.reset();
    else
      PyTuple_SET_ITEM(texts.ptr(), i, text);
    at += static_cast<int64_t>(length);
  }
  PyBuffer_Release(&buffer);
  if (!texts) throw nb::python_error();
  return texts;
}

}  // namespace

void bind_scan(nb::module_& m) {
  m.def("skip_strings", &skip_strings);
  m.def("read_strings", &read_strings);
}

}  // namespace tl::bind
