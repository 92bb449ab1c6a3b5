// Normalises and cuts texts step by step.
#include "steps.h"

#include "normal_forms.h"
#include "utf8.h"

namespace tl::text {
namespace {

// Of each step its operands: a letter says what the number must be.
constexpr const char* kOperands[] = {"n",   "mm", "cntt", "cnn", "pt", "tn", "p",
                                     "pnn", "tn", "tn",   "tn",  "t",  "",   "",
                                     "",    "pt", "tnn",  "",    "tc"};
static_assert(sizeof kOperands / sizeof *kOperands == size_t(Step::count));

}  // namespace

size_t step_width(Step step) { return 1 + std::string_view(kOperands[size_t(step)]).size(); }

namespace {

class Normalizer {
 public:
  Normalizer(const Tables& tables, Matcher& matcher, std::string& text)
      : tables_(tables), matcher_(matcher), text_(text) {}

  void map(uint32_t first, uint32_t count) {
    const Numbers codes = tables_.numbers(Section::map_codes);
    const Numbers texts = tables_.numbers(Section::map_texts);
    each([&](Char found, std::string_view self) {
      size_t low = first, high = size_t(first) + count;
      while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (codes[middle] < found.code)
          low = middle + 1;
        else
          high = middle;
      }
      const bool known = low < size_t(first) + count && codes[low] == found.code;
      write(known ? tables_.texts[texts[low]] : self);
    });
  }

  void surround(uint32_t which, bool keep, std::string_view before, std::string_view after) {
    each([&](Char found, std::string_view self) {
      const bool member = tables_.in_class(which, found.code);
      if (member) write(before);
      if (!member || keep) write(self);
      if (member) write(after);
    });
  }

  void strip(uint32_t which, bool left, bool right) {
    size_t from = 0, to = text_.size();
    for (Char next; left && (next = char_at(text_, from)).size; from += next.size)
      if (!tables_.in_class(which, next.code)) break;
    while (right && to > from) {
      const size_t at = char_before(text_, to);
      if (!tables_.in_class(which, char_at(text_, at).code)) break;
      to = at;
    }
    text_ = text_.substr(from, to - from);
  }

  void replace(uint32_t program, std::string_view with) {
    size_t done = 0, at = 0, from, to;
    bool empty = false;
    while (matcher_.find(program, text_, at, empty, from, to)) {
      out_.append(text_, done, from - done);
      write(with);
      done = at = to;
      empty = from == to;
    }
    finish(done);
  }

  void charsmap(uint32_t program) {
    size_t done = 0, at = 0, from, to;
    bool empty = false;
    while (matcher_.find(program, text_, at, empty, from, to)) {
      out_.append(text_, done, from - done);
      mapped(std::string_view(text_).substr(from, to - from));
      done = at = to;
      empty = from == to;
    }
    finish(done);
  }

 private:
  template <class F>
  void each(const F& f) {
    for (size_t at = 0; at < text_.size() && !matcher_.exhausted();) {
      const Char found = char_at(text_, at);
      f(found, std::string_view(text_).substr(at, found.size));
      at += found.size;
    }
    finish(text_.size());
  }

  // Appends, unless that were more than a text can need.
  void write(std::string_view text) {
    if (matcher_.spend(text.size())) out_ += text;
  }

  void finish(size_t done) {
    out_.append(text_, done);
    text_.swap(out_);
    out_.clear();
  }

  // A cluster of characters is replaced as a whole if it is short and known, else one by one.
  void mapped(std::string_view cluster) {
    std::string_view with;
    if (cluster.size() < 6 && shortest(cluster, with)) {
      append_valid(out_, with, true);
      return;
    }
    for (size_t at = 0; at < cluster.size();) {
      const std::string_view one = cluster.substr(at, char_at(cluster, at).size);
      if (shortest(one, with))
        append_valid(out_, with, true);
      else
        out_ += one;
      at += one.size();
    }
  }

  // What replaces the shortest beginning of `text` in the map: a double array of darts-clone, with
  // a label in the low byte and an offset from bit 10 on; see text/charsmap.py.
  bool shortest(std::string_view text, std::string_view& with) const {
    const std::string_view raw = tables_.bytes(Section::charsmap);
    if (raw.size() < 4) return false;
    const auto* data = reinterpret_cast<const uint8_t*>(raw.data());
    const size_t size = load_u32(data);
    if (size > raw.size() - 4) return false;
    const Numbers units({data + 4, size});
    const std::string_view texts = raw.substr(4 + size);
    const auto offset = [](uint32_t unit) { return size_t(unit >> 10) << ((unit & 1 << 9) >> 6); };
    size_t place = offset(units[0]);
    for (const char byte : text) {
      place ^= uint8_t(byte);
      const uint32_t unit = units[place];
      if (place >= units.size() || (unit & (1u << 31 | 0xFF)) != uint8_t(byte)) return false;
      place ^= offset(unit);
      if (unit >> 8 & 1 && place < units.size()) {
        const size_t start = units[place] & 0x7FFFFFFF;
        if (start > texts.size()) return false;
        with = texts.substr(start, texts.find('\0', start) - start);
        return true;
      }
    }
    return false;
  }

