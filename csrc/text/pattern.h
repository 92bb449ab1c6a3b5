// Patterns that cut text, as small programs: what regular expressions of tokenizers are made of.
//
// One instruction is an operation and its operands, all u32. Addresses count words of the section.
// Matching is leftmost, and of alternatives the first that leads to a match, as in Python's `re`.
#pragma once
#include "tables.h"

namespace tl::text {

enum class Op : uint32_t {
  match,   //                   the end of a pattern or of what a `look` asks for
  one,     // class             one character of a class
  run,     // class least most  as many as there are, fewer when the rest asks for it
  split,   // first second      go on at the first; where that fails, at the second
  jump,    // where
  look,    // negated where     what follows here, up to its `match`, (not) ahead; go on at `where`
  behind,  // negated class     (not) a character of the class before this place
  end,     //                   the end of the text, or before its last line's end
  stop,    //                   the end of the text alone
  count,
};

// A pattern's matcher, with the memory it needs and a limit on the steps that it takes.
class Matcher {
 public:
  explicit Matcher(const Tables& tables)
      : tables_(tables), code_(tables.numbers(Section::programs)) {}

  // The next match at or after `at` of `text`, which must be valid UTF-8; false if there is none.
  // `not_empty`: at the place `at` itself an empty match does not count.
  bool find(uint32_t program, std::string_view text, size_t at, bool not_empty, size_t& from,
            size_t& to);

  // What all work on a text of so many bytes may take: steps of matching, bytes that are written.
  // When it is used up nothing matches any more, and what was made is of no use.
  void allow(size_t bytes) { steps_ = (1u << 20) + 512 * uint64_t(bytes); }
  bool exhausted() const { return !steps_; }
  bool spend(uint64_t steps) {
    steps_ -= steps_ < steps ? steps_ : steps;
    return steps_;
  }

 private:
  struct Frame {
    uint32_t next;
    size_t at, least;  // with `least` below `at`, the place may go back as far as that
  };
  bool match(uint32_t pc, std::string_view text, size_t at, size_t refused, int depth, size_t& to);
  bool step(uint32_t& pc, std::string_view text, size_t& at, int depth);
  bool run(uint32_t pc, std::string_view text, size_t& at);
  void push(uint32_t next, size_t at, size_t least, std::string_view text);

  const Tables& tables_;
  Numbers code_;
  std::vector<Frame> stack_;
  uint64_t steps_ = 0;
};

// nullptr, or what is wrong with the programs of `tables`. `begins` says of each word whether an
// instruction begins there, so that a program may.
const char* check_programs(const Tables& tables, std::vector<bool>& begins);

}  // namespace tl::text
