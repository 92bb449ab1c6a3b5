#include "arrays.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../core/call.h"
#include "../text/json.h"

namespace tl::cli {
namespace {

bool refuse(Error& error, const std::string& path, const char* wanted, const char* got) {
  return error.set(ErrorKind::argument, path.c_str(), "expected %s, got %s", wanted, got);
}

bool ends_with(const std::string& text, const char* end) {
  const size_t n = strlen(end);
  return text.size() >= n && text.compare(text.size() - n, n, end) == 0;
}

struct NpyType {
  DType dtype;
  const char* code;
};
constexpr NpyType kNpyTypes[] = {{DType::bool_, "|b1"},    {DType::u8, "|u1"},  {DType::i8, "|i1"},
                                 {DType::i16, "<i2"},      {DType::u16, "<u2"}, {DType::i32, "<i4"},
                                 {DType::u32, "<u4"},      {DType::i64, "<i8"}, {DType::u64, "<u8"},
                                 {DType::f16, "<f2"},      {DType::f32, "<f4"}, {DType::f64, "<f8"},
                                 {DType::complex64, "<c8"}};

// What stands after `'key':` in the header of an .npy file, from its first character on.
const char* after_key(const std::string& header, const char* key) {
  const size_t at = header.find(key);
  if (at == std::string::npos) return nullptr;
  const char* found = header.c_str() + at + strlen(key);
  while (*found == ' ' || *found == ':') ++found;
  return found;
}

bool npy_shape(const char* at, int64_t* shape, int& ndim) {
  if (!at || *at++ != '(') return false;
  for (ndim = 0;;) {
    while (*at == ' ' || *at == ',') ++at;
    if (*at == ')') return true;
    char* end;
    errno = 0;
    const int64_t size = strtoll(at, &end, 10);
    if (end == at || errno || size < 0 || ndim == kMaxDims) return false;
    shape[ndim++] = size;
    at = end;
  }
}

// numpy.lib.format, versions 1 to 3, in C order.
Array read_npy(const std::string& path, const std::string& content, Error& error) {
  const auto bad = [&](const char* wanted) {
    refuse(error, path, wanted, "other bytes");
    return Array();
  };
  if (content.size() < 12 || content.compare(0, 6, "\x93NUMPY") != 0) return bad("an .npy file");
  const bool wide = content[6] >= 2;
  uint32_t length = 0;
  memcpy(&length, content.data() + 8, wide ? 4 : 2);
  const size_t begin = wide ? 12 : 10;
  if (length > content.size() - begin) return bad("a whole header");
  const std::string header = content.substr(begin, length);
  const char* descr = after_key(header, "'descr'");
  const char* order = after_key(header, "'fortran_order'");
  int64_t shape[kMaxDims];
  int ndim;
  if (!descr || !order || !npy_shape(after_key(header, "'shape'"), shape, ndim))
    return bad("a header of descr, fortran_order and shape");
  if (strncmp(order, "False", 5) != 0) return bad("elements in C order");
  for (const NpyType& type : kNpyTypes) {
    if (strncmp(descr + 1, type.code, 3) != 0) continue;
    Array made = new_array(type.dtype, shape, ndim, {}, path.c_str(), error);
    if (!made.ok()) return made;
    const int64_t bytes = contiguous_bytes(type.dtype, shape, ndim);
    if (static_cast<size_t>(bytes) != content.size() - begin - length)
      return bad("as many elements as its shape says");
    memcpy(made.data, content.data() + begin + length, static_cast<size_t>(bytes));
    return made;
  }
  return bad("a dtype of plain little-endian numbers");
}

Array read_json(const std::string& path, const std::string& content, DType dtype, Error& error) {
  text::Json json;
  std::vector<int64_t> shape;
  std::vector<double> numbers;
  const char* wrong = json.parse(content);
  if (!wrong) wrong = json.numbers(0, shape, numbers);
  if (!wrong && shape.size() > kMaxDims) wrong = "at most 12 levels";
  if (wrong) {
    refuse(error, path, "nested lists of numbers", wrong);
    return {};
  }
  Array wide =
      new_array(DType::f64, shape.data(), static_cast<int>(shape.size()), {}, path.c_str(), error);
  if (!wide.ok()) return wide;
  memcpy(wide.data, numbers.data(), numbers.size() * sizeof(double));
  return cast(wide, dtype, path.c_str(), error);
}

void append_number(const Array& array, int64_t at, std::string& text) {
  char digits[40];
  if (is_integral(array.dtype) || array.dtype == DType::bool_) {
    snprintf(digits, sizeof digits, "%lld", static_cast<long long>(array.ptr<int64_t>()[at]));
  } else {
    const double value = array.ptr<double>()[at];
    // As many digits as it takes, at most 9: results are f32 or less.
    for (int precision = 6; precision <= 9; ++precision) {
      snprintf(digits, sizeof digits, "%.*g", precision, value);
      if (static_cast<float>(strtod(digits, nullptr)) == static_cast<float>(value)) break;
    }
    if (!std::isfinite(value))
      strcpy(digits, value > 0 ? "Infinity" : value < 0 ? "-Infinity" : "NaN");
  }
  text += digits;
}

void append_axis(const Array& array, int axis, int64_t& at, std::string& text) {
  if (axis == array.ndim) return append_number(array, at++, text);
  text += '[';
  for (int64_t i = 0; i < array.shape[axis]; ++i) {
    if (i) text += ", ";
    append_axis(array, axis + 1, at, text);
  }
  text += ']';
}

bool write_all(int file, const char* data, size_t bytes) {
  while (bytes) {
    const ssize_t done = write(file, data, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    data += done;
    bytes -= static_cast<size_t>(done);
  }
  return true;
}

std::string npy_header(const Array& array, const char* code) {
  std::string shape = "(";
  for (int i = 0; i < array.ndim; ++i)
    shape += std::to_string(array.shape[i]) + (array.ndim == 1 || i + 1 < array.ndim ? "," : "");
  std::string header =
      std::string("{'descr': '") + code + "', 'fortran_order': False, 'shape': " + shape + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string all = std::string("\x93NUMPY\x01", 7) + '\0';
  const auto length = static_cast<uint16_t>(header.size());
  all.append(reinterpret_cast<const char*>(&length), 2);
  return all + header;
}

}  // namespace

bool read_stream(int file, size_t limit, std::string& content, Error& error) {
  char block[65536];
  for (;;) {
    const ssize_t got = read(file, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refuse(error, "input", "what can be read", strerror(errno));
    if (got == 0) return true;
    content.append(block, static_cast<size_t>(got));
    if (content.size() > limit) return refuse(error, "input", "less", "too much");
  }
}

bool read_file(const char* path, size_t limit, std::string& content, Error& error) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return refuse(error, path, "a file that can be read", strerror(errno));
  const bool good = read_stream(file, limit, content, error);
  close(file);
  return good;
}

Array read_input(const std::string& path, const View& like, bool shaped, Error& error) {
  std::string content;
  if (!read_file(path.c_str(), size_t{1} << 32, content, error)) return {};
  if (ends_with(path, ".npy")) {
    const Array found = read_npy(path, content, error);
    return found.ok() ? cast(found, like.dtype, path.c_str(), error) : found;
  }
  if (ends_with(path, ".json")) return read_json(path, content, like.dtype, error);
  if (!shaped) {
    refuse(error, path, "sizes of raw elements by --size", "none");
    return {};
  }
  Array made = new_array(like.dtype, like.shape, like.ndim, {}, path.c_str(), error);
  if (!made.ok()) return made;
  const auto bytes = static_cast<size_t>(contiguous_bytes(like.dtype, like.shape, like.ndim));
  if (bytes != content.size()) {
    error.set(ErrorKind::argument, path.c_str(), "expected %zu bytes of %s%s, got %zu", bytes,
              row(like.dtype).name, ShapeText(like).text, content.size());
    return {};
  }
  memcpy(made.data, content.data(), bytes);
  return made;
}

bool write_output(const std::string& path, const Array& array, Error& error) {
  const Array whole = contiguous(array, path.c_str(), error);
  if (!whole.ok()) return false;
  std::string head;
  if (ends_with(path, ".npy")) {
    for (const NpyType& type : kNpyTypes)
      if (type.dtype == whole.dtype) head = npy_header(whole, type.code);
    if (head.empty()) return refuse(error, path, "a dtype that .npy has", row(whole.dtype).name);
  }
  const std::string beside = path + ".part";
  const int file = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return refuse(error, beside, "a file that can be written", strerror(errno));
  const auto bytes = static_cast<size_t>(contiguous_bytes(whole.dtype, whole.shape, whole.ndim));
  bool good = write_all(file, head.data(), head.size()) &&
              write_all(file, reinterpret_cast<const char*>(whole.data), bytes);
  good = close(file) == 0 && good;
  good = good && rename(beside.c_str(), path.c_str()) == 0;
  if (good) return true;
  const int reason = errno;
  unlink(beside.c_str());
  return refuse(error, path, "room to write it", strerror(reason));
}

void append_json(const Array& array, std::string& text) {
  Error error;
  const bool whole = is_integral(array.dtype) || array.dtype == DType::bool_;
  const Array wide =
      contiguous(cast(array, whole ? DType::i64 : DType::f64, "output", error), "output", error);
  int64_t at = 0;
  if (wide.ok())
    append_axis(wide, 0, at, text);
  else
    text += "null";
}

void append_json_text(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    char escaped[8];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 32) {
      snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace tl::cli
