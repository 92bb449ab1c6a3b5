// Opens tokenizer tables and finds keys, merges and members of classes in them.
#include "tables.h"

namespace tl::text {
namespace {

uint64_t load_u64(const uint8_t* at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

// A number that is larger is no sign of a large vocabulary but of a damaged file.
constexpr uint32_t kMostIds = 1u << 28, kMostProbes = 4096, kLongestKey = 1u << 16;

}  // namespace

uint32_t hash_bytes(std::string_view bytes) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char byte : bytes) hash = (hash ^ uint8_t(byte)) * 16777619u;
  return hash ^ hash >> 15;
}

const char* Tables::open(std::span<const uint8_t> bytes) {
  constexpr size_t kHead = 24, kCount = size_t(Section::count);
  if (bytes.size() < kHead || load_u32(bytes.data()) != kMagic)
    return "tokenizer tables: expected the magic TTOK";
  if (load_u32(bytes.data() + 4) != kVersion)
    return "tokenizer tables: expected version 1, got another: export them anew";
  if (load_u64(bytes.data() + 8) != bytes.size())
    return "tokenizer tables: expected as many bytes as the header says";
  if (load_u32(bytes.data() + 16) != kCount || bytes.size() < kHead + 16 * kCount)
    return "tokenizer tables: expected the offset and size of each section";
  for (size_t i = 0; i < kCount; ++i) {
    const uint8_t* row = bytes.data() + kHead + 16 * i;
    const uint64_t offset = load_u64(row), size = load_u64(row + 8);
    if (offset > bytes.size() || size > bytes.size() - offset)
      return "tokenizer tables: expected sections within the bytes";
    sections_[i] = bytes.subspan(offset, size);
  }
  return attach();
}

const char* Tables::attach() {
  const Numbers settings = numbers(Section::settings);
  if (settings.size() != size_t(Setting::count))
    return "tokenizer tables: expected each setting once";
  for (size_t i = 0; i < settings.size(); ++i) settings_[i] = settings[i];
  pieces = {numbers(Section::piece_ends), bytes(Section::pieces)};
  tokens = {numbers(Section::token_ends), bytes(Section::tokens)};
  keys = {numbers(Section::key_ends), bytes(Section::keys)};
  added = {numbers(Section::added_ends), bytes(Section::added)};
  texts = {numbers(Section::text_ends), bytes(Section::texts)};
  key_ids = numbers(Section::key_ids);
  merges = numbers(Section::merges);
  key_hash_ = numbers(Section::key_hash), merge_hash_ = numbers(Section::merge_hash);
  class_ends_ = numbers(Section::class_ends), classes_ = numbers(Section::classes);
  if (ids() > kMostIds || pieces.size() != ids() || section(Section::flags).size() != ids())
    return "tokenizer tables: expected bytes and flags for each id";
  if (setting(Setting::symbols) < ids() || setting(Setting::symbols) > kMostIds)
    return "tokenizer tables: expected a symbol for each id";
  if (setting(Setting::model) > uint32_t(ModelKind::words))
    return "tokenizer tables: expected a known model";
  if (key_ids.size() != keys.size() || setting(Setting::tail_keys) > keys.size())
    return "tokenizer tables: expected an id for each key";
  if (numbers(Section::added_rows).size() != 2 * added.size())
    return "tokenizer tables: expected an id and flags for each added token";
  const size_t slots = key_hash_.size(), pairs = merge_hash_.size();
  if (slots & (slots - 1) || pairs & (pairs - 1))
    return "tokenizer tables: expected hash tables of 2^n slots";
  if (setting(Setting::longest_key) > kLongestKey)
    return "tokenizer tables: expected keys of at most 65536 bytes";
  if (setting(Setting::most_probes) > kMostProbes)
    return "tokenizer tables: expected hash tables with short chains";
  return nullptr;
}

uint32_t Tables::find_key(std::string_view text, bool tail) const {
  const size_t slots = key_hash_.size();
  if (!slots || text.size() > setting(Setting::longest_key)) return kNone;
  size_t slot = (hash_bytes(text) ^ (tail ? 0x55555555u : 0)) & (slots - 1);
  for (uint32_t i = 0; i <= setting(Setting::most_probes); ++i, slot = (slot + 1) & (slots - 1)) {
    const uint32_t found = key_hash_[slot];
    if (!found) return kNone;
    if ((found - 1 >= setting(Setting::tail_keys)) == tail && keys[found - 1] == text &&
        found <= keys.size())
      return found - 1;
  }
  return kNone;
}

uint32_t Tables::find_merge(uint32_t left, uint32_t right) const {
  const size_t slots = merge_hash_.size();
  if (!slots) return kNone;
  uint32_t hash = left * 0x9E3779B1u ^ right * 0x85EBCA77u;
  size_t slot = (hash ^ hash >> 15) & (slots - 1);
  for (uint32_t i = 0; i <= setting(Setting::most_probes); ++i, slot = (slot + 1) & (slots - 1)) {
    const uint32_t found = merge_hash_[slot];
    if (!found) return kNone;
    const size_t row = 3 * size_t(found - 1);
    if (row + 2 < merges.size() && merges[row] == left && merges[row + 1] == right)
      return found - 1;
  }
  return kNone;
}

bool Tables::in_class(uint32_t which, uint32_t code) const {
  const size_t from = which ? class_ends_[which - 1] : 0, to = class_ends_[which];
  if (from + 4 > to || to > classes_.size()) return false;
  if (code < 128) return classes_[from + code / 32] >> code % 32 & 1;
  size_t low = 0, high = (to - from - 4) / 2;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (classes_[from + 4 + 2 * middle + 1] < code)
      low = middle + 1;
    else
      high = middle;
  }
  return 2 * low < to - from - 4 && classes_[from + 4 + 2 * low] <= code;
}

}  // namespace tl::text
