// Tokenizer tables: the bytes that src/tallow/text/tables.py writes, read in place.
//
// All numbers are little-endian. A header (magic, version, size, number of sections) is followed by
// the offset and size of each section. Nothing is unpacked: opening looks at the header, the
// settings and the programs, which are small; every other number is checked where it is used.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace tl::text {

inline constexpr uint32_t kMagic = 0x4B4F5454;  // "TTOK"
inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kNone = 0xFFFFFFFF;
// Places of a row for the ids of a text.
inline constexpr uint32_t kFirst = 0xFFFFFFFE, kSecond = 0xFFFFFFFF;

enum class Section : uint32_t {
  settings,      // u32 each, see Setting
  piece_ends,    // u32 for each id: where its bytes end in `pieces`
  pieces,        // what ids spell when they are decoded
  token_ends,    // u32 for each id: where it ends in `tokens`; none where no step decodes them
  tokens,        // the texts of tokens, for the steps that decode
  flags,         // u8 for each id, see PieceFlag
  key_ends,      // u32 for each key: where it ends in `keys`
  keys,          // what a model looks up, by number of key
  key_ids,       // u32 for each key: its id or symbol
  key_hash,      // u32 slots: number of key + 1, 0 for none
  key_order,     // u32: numbers of keys, sorted by their bytes
  scores,        // f64 for each key
  merges,        // u32 left, right, result of each merge in order of rank
  merge_hash,    // u32 slots: number of merge + 1
  bytes,         // u32 × 256: symbol of each byte; again × 256 for the last byte of a word
  added_ends,    // u32 for each added token: where it ends in `added`
  added,         // texts of added tokens, sorted by their bytes
  added_rows,    // u32 id, AddedFlag of each
  class_ends,    // u32 for each class: where it ends in `classes`, in numbers
  classes,       // of each class u32 × 4 of bits for ASCII, then first, last of runs beyond
  programs,      // u32, see pattern.h
  steps,         // u32, see steps.h
  text_ends,     // u32 for each text: where it ends in `texts`
  texts,         // texts that steps name
  template_ids,  // u32: ids before a text, ids after it
  slots,         // u32 value and type of each place in a row of one text, then in one of two
  map_codes,     // u32: code points of all maps of characters, each map sorted
  map_texts,     // u32 for each: the text that replaces it
  forms,         // see normal_forms.h
  charsmap,      // SentencePiece's own
  chat,          // see chat.h
  count,
};

enum class Setting : uint32_t {
  model,            // ModelKind
  ids,              // number of ids
  symbols,          // number of ids and of symbols without one
  unknown,          // id or kNone
  longest_key,      // bytes
  flags,            // TokenizerFlag
  most_probes,      // of key_hash and merge_hash
  most_chars,       // of a word of WordPiece
  prefix,           // number of template_ids before a text
  suffix,           // and after it
  steps_before,     // words of `steps` that are run before added tokens are looked for,
  steps_normalize,  // of those between the two lookings,
  steps_cut,        // that cut,
  steps_decode,     // and that decode
  tail_keys,        // number of the first key that continues a word (WordPiece)
  space_class,      // class of what added tokens take beside them
  word_class,       // class of letters that a whole word may not touch
  single_slots,     // number of places in a row of one text
  longest_row,      // ids that a model takes, kNone where no file says so
  pad_type,         // type of what fills a row up
  bos,
  eos,
  pad,
  count,
};

enum class ModelKind : uint32_t { pairs_of_bytes, pairs_of_chars, scores, unigram, pieces, words };

enum TokenizerFlag : uint32_t {
  kWholeWords = 1,         // a word that is a key is taken as it is
  kStripsSpace = 2,        // decoding drops one space at the start
  kByteFallback = 4,       // characters without a symbol become bytes
  kFuseUnknown = 8,        // neighbours that are unknown make one
  kSkipsExcluded = 16,     // an added token that does not count is passed over as text
  kCleansUp = 32,          // decoding joins punctuation to words
  kEndOfWord = 64,         // the last symbol of a word is looked up apart
  kScanBehindSpace = 128,  // further added tokens may begin in the space that one has taken
  kBytesFirst = 256,       // characters become bytes before anything is merged, not after
  kChatPrefix = 512,       // a chat begins with what stands before a text, written or not
  kCutsLeft = 1024,        // of a text that is too long the end is kept
  kTokenTypes = 2048,      // the model is given types
};

