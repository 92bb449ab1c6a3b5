// tallow._native.Texts: an array of strings of a file with an index, without a Python object each.
//
// A vocabulary has fifty thousand tokens and as many merges. As strings in dictionaries they cost a
// start 20 ms and 12 MB; a prompt asks for a few dozen of them.
#include <nanobind/stl/optional.h>

#include <bit>
#include <random>
#include <string_view>

#include "../core/hash.h"
#include "bind.h"

namespace tl::bind {

namespace {

// No file can be made whose texts share a place: where one goes depends on this number.
uint64_t seed() {
  static const uint64_t value = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  return value;
}

nb::object decoded(std::string_view text) {
  return nb::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

class Texts {
 public:
  // Copies the bytes, so that the file may be closed.
  Texts(nb::handle source, int64_t at, int64_t count) {
    const int64_t end = skip_strings(source, at, count);
    if (end < 0 || count < 0 || count >= int64_t{1} << 31)
      throw nb::value_error("Texts: expected strings inside the buffer");
    Py_buffer buffer;
    if (PyObject_GetBuffer(source.ptr(), &buffer, PyBUF_SIMPLE) != 0) throw nb::python_error();
    auto* bytes = static_cast<const char*>(buffer.buf);
    bytes_.assign(bytes + at, bytes + end);
    PyBuffer_Release(&buffer);
    index(static_cast<size_t>(count));
  }

  int64_t size() const { return static_cast<int64_t>(starts_.size()); }

  std::string_view text(size_t i) const {
    uint64_t length;
    memcpy(&length, bytes_.data() + starts_[i], 8);
    return {bytes_.data() + starts_[i] + 8, static_cast<size_t>(length)};
  }

  nb::object at(int64_t i) const {
    if (i < 0) i += size();
    if (i < 0 || i >= size()) throw nb::index_error("Texts: no text has this number");
    nb::object found = decoded(text(static_cast<size_t>(i)));
    if (!found) throw nb::python_error();
    return found;
  }

  // The first number of a text, if it is here.
  std::optional<int64_t> find(nb::str key) const {
    nb::object bytes = nb::steal(PyUnicode_AsEncodedString(key.ptr(), "utf-8", "surrogateescape"));
    if (!bytes) {  // a surrogate that stands for no byte is in no file
      PyErr_Clear();
      return std::nullopt;
    }
    const std::string_view wanted{PyBytes_AS_STRING(bytes.ptr()),
                                  static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
    const uint32_t number = places_[place(wanted)];
    return number ? std::optional<int64_t>(number - 1) : std::nullopt;
  }

  nb::object all() const {
    nb::object texts = nb::steal(PyTuple_New(size()));
    if (!texts) throw nb::python_error();
    for (size_t i = 0; i < starts_.size(); ++i) {
      nb::object one = decoded(text(i));
      if (!one) throw nb::python_error();
      PyTuple_SET_ITEM(texts.ptr(), static_cast<Py_ssize_t>(i), one.release().ptr());
    }
    return texts;
  }

 private:
  void index(size_t count) {
    starts_.resize(count);
    shift_ = 64 - std::bit_width(2 * count + 1);
    places_.resize(size_t{1} << (64 - shift_));
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
      // Once more, in the copy: another process may have written the file meanwhile.
      starts_[i] = at;
      if (bytes_.size() - at < 8 || text(i).size() > bytes_.size() - at - 8)
        throw nb::value_error("Texts: expected strings inside the buffer");
      const std::string_view one = text(i);
      at += 8 + one.size();
      uint32_t& number = places_[place(one)];
      if (!number) number = static_cast<uint32_t>(i + 1);  // one that stands twice means its first
    }
  }

  // Where a text is, or where it would go: at most half of the places are taken.
  size_t place(std::string_view wanted) const {
    size_t at = static_cast<size_t>(xxh64(wanted.data(), wanted.size(), seed()) >> shift_);
    while (places_[at] && text(places_[at] - 1) != wanted) at = (at + 1) & (places_.size() - 1);
    return at;
  }

  std::vector<char> bytes_;
  std::vector<size_t> starts_;
  std::vector<uint32_t> places_;  // the number of a text, and one
  int shift_ = 63;
};

}  // namespace

void bind_texts(nb::module_& m) {
  nb::class_<Texts>(m, "Texts")
      .def(nb::init<nb::handle, int64_t, int64_t>())
      .def("__len__", &Texts::size)
      .def("__getitem__", &Texts::at)
      .def("__iter__", [](const Texts& t) { return nb::iter(t.all()); })
      .def("find", &Texts::find)
      .def("all", &Texts::all);
}

}  // namespace tl::bind
