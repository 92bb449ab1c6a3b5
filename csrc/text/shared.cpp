// The tokenizer as a shared library with C functions, for the tests that call it from Python.
#include <cstdlib>

#include "chat.h"
#include "json.h"

#define TL_SHARED extern "C" __attribute__((visibility("default")))

namespace {

using namespace tl::text;

// A copy for the caller, who frees it; never null where there is memory.
void* copied(const void* data, size_t size) {
  void* found = malloc(size ? size : 1);
  if (found && size) memcpy(found, data, size);
  return found;
}

}  // namespace

// A tokenizer over bytes that stay the caller's, or null and the reason in `error`.
TL_SHARED void* tl_text_open(const uint8_t* data, size_t size, const char** error) {
  auto* tokenizer = new Tokenizer;
  *error = tokenizer->open({data, size});
  if (!*error) return tokenizer;
  delete tokenizer;
  return nullptr;
}

TL_SHARED void tl_text_close(void* tokenizer) { delete static_cast<Tokenizer*>(tokenizer); }

TL_SHARED void tl_text_free(void* data) { free(data); }

// The ids of a text; null and the reason in `error` where there are none.
TL_SHARED uint32_t* tl_text_encode(const void* tokenizer, const char* text, size_t size,
                                   int add_special, int parse_special, size_t* count,
                                   const char** error) {
  std::vector<uint32_t> ids;
  *error = static_cast<const Tokenizer*>(tokenizer)->encode({text, size}, add_special,
                                                            parse_special, ids);
  *count = ids.size();
  if (*error) return nullptr;
  return static_cast<uint32_t*>(copied(ids.data(), ids.size() * sizeof ids[0]));
}

// The row of one text or two: ids, then as many types. A `second` of null: one text.
TL_SHARED uint32_t* tl_text_row(const void* tokenizer, const char* first, size_t first_size,
                                const char* second, size_t second_size, uint32_t most,
                                size_t* count, const char** error) {
  const std::string_view other(second, second ? second_size : 0);
  Row row;
  *error = static_cast<const Tokenizer*>(tokenizer)->encode_row(
      {first, first_size}, second ? &other : nullptr, most, row);
  *count = row.ids.size();
  if (*error) return nullptr;
  row.ids.insert(row.ids.end(), row.types.begin(), row.types.end());
  return static_cast<uint32_t*>(copied(row.ids.data(), row.ids.size() * sizeof row.ids[0]));
}

TL_SHARED char* tl_text_decode(const void* tokenizer, const uint32_t* ids, size_t count, int skip,
                               size_t* size) {
  const std::string text = static_cast<const Tokenizer*>(tokenizer)->decode({ids, count}, skip);
  *size = text.size();
  return static_cast<char*>(copied(text.data(), text.size()));
}

// The text of a stream of ids, with a zero byte between what two ids gave.
TL_SHARED char* tl_text_stream(const void* tokenizer, const uint32_t* ids, size_t count, int skip,
                               size_t* size) {
  StreamDecoder stream(*static_cast<const Tokenizer*>(tokenizer), skip);
  std::string text;
  for (size_t i = 0; i < count; ++i) text += stream.push(ids[i]) + '\0';
  text += stream.finish();
  *size = text.size();
  return static_cast<char*>(copied(text.data(), text.size()));
}

TL_SHARED int tl_text_ends(const void* tokenizer, uint32_t id) {
  return static_cast<const Tokenizer*>(tokenizer)->ends(id);
}

// The ids of a chat: messages as a JSON list of objects with role and content.
TL_SHARED uint32_t* tl_text_chat(const void* tokenizer, const char* text, size_t size, int answer,
                                 size_t* count, const char** error) {
  const auto& self = *static_cast<const Tokenizer*>(tokenizer);
  *count = 0;
  Chat chat;
  Json json;
  if ((*error = chat.open(self)) || (*error = json.parse({text, size}))) return nullptr;
  std::vector<Message> messages;
  if ((*error = read_messages(json, 0, messages))) return nullptr;
  std::vector<Part> parts;
  std::vector<uint32_t> ids;
  if ((*error = chat.render(messages, answer, parts))) return nullptr;
  if ((*error = self.encode_prompt(parts, ids))) return nullptr;
  *count = ids.size();
  return static_cast<uint32_t*>(copied(ids.data(), ids.size() * sizeof ids[0]));
}

// Nested arrays of numbers: their shape in front of them, all as doubles, the depth in `depth`.
TL_SHARED double* tl_text_numbers(const char* text, size_t size, size_t* count, size_t* depth,
                                  const char** error) {
  Json json;
  std::vector<int64_t> shape;
  std::vector<double> found;
  *count = *depth = 0;
  if ((*error = json.parse({text, size})) || (*error = json.numbers(0, shape, found)))
    return nullptr;
  found.insert(found.begin(), shape.begin(), shape.end());
  *count = found.size(), *depth = shape.size();
  return static_cast<double*>(copied(found.data(), found.size() * sizeof found[0]));
}

namespace {

void write(const Json& json, Json::Value value, std::string& out) {
  switch (json.kind(value)) {
    case Json::Kind::null:
      out += "n";
      return;
    case Json::Kind::boolean:
      out += json.boolean(value) ? "t" : "f";
      return;
    case Json::Kind::number: {
      const double number = json.number(value);
      out += json.whole(value) ? "i" : "d";
      out.append(reinterpret_cast<const char*>(&number), sizeof number);
      return;
    }
    default:
      break;
  }
  const uint32_t size = json.kind(value) == Json::Kind::string ? uint32_t(json.string(value).size())
                                                               : json.size(value);
  out += json.kind(value) == Json::Kind::string  ? "s"
         : json.kind(value) == Json::Kind::array ? "a"
                                                 : "o";
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  if (json.kind(value) == Json::Kind::string) {
    out += json.string(value);
    return;
  }
  for (auto at = json.first(value); at != json.last(value); at = json.next(at))
    write(json, at, out);
}

}  // namespace

// Asks every value of a document, and one that is missing, for what it is not: gives the sum of
// what they say, which is that of what they are.
TL_SHARED double tl_text_misread(const char* text, size_t size) {
  Json json;
  if (json.parse({text, size})) return -1;
  double found = 0;
  std::vector<Json::Value> values{0, Json::kMissing};
  while (!values.empty()) {
    const Json::Value value = values.back();
    values.pop_back();
    found += json.number(value) + json.boolean(value) + double(json.string(value).size()) +
             json.size(value) + (json.find(value, "a") != Json::kMissing);
    for (auto at = json.first(value); at != json.last(value); at = json.next(at))
      values.push_back(at);
  }
  return found;
}

// A document as its values in order: a letter for the kind, then the number, or the size and what
// is in it. Null and the reason in `error`, its place in `size_or_place`, where it is no JSON.
TL_SHARED char* tl_text_json(const char* text, size_t size, size_t* size_or_place,
                             const char** error) {
  Json json;
  *error = json.parse({text, size});
  *size_or_place = json.at();
  if (*error) return nullptr;
  std::string out;
  write(json, 0, out);
  *size_or_place = out.size();
  return static_cast<char*>(copied(out.data(), out.size()));
}
