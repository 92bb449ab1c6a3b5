// Decomposes, orders and composes code points. Source: Unicode Standard Annex #15, and section 3.12
// of the standard for Hangul.
#include "normal_forms.h"

#include <algorithm>

#include "utf8.h"

namespace tl::text {
namespace {

constexpr uint32_t kSyllables = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
constexpr uint32_t kLeads = 19, kVowels = 21, kTails = 28, kHead = 5;
constexpr size_t kLongest = 32;  // of what a code point becomes: 18 by Unicode's policy

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return uint8_t(c) < 0x80; });
}

}  // namespace

bool NormalForms::whole() const {
  const uint64_t size =
      kHead + 2 * (uint64_t(data_[0]) + data_[1]) + 3 * (uint64_t(data_[2]) + data_[3]) + data_[4];
  return !data_.size() || data_.size() == size;
}

// The first of `count` rows of `width` numbers whose first number is not below `code`.
size_t NormalForms::lower_bound(size_t from, size_t count, size_t width, uint32_t code) const {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (data_[from + middle * width] < code)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void NormalForms::decompose(uint32_t code, bool compatible, std::vector<uint32_t>& out) const {
  const uint32_t syllable = code - kSyllables;
  if (syllable < kLeads * kVowels * kTails) {
    out.push_back(kLead + syllable / (kVowels * kTails));
    out.push_back(kVowel + syllable / kTails % kVowels);
    if (syllable % kTails) out.push_back(kTail + syllable % kTails);
    return;
  }
  const size_t canonical = data_[0], count = compatible ? data_[1] : canonical;
  const size_t from = kHead + (compatible ? 2 * canonical : 0);
  const size_t row = lower_bound(from, count, 1, code);
  const size_t pool =
      kHead + 2 * canonical + 2 * size_t(data_[1]) + 3 * size_t(data_[2]) + 3 * size_t(data_[3]);
  if (row == count || data_[from + row] != code) {
    out.push_back(code);
    return;
  }
  // The compatible ones follow the canonical ones in the pool.
  const size_t first = compatible && canonical ? data_[kHead + 2 * canonical - 1] : 0;
  const size_t begin = row ? data_[from + count + row - 1] : first, end = data_[from + count + row];
  for (size_t i = begin; i < end && i < begin + kLongest; ++i) out.push_back(data_[pool + i]);
}

uint32_t NormalForms::combining(uint32_t code) const {
  if (code < 0x300) return 0;
  const size_t from = kHead + 2 * size_t(data_[0]) + 2 * size_t(data_[1]) + 3 * size_t(data_[2]);
  const size_t next = lower_bound(from, data_[3], 3, code + 1);
  if (!next) return 0;
  const size_t row = from + 3 * (next - 1);
  return code <= data_[row + 1] ? data_[row + 2] : 0;
}

void NormalForms::order(std::vector<uint32_t>& codes) const {
  for (size_t i = 0; i < codes.size();) {
    if (!combining(codes[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    std::vector<std::pair<uint32_t, uint32_t>> marks;
    for (uint32_t found; end < codes.size() && (found = combining(codes[end])); ++end)
      marks.emplace_back(found, codes[end]);
    std::stable_sort(marks.begin(), marks.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t k = i; k < end; ++k) codes[k] = marks[k - i].second;
    i = end;
  }
}

uint32_t NormalForms::composed(uint32_t first, uint32_t second) const {
  if (first - kLead < kLeads && second - kVowel < kVowels)
    return kSyllables + ((first - kLead) * kVowels + second - kVowel) * kTails;
  if (first - kSyllables < kLeads * kVowels * kTails && !((first - kSyllables) % kTails) &&
      second - kTail - 1 < kTails - 1)
    return first + second - kTail;
  const size_t from = kHead + 2 * size_t(data_[0]) + 2 * size_t(data_[1]);
  for (size_t row = lower_bound(from, data_[2], 3, first); row < data_[2]; ++row) {
    const size_t at = from + 3 * row;
    if (data_[at] != first) break;
    if (data_[at + 1] == second) return data_[at + 2];
  }
  return 0;
}

void NormalForms::compose(std::vector<uint32_t>& codes) const {
  size_t starter = size_t(-1), out = 0;
  uint32_t last = 0;  // class of the character before, 0 where nothing stands between
  for (size_t i = 0; i < codes.size(); ++i) {
    const uint32_t code = codes[i], found = combining(code);
    const bool adjacent = starter != size_t(-1) && starter + 1 == out;
    if (starter != size_t(-1) && (adjacent || (last && last < found))) {
      if (const uint32_t both = composed(codes[starter], code)) {
        codes[starter] = both;
        continue;
      }
    }
    if (!found) starter = out;
    last = found;
    codes[out++] = code;
  }
  codes.resize(out);
}

void NormalForms::apply(uint32_t form, std::string& text) const {
  if (is_ascii(text)) return;
  std::vector<uint32_t> codes;
  codes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Char next = char_at(text, at);
    decompose(next.code, form >= 2, codes);
    at += next.size;
  }
  order(codes);
  if (form % 2 == 0) compose(codes);
  text.clear();
  for (const uint32_t code : codes) append_char(text, code);
}

}  // namespace tl::text
