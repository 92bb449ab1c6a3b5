// UTF-8: code points out of bytes, and invalid bytes as U+FFFD the way Python's "replace" does it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace tl::text {

// One code point; `size` is its bytes, 0 at the end of the text.
struct Char {
  uint32_t code;
  uint32_t size;
};

// The code point at `at` of valid UTF-8. Of other bytes it gives some number below 2^21 and a size
// that stays within the text.
inline Char char_at(std::string_view text, size_t at) {
  if (at >= text.size()) return {0, 0};
  const size_t left = text.size() - at;
  const auto byte = [&](size_t i) { return uint32_t(uint8_t(text[at + i])); };
  const uint32_t first = byte(0);
  if (first < 0x80 || left < 2) return {first, 1};
  if (first < 0xE0 || left < 3) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0 || left < 4)
    return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          4};
}

// Where the character before `at` begins; 0 at the start.
inline size_t char_before(std::string_view text, size_t at) {
  while (at && (uint8_t(text[--at]) & 0xC0) == 0x80) {
  }
  return at;
}

inline bool begins_char(char byte) { return (uint8_t(byte) & 0xC0) != 0x80; }

void append_char(std::string& out, uint32_t code);

// The bytes of the character that begins `bytes`, or 0 where they may be the beginning of one that
// goes on behind them. Where they are none, `valid` is false and the size is what one U+FFFD
// replaces: Unicode's "maximal subpart" (table 3-8), as in Python and in WHATWG's decoder.
size_t scan_char(std::string_view bytes, bool& valid);

// Appends `bytes` with U+FFFD for what is not UTF-8. The bytes of an unfinished character at the
// end are not consumed unless this is the `end`; the number of bytes consumed is given.
size_t append_valid(std::string& out, std::string_view bytes, bool end);

}  // namespace tl::text
