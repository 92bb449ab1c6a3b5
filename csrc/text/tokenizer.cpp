// From text to ids: added tokens are cut out, the rest is normalised, cut and given to the model.
#include "tokenizer.h"

#include <algorithm>

#include "normal_forms.h"
#include "utf8.h"

namespace tl::text {
namespace {

constexpr const char* kTooLarge = "encode: expected a text of less than 2^31 bytes";
constexpr const char* kTooLong =
    "encode: a pattern of the tokenizer takes too long on this text: give it in parts";

}  // namespace

// What one call of `encode` needs.
struct Tokenizer::Work {
  Work(const Tokenizer& self, bool special, std::vector<uint32_t>& ids)
      : matcher(self.tables_), model(self.tables_), special(special), ids(ids) {}
  Matcher matcher;
  Model model;
  bool special;
  bool after_token = true;
  bool prompt = false;
  std::vector<Span> plain;  // of a prompt where no control token counts
  std::vector<uint32_t>& ids;

  // Whether a control token from `from` to `to` would be written by a plain part of a prompt. What
  // is looked for in normalised text has lost its place: no control token counts there.
  bool barred(uint32_t which, size_t from, size_t to) const {
    if (!prompt || which == kInNormalized) return prompt;
    const auto after = std::partition_point(plain.begin(), plain.end(),
                                            [&](const Span& part) { return part.to <= from; });
    return after != plain.end() && after->from < to;
  }
};

const char* Tokenizer::open(std::span<const uint8_t> bytes) {
  if (const char* error = tables_.open(bytes)) return error;
  std::vector<bool> programs;
  if (const char* error = check_programs(tables_, programs)) return error;
  if (const char* error = check_steps(tables_, programs)) return error;
  if (!NormalForms(tables_).whole()) return "tokenizer tables: expected all of the normal forms";
  const Numbers ids = tables_.numbers(Section::template_ids);
  const uint64_t prefix = tables_.setting(Setting::prefix),
                 suffix = tables_.setting(Setting::suffix);
  if (prefix + suffix > ids.size())
    return "tokenizer tables: expected the ids around a text among those of the template";
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= tables_.ids()) return "tokenizer tables: expected ids of the vocabulary";
  const Numbers slots = tables_.numbers(Section::slots);
  if (slots.size() % 2 || 2 * uint64_t(tables_.setting(Setting::single_slots)) > slots.size())
    return "tokenizer tables: expected the places of a row";
  for (size_t i = 0; i < slots.size(); i += 2)
    if (slots[i] < kFirst && slots[i] >= tables_.ids())
      return "tokenizer tables: expected ids of the vocabulary";
  for (const Setting which : {Setting::space_class, Setting::word_class})
    if (tables_.setting(which) >= tables_.classes())
      return "tokenizer tables: expected classes of spaces and letters";
  for (size_t i = 0; i < tables_.added.size(); ++i)
    if (!tables_.added[i].empty()) added_first_[uint8_t(tables_.added[i][0])] = true;
  return nullptr;
}

// The longest added token that stands at `at`: its size, 0 for none, and its number.
size_t Tokenizer::added_at(Work& work, std::string_view text, size_t at, uint32_t which,
                           uint32_t& token) const {
  const Numbers rows = tables_.numbers(Section::added_rows);
  const auto text_of = [&](size_t i) { return tables_.added[i]; };
  size_t found = 0;
  Range range{0, tables_.added.size()};
  for (size_t end = at; end < text.size() && range.from < range.to;) {
    range = narrow(text_of, range, end - at, uint8_t(text[end]));
    ++end;
    for (size_t i = range.from; i < range.to && text_of(i).size() == end - at; ++i) {
      if (!work.matcher.spend(1)) return 0;
      const uint32_t flags = rows[2 * i + 1];
      if (flags & kControl && work.barred(which, at, end)) continue;
      if (!(flags & which) || (flags & kControl && !work.special && !tables_.flag(kSkipsExcluded)))
        continue;
      found = end - at;
      token = uint32_t(i);
    }
  }
  return found;
}

std::string_view Tokenizer::without_space(std::string_view text) const {
  while (!text.empty()) {
    const size_t at = char_before(text, text.size());
    if (!tables_.in_class(tables_.setting(Setting::space_class), char_at(text, at).code)) break;
    text = text.substr(0, at);
  }
  return text;
}

// Cuts added tokens out of `text` and calls `plain` for what stands between them.
template <class Plain>
void Tokenizer::split(Work& work, std::string_view text, uint32_t which, const Plain& plain) const {
  const Numbers rows = tables_.numbers(Section::added_rows);
  const uint32_t space = tables_.setting(Setting::space_class);
  const uint32_t letters = tables_.setting(Setting::word_class);
  size_t done = 0, at = 0;
  while (at < text.size()) {
    uint32_t token = 0;
    const size_t size =
        added_first_[uint8_t(text[at])] ? added_at(work, text, at, which, token) : 0;
    if (!size) {
      ++at;
      continue;
    }
    const uint32_t flags = rows[2 * size_t(token) + 1];
    size_t from = at, to = at + size;
    at = to;
    if (flags & kControl && !work.special) continue;
    const bool in_word =
        (from && tables_.in_class(letters, char_at(text, char_before(text, from)).code)) ||
        (to < text.size() && tables_.in_class(letters, char_at(text, to).code));
    if (flags & kWholeWord && in_word) continue;
    if (flags & kTakesBefore) from = std::max(done, without_space(text.substr(0, from)).size());
    for (Char next; flags & kTakesAfter && (next = char_at(text, to)).size; to += next.size)
      if (!tables_.in_class(space, next.code)) break;
    if (done < from) plain(text.substr(done, from - done));
    if (rows[2 * size_t(token)] < tables_.ids()) work.ids.push_back(rows[2 * size_t(token)]);
    work.after_token = true;
    done = to;
    if (!tables_.flag(kScanBehindSpace)) at = to;
  }
  if (done < text.size()) plain(text.substr(done));
}

