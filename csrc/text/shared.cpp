// The tokenizer as a shared library with C functions, for the tests that call it from Python.
#include <cstdlib>

#include "tokenizer.h"

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
