// A tokenizer over its tables: text to ids and back. Needs no Python, no exceptions, no locale.
#pragma once
#include <string>

#include "models.h"
#include "pattern.h"
#include "steps.h"

namespace tl::text {

// A part of a prompt; in a `plain` one no control token counts.
struct Part {
  std::string_view text;
  bool plain;
};

// One or two texts for an encoder.
struct Row {
  std::vector<uint32_t> ids, types;
};

class Tokenizer {
 public:
  // nullptr, or why the bytes are no tables of a tokenizer. They are read in place, and must stay.
  const char* open(std::span<const uint8_t> bytes);

  // Appends the ids of `text`; invalid UTF-8 counts as U+FFFD. `add_special` adds what the model
  // wants before and after a text; `parse_special` takes control tokens written in the text for
  // what they say. Gives nullptr, or why the text cannot be encoded: it is of 2^31 bytes or more,
  // or a pattern goes back and forth in it without end.
  const char* encode(std::string_view text, bool add_special, bool parse_special,
                     std::vector<uint32_t>& ids) const;

  // Appends the ids of a prompt in parts, of which those that are not `plain` may write control
  // tokens, and what a chat begins with. Else as above.
  const char* encode_prompt(std::span<const Part> parts, std::vector<uint32_t>& ids) const;

  // The row of one text or, with `second`, of two, with what the model wants around them. At most
  // `most` ids (0: as many as the model's files say): the longer text is cut first. Control tokens
  // in a text count, as in `Tokenizer.batch`.
  const char* encode_row(std::string_view first, const std::string_view* second, uint32_t most,
                         Row& row) const;

  // The text of `ids`; invalid UTF-8 becomes U+FFFD, ids beyond the vocabulary nothing.
  // `skip_special` leaves out control and unknown tokens.
  std::string decode(std::span<const uint32_t> ids, bool skip_special) const;

  // What one id spells, maybe a part of a character; nothing for a skipped one.
  std::string_view piece(uint32_t id, bool skip_special) const;

  uint32_t ids() const { return tables_.ids(); }
  bool strips_space() const { return tables_.flag(kStripsSpace); }
  // Whether an id ends a generation.
  bool ends(uint32_t id) const { return tables_.piece_flags(id) & kEndPiece; }
  // Of begin, end and padding the id; kNone where there is none.
  uint32_t bos() const { return tables_.setting(Setting::bos); }
  uint32_t eos() const { return tables_.setting(Setting::eos); }
  uint32_t pad() const { return tables_.setting(Setting::pad); }
  // The type of what fills a row up, and whether the model is given types at all.
  uint32_t pad_type() const { return tables_.setting(Setting::pad_type); }
  bool has_types() const { return tables_.flag(kTokenTypes); }
  const Tables& tables() const { return tables_; }

 private:
  struct Work;
  void encode_raw(Work& work, std::string_view text) const;
  void encode_normal(Work& work, std::string_view text) const;
  void encode_plain(Work& work, std::string_view text) const;
  template <class Plain>
  void split(Work& work, std::string_view text, uint32_t which, const Plain& plain) const;
  size_t added_at(Work& work, std::string_view text, size_t at, uint32_t which,
                  uint32_t& token) const;
  std::string_view without_space(std::string_view text) const;

  Tables tables_;
  bool added_first_[256] = {};  // bytes that begin an added token
};

// Gives text as soon as its characters are complete. The pieces, joined, are `decode` of the ids
// where no steps decode them.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_(skip_special), at_start_(tokenizer.strips_space()) {}

  // The text that `id` completes; empty while a character is unfinished.
  std::string push(uint32_t id);
  // The rest: U+FFFD for an unfinished character. The decoder is then new again.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_, at_start_;
  std::string held_;
};

}  // namespace tl::text
