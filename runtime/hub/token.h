#pragma once

#include <string>
#include <utility>

namespace emulsion {

// What proves to the hub who asks.  It has no operator<<, so that no message can hold it.
class Token {
 public:
  Token() = default;
  explicit Token(std::string text) : text_(std::move(text)) {}

  bool empty() const { return text_.empty(); }
  std::string authorization() const { return "Authorization: Bearer " + text_; }  // a header's line

 private:
  std::string text_;
};

}  // namespace emulsion