enum PieceFlag : uint8_t {
  kSpecialPiece = 1,  // decoding leaves it out
  kEndPiece = 2,      // ends a generation
  kHiddenPiece = 4,   // a key that only text with control tokens may become
};

enum AddedFlag : uint32_t {
  kControl = 1,
  kTakesBefore = 2,
  kTakesAfter = 4,
  kWholeWord = 8,
  kInRaw = 16,         // looked for before the text is normalised
  kInNormalized = 32,  // looked for after that
};

inline uint32_t load_u32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

// The numbers of a section; one beyond its end is 0.
class Numbers {
 public:
  Numbers() = default;
  explicit Numbers(std::span<const uint8_t> bytes) : data_(bytes.data()), size_(bytes.size() / 4) {}
  size_t size() const { return size_; }
  uint32_t operator[](size_t i) const { return i < size_ ? load_u32(data_ + 4 * i) : 0; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Texts one after the other, by where each ends; one that lies outside is empty.
struct Texts {
  Numbers ends;
  std::string_view bytes;
  size_t size() const { return ends.size(); }
  std::string_view operator[](size_t i) const {
    if (i >= ends.size()) return {};
    const size_t from = i ? ends[i - 1] : 0, to = ends[i];
    return from <= to && to <= bytes.size() ? bytes.substr(from, to - from) : std::string_view();
  }
};

// A range of texts in sorted order that begin with what was read so far.
struct Range {
  size_t from, to;
};

uint32_t hash_bytes(std::string_view bytes);

class Tables {
 public:
  // nullptr, or why the bytes are no tables. They must outlive this object.
  const char* open(std::span<const uint8_t> bytes);

  std::span<const uint8_t> section(Section which) const { return sections_[size_t(which)]; }
  Numbers numbers(Section which) const { return Numbers(section(which)); }
  std::string_view bytes(Section which) const {
    const auto found = section(which);
    return {reinterpret_cast<const char*>(found.data()), found.size()};
  }
  uint32_t setting(Setting which) const { return settings_[size_t(which)]; }
  uint8_t piece_flags(uint32_t id) const { return id < ids() ? section(Section::flags)[id] : 0; }
  bool flag(TokenizerFlag which) const { return setting(Setting::flags) & which; }
  uint32_t ids() const { return setting(Setting::ids); }

  // The number of a key; kNone if there is none. `tail` looks among those that continue a word.
  uint32_t find_key(std::string_view text, bool tail = false) const;
  // The id or symbol of a key.
  uint32_t find(std::string_view text, bool tail = false) const {
    const uint32_t key = find_key(text, tail);
    return key == kNone ? kNone : key_ids[key];
  }
  // The rank of a merge of two symbols; kNone if they are not merged.
  uint32_t find_merge(uint32_t left, uint32_t right) const;

  bool in_class(uint32_t which, uint32_t code) const;
  uint32_t classes() const { return uint32_t(class_ends_.size()); }

  Texts pieces, tokens, keys, added, texts;
  Numbers key_ids, merges;

 private:
  const char* attach();

  std::span<const uint8_t> sections_[size_t(Section::count)];
  uint32_t settings_[size_t(Setting::count)] = {};
  Numbers key_hash_, merge_hash_, class_ends_, classes_;
};

// Texts in the order of their bytes, `at(i)` the i-th: those of `range` that have `byte` at
// `depth`.
template <class At>
Range narrow(const At& at, Range range, size_t depth, uint8_t byte) {
  const auto first = [&](size_t low, size_t high, int limit) {
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      const std::string_view text = at(middle);
      const int found = depth < text.size() ? uint8_t(text[depth]) : -1;
      if (found < limit)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  };
  const size_t from = first(range.from, range.to, byte);
  return {from, first(from, range.to, byte + 1)};
}

}  // namespace tl::text
