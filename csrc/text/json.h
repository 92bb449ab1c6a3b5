// JSON as a program's input: values by name, arrays of numbers, messages of a chat.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tl::text {

// A document, kept as a flat list of values in the order of the text.
class Json {
 public:
  enum class Kind : uint8_t { null, boolean, number, string, array, object };

  // nullptr, or what was expected; `at()` then says at which byte. Refuses what RFC 8259 does not
  // allow, and more than 64 levels. Of equal names the last one counts, as in Python's json.
  const char* parse(std::string_view text);
  size_t at() const { return at_; }

  // A place among the values; 0 is the whole document.
  using Value = uint32_t;
  static constexpr Value kMissing = 0xFFFFFFFF;

  // What a value is not, it is as nothing: a missing one is null, a number has no items, a list is
  // 0.
  Kind kind(Value value) const { return value < nodes_.size() ? nodes_[value].kind : Kind::null; }
  double number(Value value) const {
    return kind(value) == Kind::number ? nodes_[value].number : 0;
  }
  // Whether a number is an integer below 2^53, so that `number` is exact.
  bool whole(Value value) const;
  bool boolean(Value value) const {
    return kind(value) == Kind::boolean && nodes_[value].number != 0;
  }
  std::string_view string(Value value) const {
    if (kind(value) != Kind::string) return {};
    return std::string_view(texts_).substr(nodes_[value].begin, nodes_[value].size);
  }
  // The number of items of an array, of names of an object.
  uint32_t size(Value value) const { return holds(value) ? nodes_[value].size : 0; }

  // The items of an array: `for (v = first(a); v != last(a); v = next(v))`. Those of an object are
  // names and values in turn.
  Value first(Value value) const { return value + 1; }
  Value last(Value value) const { return holds(value) ? nodes_[value].begin : value + 1; }
  Value next(Value value) const { return last(value); }

  // The value of a name in an object; kMissing where there is none, or no object.
  Value find(Value object, std::string_view name) const;

  // Numbers of nested arrays in row-major order and their shape; a single number has none. Gives
  // nullptr, or what is wrong: rows of different lengths, or values that are no numbers.
  const char* numbers(Value value, std::vector<int64_t>& shape, std::vector<double>& found) const;

 private:
  struct Node {
    Kind kind;
    uint32_t size;
    uint32_t begin;  // of a string where it begins in `texts_`; of a container what follows it
    double number;
  };

  bool holds(Value value) const { return kind(value) >= Kind::array; }
  const char* value(int depth);
  const char* container(int depth, bool object);
  const char* string_value();
  const char* escape();
  const char* number_value();
  const char* add_number(std::string& digits, int64_t exponent);
  const char* word(std::string_view text, Kind kind, double number);
  bool hex(uint32_t& code);
  void skip_space();
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c);

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Node> nodes_;
  std::string texts_;
};

}  // namespace tl::text