  const Tables& tables_;
  Matcher& matcher_;
  std::string& text_;
  std::string out_;
};

// Puts the next part behind the pieces of one text, which begin at `first`.
void add_part(Behavior behavior, Span part, bool match, bool before, size_t first,
              std::vector<Span>& found) {
  if (part.from == part.to || (match && behavior == Behavior::removed)) return;
  const bool any = found.size() > first;
  const bool joins = (behavior == Behavior::with_previous && match && !before) ||
                     (behavior == Behavior::contiguous && match == before);
  if (any && joins)
    found.back().to = part.to;
  else
    found.push_back(part);
}

// Matches that stand alone become a part of what follows them, seen from the end of the text.
void join_next(size_t first, const std::vector<bool>& matches, std::vector<Span>& found) {
  std::vector<Span> joined;
  bool before = false;
  for (size_t i = found.size(); i-- > first;) {
    const bool match = matches[i - first];
    if (match && !before && !joined.empty())
      joined.back().from = found[i].from;
    else
      joined.push_back(found[i]);
    before = match;
  }
  found.resize(first);
  found.insert(found.end(), joined.rbegin(), joined.rend());
}

void cut_at(Matcher& matcher, uint32_t program, Behavior behavior, bool inverted, Pieces& pieces) {
  std::vector<Span> found;
  std::vector<bool> matches;  // of the pieces of one text, where they are joined afterwards
  for (const Span span : pieces.spans) {
    const std::string_view text =
        std::string_view(pieces.text).substr(span.from, span.to - span.from);
    size_t done = 0, at = 0, from, to;
    const size_t first = found.size();
    bool empty = false, before = false;
    matches.clear();
    const auto add = [&](size_t begin, size_t end, bool match) {
      if (begin == end) return;
      add_part(behavior, {span.from + begin, span.from + end}, match, before, first, found);
      if (behavior == Behavior::with_next) matches.push_back(match);
      before = match;
    };
    while (matcher.find(program, text, at, empty, from, to)) {
      add(done, from, inverted);
      add(from, to, !inverted);
      done = at = to;
      empty = from == to;
    }
    add(done, text.size(), inverted);
    if (behavior == Behavior::with_next) join_next(first, matches, found);
  }
  pieces.spans.swap(found);
}

void spell(Matcher& matcher, std::string_view mark, bool prefix, Pieces& pieces) {
  Pieces made;
  for (const Span span : pieces.spans) {
    if (!matcher.spend(mark.size())) break;
    const size_t from = made.text.size();
    for (size_t at = span.from; at < span.to; ++at) {
      if (pieces.text[at] == ' ' && matcher.spend(mark.size()))
        made.text += mark;
      else
        made.text += pieces.text[at];
    }
    if (prefix && std::string_view(made.text).substr(from, mark.size()) != mark)
      made.text.insert(from, mark);
    made.spans.push_back({from, made.text.size()});
  }
  pieces = std::move(made);
}

}  // namespace

const char* check_steps(const Tables& tables, const std::vector<bool>& programs) {
  const Numbers maps = tables.numbers(Section::map_codes);
  for (int which = 0; which < 4; ++which) {
    const Steps steps = steps_of(tables, which);
    if (steps.to > steps.code.size() || steps.from > steps.to)
      return "tokenizer tables: expected steps within their section";
    for (size_t at = steps.from; at < steps.to;) {
      if (steps.code[at] >= uint32_t(Step::count) ||
          at + step_width(Step(steps.code[at])) > steps.to)
        return "tokenizer tables: expected known steps";
      const std::string_view operands = kOperands[steps.code[at]];
      for (size_t i = 0; i < operands.size(); ++i) {
        const uint32_t value = steps.code[at + 1 + i];
        if ((operands[i] == 'c' && value >= tables.classes()) ||
            (operands[i] == 't' && value >= tables.texts.size()) ||
            (operands[i] == 'm' && value > maps.size()) ||
            (operands[i] == 'p' && (value >= programs.size() || !programs[value])))
          return "tokenizer tables: expected steps that name what is there";
      }
      at += 1 + operands.size();
    }
  }
  return nullptr;
}

Steps steps_of(const Tables& tables, int which) {
  Steps steps{tables.numbers(Section::steps), 0, 0};
  for (int i = 0; i <= which; ++i) {
    steps.from = steps.to;
    steps.to += tables.setting(Setting(uint32_t(Setting::steps_before) + i));
  }
  return steps;
}

void normalize(const Tables& tables, Matcher& matcher, Steps steps, bool after_token,
               std::string& text) {
  Normalizer run(tables, matcher, text);
  for (size_t at = steps.from; at < steps.to; at += step_width(Step(steps.code[at]))) {
    const auto value = [&](int i) { return steps.code[at + 1 + i]; };
    if (!matcher.spend(text.size())) return;
    switch (Step(steps.code[at])) {
      case Step::form:
        NormalForms(tables).apply(value(0), text);
        break;
      case Step::map:
        run.map(value(0), value(1));
        break;
      case Step::surround:
        run.surround(value(0), value(1), tables.texts[value(2)], tables.texts[value(3)]);
        break;
      case Step::strip:
        run.strip(value(0), value(1), value(2));
        break;
      case Step::replace:
        run.replace(value(0), tables.texts[value(1)]);
        break;
      case Step::prepend:
        if ((after_token || !(value(1) & 1)) && (!text.empty() || value(1) & 2))
          text.insert(0, tables.texts[value(0)]);
        break;
      case Step::charsmap:
        run.charsmap(value(0));
        break;
      default:
        break;
    }
  }
}

void cut(const Tables& tables, Matcher& matcher, Steps steps, Pieces& pieces) {
  for (size_t at = steps.from; at < steps.to; at += step_width(Step(steps.code[at]))) {
    const auto value = [&](int i) { return steps.code[at + 1 + i]; };
    if (Step(steps.code[at]) == Step::cut)
      cut_at(matcher, value(0), Behavior(value(1)), value(2), pieces);
    else if (Step(steps.code[at]) == Step::spell)
      spell(matcher, tables.texts[value(0)], value(1), pieces);
  }
}

}  // namespace tl::text
