// Byte-pair encoding by ranks of pairs or by scores of pieces, Unigram, WordPiece, whole words.
#include "models.h"

#include <algorithm>

#include "utf8.h"

namespace tl::text {
namespace {

double score_at(std::string_view scores, size_t i) {
  double value = 0;
  if (i < scores.size() / sizeof value)
    memcpy(&value, scores.data() + i * sizeof value, sizeof value);
  return value;
}

// A number that orders as the score does, the best one first.
uint64_t rank_of_score(double score) {
  const double value = -score + 0.0;  // of two zeros none is the better one
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 63 ? ~bits : bits | 1ull << 63;
}

}  // namespace

Model::Model(const Tables& tables)
    : tables_(tables),
      bytes_(tables.numbers(Section::bytes)),
      unknown_(tables.setting(Setting::unknown)) {}

void Model::encode(std::string_view word, bool special, std::vector<uint32_t>& ids) {
  if (word.empty()) return;
  switch (ModelKind(tables_.setting(Setting::model))) {
    case ModelKind::pairs_of_bytes:
      return encode_pairs(word, false, ids);
    case ModelKind::pairs_of_chars:
      return encode_pairs(word, true, ids);
    case ModelKind::scores:
      return encode_scores(word, ids);
    case ModelKind::unigram:
      return encode_unigram(word, special, ids);
    case ModelKind::pieces:
      return encode_pieces(word, ids);
    case ModelKind::words: {
      const uint32_t found = tables_.find(word);
      const uint32_t id = found < tables_.ids() ? found : unknown_;
      if (id != kNone) ids.push_back(id);
    }
  }
}

void Model::add_symbol(size_t from, size_t size, uint32_t value) {
  const uint32_t number = uint32_t(symbols_.size());
  if (number) symbols_.back().after = number;
  symbols_.push_back({uint32_t(from), uint32_t(size), value, number ? number - 1 : kNone, kNone});
}

void Model::split_bytes(std::string_view word) {
  for (size_t i = 0; i < word.size(); ++i) {
    const bool last = i + 1 == word.size() && tables_.flag(kEndOfWord);
    const uint32_t value = bytes_[(last ? 256 : 0) + uint8_t(word[i])];
    if (value != kNone || unknown_ != kNone) add_symbol(i, 1, value);
  }
}

void Model::split_chars(std::string_view word) {
  std::string ending;
  for (size_t at = 0; at < word.size();) {
    const size_t size = char_at(word, at).size;
    std::string_view text = word.substr(at, size);
    if (at + size == word.size() && tables_.flag(kEndOfWord)) {
      ending = text;
      ending += tables_.texts[0];
      text = ending;
    }
    const uint32_t value = tables_.find(text);
    bool spelled = false;
    if (value == kNone && tables_.flag(kBytesFirst)) {
      spelled = true;
      for (const char byte : text) spelled &= bytes_[uint8_t(byte)] != kNone;
      for (size_t i = 0; spelled && i < size; ++i)
        add_symbol(at + i, 1, bytes_[uint8_t(word[at + i])]);
    }
    if (!spelled && (value != kNone || unknown_ != kNone || !tables_.flag(kBytesFirst)))
      add_symbol(at, size, value);
    at += size;
  }
}

// Joins the neighbours of lowest rank, leftmost first, until no two have one; n log n in their
// number.
template <class Rank, class Same>
void Model::merge(const Rank& rank, const Same& same) {
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  queue_.clear();
  const auto look = [&](uint32_t at) {
    Candidate found{0, at, 0, 0, kNone};
    if (at == kNone || symbols_[at].after == kNone) return false;
    if (!rank(symbols_[at], symbols_[symbols_[at].after], found)) return false;
    queue_.push_back(found);
    return true;
  };
  for (uint32_t i = 0; i + 1 < symbols_.size(); ++i) look(i);
  std::make_heap(queue_.begin(), queue_.end(), later);
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), later);
    const Candidate best = queue_.back();
    queue_.pop_back();
    Symbol& left = symbols_[best.at];
    // Stale once either side was joined to another: its value differs, or it is gone.
    if (!left.size || left.after == kNone || !same(left, symbols_[left.after], best)) continue;
    Symbol& right = symbols_[left.after];
    left.size += right.size;
    left.value = best.result;
    right.size = 0;
    left.after = right.after;
    if (left.after != kNone) symbols_[left.after].before = best.at;
    if (look(best.at)) std::push_heap(queue_.begin(), queue_.end(), later);
    if (look(left.before)) std::push_heap(queue_.begin(), queue_.end(), later);
  }
}

template <class F>
void Model::each_symbol(const F& f) const {
  for (const Symbol& symbol : symbols_)
    if (symbol.size) f(symbol);
}

bool Model::append_bytes(std::string_view text, bool partly, std::vector<uint32_t>& ids) const {
  const size_t before = ids.size();
  for (const char byte : text) {
    const uint32_t id = bytes_[uint8_t(byte)];
    if (id < tables_.ids()) {
      ids.push_back(id);
    } else if (!partly) {
      ids.resize(before);
      return false;
    }
  }
  return true;
}

