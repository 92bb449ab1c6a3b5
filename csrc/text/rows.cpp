// Rows for encoders: texts cut to a length, special tokens around them; see text/rows.py.
#include <algorithm>

#include "tokenizer.h"

namespace tl::text {
namespace {

// The lengths of one or two texts in `room` ids, the longer one cut first.
void cut_longest(size_t (&counts)[2], bool pair, size_t room) {
  if (counts[0] + counts[1] <= room) return;
  if (!pair) {
    counts[0] = room;
    return;
  }
  const bool first_longer = counts[0] > counts[1];
  size_t low = std::min(counts[0], counts[1]), high = std::max(counts[0], counts[1]);
  high = low > room ? low : std::max(low, room - low);
  if (low + high > room) {
    low = room / 2;
    high = low + room % 2;
  }
  counts[0] = first_longer ? high : low;
  counts[1] = first_longer ? low : high;
}

}  // namespace

const char* Tokenizer::encode_row(std::string_view first, const std::string_view* second,
                                  uint32_t most, Row& row) const {
  std::vector<uint32_t> ids[2];
  if (const char* error = encode(first, false, true, ids[0])) return error;
  if (second)
    if (const char* error = encode(*second, false, true, ids[1])) return error;
  const Numbers slots = tables_.numbers(Section::slots);
  const size_t middle = 2 * size_t(tables_.setting(Setting::single_slots));
  const size_t from = second ? middle : 0, to = second ? slots.size() : middle;
  size_t added = 0;
  for (size_t at = from; at < to; at += 2) added += slots[at] < kFirst;
  if (!most) most = tables_.setting(Setting::longest_row);
  if (most < added) return "encode: expected room for the special tokens of a row";
  size_t counts[2] = {ids[0].size(), ids[1].size()};
  if (most != kNone) cut_longest(counts, second, most - added);
  for (size_t at = from; at < to; at += 2) {
    if (slots[at] < kFirst) {
      row.ids.push_back(slots[at]);
    } else {
      const auto& text = ids[slots[at] - kFirst];
      const size_t count = counts[slots[at] - kFirst];
      const auto begin = tables_.flag(kCutsLeft) ? text.end() - count : text.begin();
      row.ids.insert(row.ids.end(), begin, begin + count);
    }
    row.types.resize(row.ids.size(), slots[at + 1]);
  }
  return nullptr;
}

}  // namespace tl::text
