// Matches patterns by backtracking, on a stack of its own: a long text takes no depth of calls.
#include "pattern.h"

#include "utf8.h"

namespace tl::text {
namespace {

constexpr uint32_t kWidth[] = {1, 2, 4, 3, 2, 3, 3, 1, 1};  // words of each operation
static_assert(sizeof kWidth / sizeof *kWidth == size_t(Op::count));
constexpr int kMostLooks = 8;  // one within the other

}  // namespace

const char* check_programs(const Tables& tables, std::vector<bool>& begins) {
  const Numbers code = tables.numbers(Section::programs);
  begins.assign(code.size(), false);
  for (size_t at = 0; at < code.size();) {
    if (code[at] >= uint32_t(Op::count) || at + kWidth[code[at]] > code.size())
      return "tokenizer tables: expected known operations in patterns";
    begins[at] = true;
    at += kWidth[code[at]];
  }
  const auto target = [&](uint32_t at) { return at < code.size() && begins[at]; };
  for (size_t at = 0; at < code.size(); at += kWidth[code[at]]) {
    const Op op = Op(code[at]);
    bool good = true;
    if (op == Op::one || op == Op::run) good = code[at + 1] < tables.classes();
    if (op == Op::behind) good = code[at + 2] < tables.classes();
    if (op == Op::split) good = target(code[at + 1]) && target(code[at + 2]);
    if (op == Op::jump) good = target(code[at + 1]);
    if (op == Op::look) good = target(code[at + 2]);
    if (op != Op::match && op != Op::jump && op != Op::split) good &= target(at + kWidth[code[at]]);
    if (!good) return "tokenizer tables: expected patterns that stay within their program";
  }
  return nullptr;
}

// A pattern of a tokenizer leaves a few places a character to come back to; one that leaves more is
// damaged.
void Matcher::push(uint32_t next, size_t at, size_t least, std::string_view text) {
  if (stack_.size() > 8 * text.size() + 1024)
    steps_ = 0;
  else
    stack_.push_back({next, at, least});
}

bool Matcher::run(uint32_t pc, std::string_view text, size_t& at) {
  const uint32_t which = code_[pc + 1], least = code_[pc + 2], most = code_[pc + 3];
  size_t place = at, back = at;
  uint32_t count = 0;
  while (count < most) {
    const Char next = char_at(text, place);
    if (!next.size || !tables_.in_class(which, next.code)) break;
    place += next.size;
    if (++count == least) back = place;
  }
  if (count < least || !spend(count + 1)) return false;
  if (back < place) push(pc + kWidth[uint32_t(Op::run)], place, back, text);
  at = place;
  return true;
}

// Whether the instruction at `pc` succeeds at `at`; both are moved on.
bool Matcher::step(uint32_t& pc, std::string_view text, size_t& at, int depth) {
  const Op op = Op(code_[pc]);
  const uint32_t next = pc + kWidth[uint32_t(op)];
  bool good = true;
  switch (op) {
    case Op::one: {
      const Char found = char_at(text, at);
      good = found.size && tables_.in_class(code_[pc + 1], found.code);
      at += found.size;
      break;
    }
    case Op::run:
      good = run(pc, text, at);
      break;
    case Op::split:
      push(code_[pc + 2], at, at, text);
      pc = code_[pc + 1];
      return true;
    case Op::jump:
      pc = code_[pc + 1];
      return true;
    case Op::look: {
      size_t to;
      good = match(next, text, at, size_t(-1), depth + 1, to) != bool(code_[pc + 1]);
      pc = code_[pc + 2];
      return good;
    }
    case Op::behind:
      good = at && tables_.in_class(code_[pc + 2], char_at(text, char_before(text, at)).code);
      good = good != bool(code_[pc + 1]);
      break;
    case Op::end:
      good = at == text.size() || (at + 1 == text.size() && text[at] == '\n');
      break;
    case Op::stop:
      good = at == text.size();
      break;
    default:
      good = false;
  }
  pc = next;
  return good;
}

bool Matcher::match(uint32_t pc, std::string_view text, size_t at, size_t refused, int depth,
                    size_t& to) {
  const size_t base = stack_.size();
  bool found = false;
  while (depth <= kMostLooks && spend(1)) {
    if (Op(code_[pc]) == Op::match && at != refused) {
      to = at;
      found = true;
      break;
    }
    if (Op(code_[pc]) != Op::match && step(pc, text, at, depth)) continue;
    if (stack_.size() == base) break;
    Frame& top = stack_.back();
    pc = top.next;
    if (top.at > top.least) {
      at = top.at = char_before(text, top.at);
      if (top.at <= top.least) stack_.pop_back();
    } else {
      at = top.at;
      stack_.pop_back();
    }
  }
  stack_.resize(base);
  return found;
}

bool Matcher::find(uint32_t program, std::string_view text, size_t at, bool not_empty, size_t& from,
                   size_t& to) {
  const Op op = Op(code_[program]);
  const bool begins = op == Op::one || (op == Op::run && code_[program + 2]);
  const uint32_t first = begins ? code_[program + 1] : kNone;
  for (size_t place = at; place <= text.size();) {
    const size_t refused = not_empty && place == at ? place : size_t(-1);
    if (first != kNone) {  // most places are passed over by their character
      Char next;
      while ((next = char_at(text, place)).size && !tables_.in_class(first, next.code))
        place += next.size;
      if (!next.size || !spend(1)) return false;
    }
    if (match(program, text, place, refused, 0, to)) {
      from = place;
      return true;
    }
    if (exhausted()) return false;
    const Char next = char_at(text, place);
    place += next.size ? next.size : 1;
  }
  return false;
}

}  // namespace tl::text