void Model::encode_pairs(std::string_view word, bool chars, std::vector<uint32_t>& ids) {
  if (tables_.flag(kWholeWords)) {
    const uint32_t whole = tables_.find(word);
    if (whole < tables_.ids()) {
      ids.push_back(whole);
      return;
    }
  }
  symbols_.clear();
  chars ? split_chars(word) : split_bytes(word);
  merge(
      [&](const Symbol& left, const Symbol& right, Candidate& found) {
        const uint32_t rank = tables_.find_merge(left.value, right.value);
        if (rank == kNone || left.value == kNone || right.value == kNone) return false;
        found.rank = rank, found.left = left.value, found.right = right.value;
        found.result = tables_.merges[3 * size_t(rank) + 2];
        return true;
      },
      [](const Symbol& left, const Symbol& right, const Candidate& found) {
        return left.value == found.left && right.value == found.right;
      });
  bool after_unknown = false;
  each_symbol([&](const Symbol& symbol) {
    uint32_t id = symbol.value;
    if (id >= tables_.ids()) {
      if (chars && !tables_.flag(kBytesFirst)) {
        append_bytes(word.substr(symbol.from, symbol.size), true, ids);
        return;
      }
      if (id != kNone) return;
      id = unknown_;
    }
    const bool unknown = id == unknown_;
    if (!(unknown && after_unknown && tables_.flag(kFuseUnknown)) && id != kNone) ids.push_back(id);
    after_unknown = unknown;
  });
}

void Model::encode_scores(std::string_view word, std::vector<uint32_t>& ids) {
  const std::string_view scores = tables_.bytes(Section::scores);
  symbols_.clear();
  for (size_t at = 0; at < word.size();) {
    const size_t size = char_at(word, at).size;
    add_symbol(at, size, 0);
    at += size;
  }
  merge(
      [&](const Symbol& left, const Symbol& right, Candidate& found) {
        const uint32_t key = tables_.find_key(word.substr(left.from, left.size + right.size));
        if (key == kNone) return false;
        found.rank = rank_of_score(score_at(scores, key));
        found.left = left.size, found.right = right.size;
        return true;
      },
      [](const Symbol& left, const Symbol& right, const Candidate& found) {
        return left.size == found.left && right.size == found.right;
      });
  each_symbol([&](const Symbol& symbol) {
    const std::string_view text = word.substr(symbol.from, symbol.size);
    const uint32_t id = tables_.find(text);
    if (id < tables_.ids())
      ids.push_back(id);
    else if (!append_bytes(text, false, ids) && unknown_ != kNone)
      ids.push_back(unknown_);
  });
}

// Cuts a word so that the sum of the pieces' scores is greatest (Viterbi).
void Model::encode_unigram(std::string_view word, bool special, std::vector<uint32_t>& ids) {
  const std::string_view scores = tables_.bytes(Section::scores);
  const Numbers order = tables_.numbers(Section::key_order);
  const auto key_at = [&](size_t i) { return tables_.keys[order[i]]; };
  std::vector<Best> best(word.size() + 1, {0, kNone, false});
  const auto offer = [&](size_t from, size_t to, double score, bool known) {
    if (best[to].from == kNone || score > best[to].score) best[to] = {score, uint32_t(from), known};
  };
  for (size_t at = 0; at < word.size();) {
    const size_t size = char_at(word, at).size;
    const double here = best[at].score;
    bool alone = false;
    Range range{0, order.size()};
    for (size_t end = at; end < word.size() && range.from < range.to;) {
      range = narrow(key_at, range, end - at, uint8_t(word[end]));
      ++end;
      if (range.from == range.to || key_at(range.from).size() != end - at) continue;
      const uint32_t key = order[range.from], id = tables_.key_ids[key];
      if (!special && id != unknown_ && tables_.piece_flags(id) & kHiddenPiece) continue;
      alone |= end == at + size;
      offer(at, end, score_at(scores, key) + here, id != unknown_);
    }
    if (!alone) offer(at, at + size, score_at(scores, tables_.keys.size()) + here, false);
    at += size;
  }
  append_found(word, special, best, ids);
}

// Goes back over the best pieces; neighbours that are unknown make one.
void Model::append_found(std::string_view word, bool special, const std::vector<Best>& best,
                         std::vector<uint32_t>& ids) const {
  struct Found {
    uint32_t from, to;
    bool known;
  };
  std::vector<Found> found;
  for (size_t end = word.size(); end;) {
    const Best& step = best[end];
    if (step.from == kNone) break;  // only in damaged tables
    if (!step.known && !found.empty() && !found.back().known)
      found.back().from = step.from;
    else
      found.push_back({step.from, uint32_t(end), step.known});
    end = step.from;
  }
  for (size_t i = found.size(); i--;) {
    const std::string_view text = word.substr(found[i].from, found[i].to - found[i].from);
    uint32_t id = tables_.find(text);
    if (!special && id != unknown_ && tables_.piece_flags(id) & kHiddenPiece) id = kNone;
    if (id < tables_.ids())
      ids.push_back(id);
    else if (!(tables_.flag(kByteFallback) && append_bytes(text, false, ids)) && unknown_ != kNone)
      ids.push_back(unknown_);
  }
}

void Model::encode_pieces(std::string_view word, std::vector<uint32_t>& ids) {
  size_t chars = 0;
  for (const char byte : word) chars += begins_char(byte);
  const size_t before = ids.size();
  size_t at = chars <= tables_.setting(Setting::most_chars) ? 0 : word.size();
  bool whole = at == 0;
  while (whole && at < word.size()) {
    size_t end = std::min(word.size(), at + size_t(tables_.setting(Setting::longest_key)));
    uint32_t id = kNone;
    for (; end > at; --end) {
      if (end < word.size() && !begins_char(word[end])) continue;
      id = tables_.find(word.substr(at, end - at), at > 0);
      if (id < tables_.ids()) break;
    }
    whole = end > at;
    if (whole) ids.push_back(id);
    at = end;
  }
  if (whole) return;
  ids.resize(before);
  if (unknown_ != kNone) ids.push_back(unknown_);
}

}  // namespace tl::text
