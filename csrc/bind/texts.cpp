// tallow._native.Texts: an array of strings of a file with an index, without a Python object each.
//
// A vocabulary has fifty thousand tokens and as many merges. As strings in dictionaries they cost a
// start 20 ms and 12 MB; a prompt asks for a few dozen of them.
#include <nanobind/stl/optional.h>
#include <pthread.h>
#include <unistd.h>

#include <bit>
#include <memory>
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

// Texts by number, and numbers by text.
struct Index {
  std::vector<char> bytes;  // copied, so that the file may be closed
  std::vector<size_t> starts;
  std::vector<uint32_t> places;  // the number of a text, and one
  int shift = 63;

  std::string_view text(size_t i) const {
    uint64_t length;
    memcpy(&length, bytes.data() + starts[i], 8);
    return {bytes.data() + starts[i] + 8, static_cast<size_t>(length)};
  }

  // Where a text is, or where it would go: at most half of the places are taken.
  size_t place(std::string_view wanted) const {
    size_t at = static_cast<size_t>(xxh64(wanted.data(), wanted.size(), seed()) >> shift);
    while (places[at] && text(places[at] - 1) != wanted) at = (at + 1) & (places.size() - 1);
    return at;
  }

  // False when the bytes are not so many texts.
  bool fill(const char* begin, const char* end, size_t count) {
    bytes.assign(begin, end);
    starts.resize(count);
    shift = 64 - std::bit_width(2 * count + 1);
    places.resize(size_t{1} << (64 - shift));
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
      // Once more, in the copy: another process may have written the file meanwhile.
      starts[i] = at;
      if (bytes.size() - at < 8 || text(i).size() > bytes.size() - at - 8) return false;
      const std::string_view one = text(i);
      at += 8 + one.size();
      uint32_t& number = places[place(one)];
      if (!number) number = static_cast<uint32_t>(i + 1);  // one that stands twice means its first
    }
    return true;
  }
};

// The index is made by a thread of its own, while Python goes on; who asks for a text waits for it.
class Texts {
 public:
  Texts(nb::handle source, int64_t at, int64_t count) {
    const int64_t end = skip_strings(source, at, count);
    if (end < 0 || count < 0 || count >= int64_t{1} << 31)
      throw nb::value_error("Texts: expected strings inside the buffer");
    if (PyObject_GetBuffer(source.ptr(), &buffer_, PyBUF_SIMPLE) != 0) throw nb::python_error();
    count_ = static_cast<size_t>(count);
    begin_ = static_cast<const char*>(buffer_.buf) + at;
    end_ = static_cast<const char*>(buffer_.buf) + end;
    index_ = std::make_unique<Index>();
    process_ = getpid();
    seed();  // a fork must not find it half made
    if (pthread_create(&thread_, nullptr, &Texts::work, this) == 0)
      working_ = true;
    else
      good_ = index_->fill(begin_, end_, count_);
  }
  Texts(const Texts&) = delete;

  ~Texts() { settle(false); }

  int64_t size() const { return static_cast<int64_t>(count_); }

  nb::object at(int64_t i) {
    if (i < 0) i += size();
    if (i < 0 || i >= size()) throw nb::index_error("Texts: no text has this number");
    nb::object found = decoded(index().text(static_cast<size_t>(i)));
    if (!found) throw nb::python_error();
    return found;
  }

  // The first number of a text, if it is here.
  std::optional<int64_t> find(nb::str key) {
    nb::object bytes = nb::steal(PyUnicode_AsEncodedString(key.ptr(), "utf-8", "surrogateescape"));
    if (!bytes) {  // a surrogate that stands for no byte is in no file
      PyErr_Clear();
      return std::nullopt;
    }
    const std::string_view wanted{PyBytes_AS_STRING(bytes.ptr()),
                                  static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
    const Index& all = index();
    const uint32_t number = all.places[all.place(wanted)];
    return number ? std::optional<int64_t>(number - 1) : std::nullopt;
  }

  nb::object all() {
    const Index& each = index();
    nb::object texts = nb::steal(PyTuple_New(size()));
    if (!texts) throw nb::python_error();
    for (size_t i = 0; i < count_; ++i) {
      nb::object one = decoded(each.text(i));
      if (!one) throw nb::python_error();
      PyTuple_SET_ITEM(texts.ptr(), static_cast<Py_ssize_t>(i), one.release().ptr());
    }
    return texts;
  }

 private:
  static void* work(void* self) {
    auto* texts = static_cast<Texts*>(self);
    try {
      texts->good_ = texts->index_->fill(texts->begin_, texts->end_, texts->count_);
      return texts;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }

  // Waits for the thread and lets go of the buffer. The thread needs no interpreter, so that
  // waiting with it locked is no deadlock; nobody else can come in between.
  void settle(bool again) {
    if (working_) {
      working_ = false;
      void* done = nullptr;
      if (process_ == getpid())
        pthread_join(thread_, &done);
      else  // a fork has no such thread: what it left half done is left alone
        (void)index_.release();
      if (!done && again) {
        index_ = std::make_unique<Index>();
        good_ = index_->fill(begin_, end_, count_);
      }
    }
    if (buffer_.obj) PyBuffer_Release(&buffer_);
  }

  const Index& index() {
    if (working_ || buffer_.obj) settle(true);
    if (!good_) throw nb::value_error("Texts: expected strings inside the buffer");
    return *index_;
  }

  Py_buffer buffer_{};
  const char *begin_ = nullptr, *end_ = nullptr;
  size_t count_ = 0;
  std::unique_ptr<Index> index_;
  pthread_t thread_{};
  pid_t process_ = 0;
  bool working_ = false, good_ = false;
};

}  // namespace

void bind_texts(nb::module_& m) {
  nb::class_<Texts>(m, "Texts")
      .def(nb::init<nb::handle, int64_t, int64_t>())
      .def("__len__", &Texts::size)
      .def("__getitem__", &Texts::at)
      .def("__iter__", [](Texts& t) { return nb::iter(t.all()); })
      .def("find", &Texts::find)
      .def("all", &Texts::all);
}

}  // namespace tl::bind