void Tokenizer::encode_plain(Work& work, std::string_view text) const {
  Pieces pieces{std::string(text), {{0, text.size()}}};
  cut(tables_, work.matcher, steps_of(tables_, 2), pieces);
  for (const Span span : pieces.spans)
    work.model.encode(std::string_view(pieces.text).substr(span.from, span.to - span.from),
                      work.special, work.ids);
}

void Tokenizer::encode_normal(Work& work, std::string_view text) const {
  std::string normal(text);
  normalize(tables_, work.matcher, steps_of(tables_, 1), work.after_token, normal);
  work.after_token = false;
  split(work, normal, kInNormalized, [&](std::string_view part) { encode_plain(work, part); });
}

const char* Tokenizer::encode(std::string_view text, bool add_special, bool parse_special,
                              std::vector<uint32_t>& ids) const {
  if (text.size() >= 1u << 31) return kTooLarge;
  const Numbers around = tables_.numbers(Section::template_ids);
  const size_t prefix = tables_.setting(Setting::prefix), suffix = tables_.setting(Setting::suffix);
  Work work(*this, parse_special, ids);
  std::string valid;
  append_valid(valid, text, true);
  work.matcher.allow(valid.size());
  normalize(tables_, work.matcher, steps_of(tables_, 0), false, valid);
  for (size_t i = 0; add_special && i < prefix; ++i) ids.push_back(around[i]);
  split(work, valid, kInRaw, [&](std::string_view part) { encode_normal(work, part); });
  for (size_t i = 0; add_special && i < suffix; ++i) ids.push_back(around[prefix + i]);
  return work.matcher.exhausted() ? kTooLong : nullptr;
}

const char* Tokenizer::encode_prompt(std::span<const Part> parts,
                                     std::vector<uint32_t>& ids) const {
  std::vector<uint32_t> found;
  Work work(*this, true, found);
  work.prompt = true;
  std::string all;
  for (const Part& part : parts) {
    if (all.size() + part.text.size() >= 1u << 31) return kTooLarge;
    std::string valid;
    append_valid(valid, part.text, true);
    work.matcher.allow(all.size() + valid.size());
    normalize(tables_, work.matcher, steps_of(tables_, 0), false, valid);
    const size_t from = all.size();
    all += valid;
    if (part.plain && !valid.empty()) work.plain.push_back({from, all.size()});
  }
  work.matcher.allow(all.size());
  split(work, all, kInRaw, [&](std::string_view part) { encode_normal(work, part); });
  const Numbers around = tables_.numbers(Section::template_ids);
  const size_t prefix = tables_.flag(kChatPrefix) ? tables_.setting(Setting::prefix) : 0;
  size_t written = 0;
  while (written < prefix && written < found.size() && found[written] == around[written]) ++written;
  for (size_t i = 0; written < prefix && i < prefix; ++i) ids.push_back(around[i]);
  ids.insert(ids.end(), found.begin(), found.end());
  return work.matcher.exhausted() ? kTooLong : nullptr;
}

std::string_view Tokenizer::piece(uint32_t id, bool skip_special) const {
  if (skip_special && tables_.piece_flags(id) & kSpecialPiece) return {};
  return tables_.pieces[id];
}

std::string Tokenizer::decode(std::span<const uint32_t> ids, bool skip_special) const {
  std::string text;
  if (tables_.tokens.size()) {
    std::vector<std::string> tokens;
    size_t size = 0;
    for (const uint32_t id : ids)
      if (id < this->ids() && !(skip_special && tables_.piece_flags(id) & kSpecialPiece))
        size += tokens.emplace_back(tables_.tokens[id]).size();
    Matcher matcher(tables_);
    matcher.allow(size + tokens.size());
    text = join_tokens(tables_, matcher, steps_of(tables_, 3), tokens);
    if (tables_.flag(kCleansUp)) clean_up(text, false);
    return text;
  }
  std::string bytes;
  for (const uint32_t id : ids) bytes += piece(id, skip_special);
  std::string_view spelled = bytes;
  if (strips_space() && spelled.starts_with(' ')) spelled.remove_prefix(1);
  append_valid(text, spelled, true);
  return text;
}

std::string StreamDecoder::push(uint32_t id) {
  std::string_view piece = tokenizer_.piece(id, skip_);
  if (at_start_ && !piece.empty()) {
    at_start_ = false;
    if (piece.starts_with(' ')) piece.remove_prefix(1);
  }
  held_ += piece;
  std::string text;
  held_.erase(0, append_valid(text, held_, false));
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  append_valid(text, held_, true);
  held_.clear();
  at_start_ = tokenizer_.strips_space();
  return text;
}

}  // namespace tl::text
