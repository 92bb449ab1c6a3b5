// Chats of models whose template only writes texts around messages; src/tallow/text/chat_tables.py
// finds these texts and checks that they are all the template does.
#pragma once
#include "json.h"
#include "tokenizer.h"

namespace tl::text {

struct Message {
  std::string_view role;  // system, user or assistant
  std::string_view content;
};

// The messages of a list of objects with role and content: nullptr, or what is wrong.
const char* read_messages(const Json& json, Json::Value list, std::vector<Message>& messages);

class Chat {
 public:
  // nullptr, or why the section `chat` of a tokenizer's tables is none. The tokenizer must stay.
  const char* open(const Tokenizer& tokenizer);

  // Whether the file carries one.
  bool known() const { return known_; }

  // The prompt, in parts; those of messages are `plain`. With `answer` it ends with what makes the
  // model answer. Gives nullptr, or why a conversation has no prompt.
  const char* render(std::span<const Message> messages, bool answer,
                     std::vector<Part>& parts) const;

 private:
  // In the section: flags, the class of what `trim` takes, where each text ends, the texts.
  enum Text {
    head,
    system,
    user = system + 2,
    assistant = user + 2,
    generation = assistant + 2,
    count
  };
  enum Flag : uint32_t { alternates = 1, has_system = 2, trims = 4 };  // and 8, 16: of other roles

  std::string_view trimmed(std::string_view content) const;

  const Tables* tables_ = nullptr;
  bool known_ = false;
  uint32_t flags_ = 0, space_ = 0;
  Texts texts_;
};

}  // namespace tl::text
