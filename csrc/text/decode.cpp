// Tokens back to text as the decoder of a tokenizer.json says. Source: see text/decoding.py.
#include "steps.h"
#include "utf8.h"

namespace tl::text {
namespace {

using Tokens = std::vector<std::string>;

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  if (what.empty()) return;
  std::string out;
  size_t done = 0;
  for (size_t at; (at = text.find(what, done)) != std::string::npos; done = at + what.size()) {
    out.append(text, done, at - done);
    out += with;
  }
  if (!done) return;
  out.append(text, done);
  text.swap(out);
}

void wordpiece(Tokens& tokens, std::string_view prefix, bool cleanup) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i && tokens[i].starts_with(prefix))
      tokens[i].erase(0, prefix.size());
    else if (i)
      tokens[i].insert(size_t(0), 1, ' ');
    if (cleanup) clean_up(tokens[i], true);
  }
}

int hex_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte that a token such as <0xE2> stands for, or -1.
int byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const int high = hex_of(token[3]), low = hex_of(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void byte_fallback(Tokens& tokens) {
  Tokens found;
  std::string raw;
  const auto flush = [&] {
    std::string text;
    append_valid(text, raw, true);
    if (text == raw)
      found.push_back(raw);
    else
      found.insert(found.end(), raw.size(), "\xEF\xBF\xBD");
    raw.clear();
  };
  for (std::string& token : tokens) {
    const int byte = byte_of(token);
    if (byte >= 0) {
      raw += char(byte);
      continue;
    }
    if (!raw.empty()) flush();
    found.push_back(std::move(token));
  }
  if (!raw.empty()) flush();
  tokens.swap(found);
}

std::string joined(const Tokens& tokens, std::string_view between) {
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i) text += between;
    text += tokens[i];
  }
  return text;
}

// Tokens of a byte-level vocabulary: GPT-2's characters are bytes; other tokens are their own text.
void byte_level(Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) {
    const size_t before = bytes.size();
    for (size_t at = 0; at < token.size();) {
      const Char found = char_at(token, at);
      at += found.size;
      const uint32_t c = found.code;
      int byte = -1;
      if ((c >= 33 && c < 127) || (c >= 161 && c < 256 && c != 173)) byte = int(c);
      // The 68 others stand from U+0100 on, in order: 0 to 32, 127 to 160, 173.
      if (c >= 256 && c < 324) byte = c < 289 ? int(c) - 256 : c < 323 ? int(c) - 289 + 127 : 173;
      if (byte < 0) {
        bytes.resize(before);
        bytes += token;
        break;
      }
      bytes += char(byte);
    }
  }
  tokens.assign(1, {});
  append_valid(tokens[0], bytes, true);
}

void strip(std::string& token, std::string_view mark, size_t first, size_t last) {
  if (mark.empty()) return;
  size_t from = 0, to = token.size();
  const std::string_view text = token;
  for (; first && text.substr(from).starts_with(mark); --first) from += mark.size();
  for (; last && text.substr(from, to - from).ends_with(mark); --last) to -= mark.size();
  token = token.substr(from, to - from);
}

void replace_matches(Matcher& matcher, uint32_t program, std::string_view with, std::string& text) {
  std::string out;
  size_t done = 0, at = 0, from, to;
  bool empty = false;
  while (matcher.find(program, text, at, empty, from, to)) {
    if (!matcher.spend(with.size())) break;
    out.append(text, done, from - done);
    out += with;
    done = at = to;
    empty = from == to;
  }
  out.append(text, done);
  text.swap(out);
}

// Words end in `mark`, which becomes a space; white space at the ends of the text goes.
std::string end_of_word(const Tables& tables, std::string text, std::string_view mark,
                        uint32_t space) {
  replace_all(text, mark, " ");
  size_t from = 0, to = text.size();
  for (Char next; (next = char_at(text, from)).size; from += next.size)
    if (!tables.in_class(space, next.code)) break;
  while (to > from) {
    const size_t at = char_before(text, to);
    if (!tables.in_class(space, char_at(text, at).code)) break;
    to = at;
  }
  return text.substr(from, to - from);
}

}  // namespace

void clean_up(std::string& text, bool token) {
  static constexpr const char* kJoined[][2] = {
      {" .", "."},   {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {nullptr, ""}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [apart, together] : kJoined) {
    if (apart)
      replace_all(text, apart, together);
    else if (token)
      replace_all(text, " do not", " don't");
  }
}

std::string join_tokens(const Tables& tables, Matcher& matcher, Steps steps, Tokens& tokens) {
  std::string_view between, ending;
  uint32_t space = 0;
  for (size_t at = steps.from; at < steps.to;) {
    const uint32_t step = steps.code[at];
    const auto text = [&] { return tables.texts[steps.code[at + 1]]; };
    const auto value = [&](int i) { return steps.code[at + 1 + i]; };
    switch (Step(step)) {
      case Step::wordpiece:
        wordpiece(tokens, text(), value(1));
        break;
      case Step::metaspace:
        for (size_t i = 0; i < tokens.size(); ++i)
          replace_all(tokens[i], text(), i || !value(1) ? " " : "");
        break;
      case Step::suffix:
        for (size_t i = 0; i < tokens.size(); ++i)
          replace_all(tokens[i], text(), i + 1 < tokens.size() ? " " : "");
        break;
      case Step::byte_level:
        byte_level(tokens);
        break;
      case Step::byte_fallback:
        byte_fallback(tokens);
        break;
      case Step::fuse:
        tokens.assign(1, joined(tokens, ""));
        break;
      case Step::replace_token:
        for (std::string& token : tokens) {
          replace_matches(matcher, value(0), tables.texts[value(1)], token);
        }
        break;
      case Step::strip_token:
        for (std::string& token : tokens) strip(token, text(), value(1), value(2));
        break;
      case Step::spaced:
        between = " ";
        break;
      case Step::end_of_word:
        ending = text();
        space = value(1);
        break;
      default:
        break;
    }
    at += step_width(Step(step));
  }
  std::string found = joined(tokens, between);
  return ending.empty() ? found : end_of_word(tables, std::move(found), ending, space);
}

}  // namespace tl::text
