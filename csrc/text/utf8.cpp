// UTF-8, read and written.
#include "utf8.h"

namespace tl::text {

void append_char(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xC0 | code >> 6);
    out += char(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += char(0xE0 | code >> 12);
    out += char(0x80 | (code >> 6 & 0x3F));
    out += char(0x80 | (code & 0x3F));
  } else {
    out += char(0xF0 | (code >> 18 & 7));
    out += char(0x80 | (code >> 12 & 0x3F));
    out += char(0x80 | (code >> 6 & 0x3F));
    out += char(0x80 | (code & 0x3F));
  }
}

size_t scan_char(std::string_view bytes, bool& valid) {
  const uint8_t first = uint8_t(bytes[0]);
  valid = first < 0x80;
  if (valid || first < 0xC2 || first > 0xF4) return 1;
  const size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // The second byte's range keeps out overlong forms, surrogates and what lies beyond U+10FFFF.
  const uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < size; ++i) {
    if (i == bytes.size()) return 0;
    const uint8_t next = uint8_t(bytes[i]);
    if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF)) return i;
  }
  valid = true;
  return size;
}

size_t append_valid(std::string& out, std::string_view bytes, bool end) {
  size_t at = 0, from = 0;
  while (at < bytes.size()) {
    if (uint8_t(bytes[at]) < 0x80) {
      ++at;
      continue;
    }
    bool valid;
    size_t size = scan_char(bytes.substr(at), valid);
    if (size && valid) {
      at += size;
      continue;
    }
    out.append(bytes.substr(from, at - from));
    if (!size && !end) return at;
    out += "\xEF\xBF\xBD";
    from = at += size ? size : bytes.size() - at;
  }
  out.append(bytes.substr(from));
  return at;
}

}  // namespace tl::text
