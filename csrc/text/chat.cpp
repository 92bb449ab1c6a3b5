// Writes the texts of a template around the messages of a chat.
#include "chat.h"

#include "utf8.h"

namespace tl::text {

const char* read_messages(const Json& json, Json::Value list, std::vector<Message>& messages) {
  if (list == Json::kMissing || json.kind(list) != Json::Kind::array)
    return "messages: expected a list of objects with role and content";
  for (auto at = json.first(list); at != json.last(list); at = json.next(at)) {
    const Json::Value role = json.find(at, "role"), content = json.find(at, "content");
    for (const Json::Value text : {role, content})
      if (text == Json::kMissing || json.kind(text) != Json::Kind::string)
        return "messages: expected objects with role and content, both strings";
    messages.push_back({json.string(role), json.string(content)});
  }
  return nullptr;
}

const char* Chat::open(const Tokenizer& tokenizer) {
  tables_ = &tokenizer.tables();
  const auto bytes = tables_->section(Section::chat);
  known_ = !bytes.empty();
  if (!known_) return nullptr;
  constexpr size_t kHead = 4 * (2 + size_t(count));
  if (bytes.size() < kHead) return "tokenizer tables: expected the texts of a chat";
  const Numbers numbers(bytes);
  flags_ = numbers[0], space_ = numbers[1];
  texts_ = {Numbers(bytes.subspan(8, 4 * count)), tables_->bytes(Section::chat).substr(kHead)};
  if (space_ >= tables_->classes()) return "tokenizer tables: expected the spaces of a chat";
  return nullptr;
}

std::string_view Chat::trimmed(std::string_view content) const {
  size_t from = 0, to = content.size();
  for (Char next; (next = char_at(content, from)).size; from += next.size)
    if (!tables_->in_class(space_, next.code)) break;
  while (to > from) {
    const size_t at = char_before(content, to);
    if (!tables_->in_class(space_, char_at(content, at).code)) break;
    to = at;
  }
  return content.substr(from, to - from);
}

const char* Chat::render(std::span<const Message> messages, bool answer,
                         std::vector<Part>& parts) const {
  static constexpr std::string_view kRoles[] = {"system", "user", "assistant"};
  if (!known_) return "chat: the file carries no form of the model's template";
  if (messages.empty()) return "chat: expected at least one message";
  for (size_t i = 0; i < messages.size(); ++i) {
    size_t role = 0;
    while (role < 3 && kRoles[role] != messages[i].role) ++role;
    if (role == 3) return "chat: expected the role system, user or assistant";
    if (role == 0 && (i || !(flags_ & has_system)))
      return "chat: expected a system message first, or none where the file has no texts for one";
    const bool first_is_system = messages[0].role == kRoles[0];
    if (flags_ & alternates && role && (i - first_is_system) % 2 != role - 1)
      return "chat: expected user and assistant in turn, the user first";
    if (!i && role) parts.push_back({texts_[head], false});
    const size_t text = system + 2 * role;
    const bool trim = flags_ & trims << role;
    parts.push_back({texts_[text], false});
    parts.push_back({trim ? trimmed(messages[i].content) : messages[i].content, true});
    parts.push_back({texts_[text + 1], false});
  }
  if (answer) parts.push_back({texts_[generation], false});
  return nullptr;
}

}  // namespace tl::text
