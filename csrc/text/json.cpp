// Reads JSON by recursive descent with a bounded depth. Source: RFC 8259.
#include "json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "utf8.h"

namespace tl::text {
namespace {

constexpr int kDepth = 64;
constexpr size_t kDigits = 800;  // more cannot change the nearest double by more than half a unit

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

const char* Json::parse(std::string_view text) {
  nodes_.clear(), texts_.clear();
  text_ = text, at_ = 0;
  if (text.size() >= 1u << 31) return "expected JSON of less than 2^31 bytes";
  if (text.starts_with("\xEF\xBB\xBF")) at_ = 3;
  if (const char* error = value(0)) return error;
  skip_space();
  return at_ == text.size() ? nullptr : "expected the end of the JSON";
}

void Json::skip_space() {
  while (at_ < text_.size() &&
         std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos)
    ++at_;
}

bool Json::take(char c) {
  if (at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

const char* Json::value(int depth) {
  if (depth > kDepth) return "expected at most 64 levels";
  skip_space();
  switch (peek()) {
    case '{':
      return container(depth, true);
    case '[':
      return container(depth, false);
    case '"':
      return string_value();
    case 't':
      return word("true", Kind::boolean, 1);
    case 'f':
      return word("false", Kind::boolean, 0);
    case 'n':
      return word("null", Kind::null, 0);
    default:
      return number_value();
  }
}

const char* Json::word(std::string_view text, Kind kind, double number) {
  if (!text_.substr(at_).starts_with(text)) return "expected a JSON value";
  at_ += text.size();
  nodes_.push_back({kind, 0, 0, number});
  return nullptr;
}

const char* Json::container(int depth, bool object) {
  const char close = object ? '}' : ']';
  const size_t self = nodes_.size();
  nodes_.push_back({object ? Kind::object : Kind::array, 0, 0, 0});
  ++at_;
  skip_space();
  bool more = !take(close);
  while (more) {
    if (object) {
      skip_space();
      if (peek() != '"') return "expected a name in quotes";
      if (const char* error = string_value()) return error;
      skip_space();
      if (!take(':')) return "expected a colon behind a name";
    }
    if (const char* error = value(depth + 1)) return error;
    ++nodes_[self].size;
    skip_space();
    more = take(',');
    if (!more && !take(close)) return "expected a comma or the end of the list";
  }
  nodes_[self].begin = uint32_t(nodes_.size());
  return nullptr;
}

bool Json::hex(uint32_t& code) {
  if (at_ + 4 > text_.size()) return false;
  code = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = text_[at_ + i], lower = c | 0x20;
    if (!is_digit(c) && !(lower >= 'a' && lower <= 'f')) return false;
    code = code << 4 | uint32_t(is_digit(c) ? c - '0' : lower - 'a' + 10);
  }
  at_ += 4;
  return true;
}

const char* Json::escape() {
  static constexpr std::string_view kNames = "\"\\/bfnrt", kChars = "\"\\/\b\f\n\r\t";
  const char name = peek();
  if (const size_t found = kNames.find(name); name && found != std::string_view::npos) {
    texts_ += kChars[found];
    ++at_;
    return nullptr;
  }
  uint32_t code, low;
  if (!take('u') || !hex(code)) return "expected an escape of JSON";
  const size_t behind = at_;
  if (code >> 10 == 0x36) {  // the first half of a pair
    if (take('\\') && take('u') && hex(low) && low >> 10 == 0x37)
      code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
    else
      at_ = behind;
  }
  append_char(texts_, code >> 11 == 0x1B ? 0xFFFD : code);
  return nullptr;
}

const char* Json::string_value() {
  const size_t begin = texts_.size();
  ++at_;
  for (size_t from = at_;; from = at_) {
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
           uint8_t(text_[at_]) >= 32)
      ++at_;
    append_valid(texts_, text_.substr(from, at_ - from), true);
    if (take('"')) break;
    if (!take('\\')) return "expected the end of a string, and no control characters in it";
    if (const char* error = escape()) return error;
  }
  nodes_.push_back({Kind::string, uint32_t(texts_.size() - begin), uint32_t(begin), 0});
  return nullptr;
}

// The nearest double of `digits` × 10^exponent. Without a point, `strtod` of any locale reads them.
const char* Json::add_number(std::string& digits, int64_t exponent) {
  digits += exponent < 0 ? "e-" : "e";
  uint64_t left = uint64_t(exponent < 0 ? -exponent : exponent);
  char reversed[24];
  int places = 0;
  do reversed[places++] = char('0' + left % 10);
  while (left /= 10);
  while (places) digits += reversed[--places];
  const double number = strtod(digits.c_str(), nullptr);
  if (!std::isfinite(number)) return "expected a number that a double holds";
  nodes_.push_back({Kind::number, 0, 0, number});
  return nullptr;
}

const char* Json::number_value() {
  std::string digits(take('-') ? "-0" : "0");
  int64_t exponent = 0;
  size_t count = 0;  // of digits from the first that is not 0 on
  const auto run = [&](bool fraction) {
    const size_t from = at_;
    for (; is_digit(peek()); ++at_) {
      const bool kept = (count || peek() != '0') && count < kDigits;
      if (kept) digits += peek();
      count += kept;
      exponent += (count == kDigits && !kept) - fraction;
    }
    return at_ - from;
  };
  const bool zero = peek() == '0';
  const size_t whole = run(false);
  if (!whole || (zero && whole > 1)) return "expected a JSON value";
  if (take('.') && !run(true)) return "expected digits behind the point of a number";
  if (take('e') || take('E')) {
    const bool negative = take('-');
    if (!negative) take('+');
    int64_t power = 0;
    const size_t from = at_;
    for (; is_digit(peek()); ++at_) power = std::min<int64_t>(power * 10 + (peek() - '0'), 1 << 30);
    if (at_ == from) return "expected digits in the exponent of a number";
    exponent += negative ? -power : power;
  }
  return add_number(digits, exponent);
}

bool Json::whole(Value value) const {
  const double found = number(value);
  return kind(value) == Kind::number && std::abs(found) < 0x1p53 && std::floor(found) == found;
}

Json::Value Json::find(Value object, std::string_view name) const {
  Value found = kMissing;
  if (kind(object) != Kind::object) return found;
  for (Value at = first(object); at != last(object); at = next(at + 1))
    if (string(at) == name) found = at + 1;
  return found;
}

const char* Json::numbers(Value value, std::vector<int64_t>& shape,
                          std::vector<double>& found) const {
  shape.clear(), found.clear();
  for (Value at = value; kind(at) == Kind::array; ++at) {
    shape.push_back(size(at));
    if (!size(at)) break;
  }
  const Value end = next(value);
  std::vector<Value> ends;  // of the arrays that are open
  for (Value at = value; at != end; ++at) {
    while (!ends.empty() && ends.back() == at) ends.pop_back();
    const size_t depth = ends.size();
    if (kind(at) == Kind::array) {
      if (depth >= shape.size() || int64_t(size(at)) != shape[depth])
        return "expected rows of one length";
      ends.push_back(last(at));
    } else if (kind(at) != Kind::number) {
      return "expected numbers";
    } else if (depth != shape.size()) {
      return "expected rows of one length";
    } else {
      found.push_back(number(at));
    }
  }
  return nullptr;
}

}  // namespace tl::text
