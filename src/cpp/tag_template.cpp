#include <charconv>

#include "zoocache/deps.h"
#include "zoocache/errors.h"

namespace zoocache::detail {
namespace {

[[noreturn]] void refuse(std::string_view text, const std::string& rule) {
  throw InvalidOption("deps template '" + std::string(text.substr(0, 80)) + "': " + rule);
}

}  // namespace

TagTemplate::TagTemplate(std::string_view text, std::size_t arity) : arity_(arity) {
  texts_.emplace_back();
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    const bool doubled = at + 1 < text.size() && text[at + 1] == letter;
    if ((letter == '{' || letter == '}') && doubled) {
      texts_.back() += letter;  // {{ and }} are braces
      ++at;
    } else if (letter == '{') {
      const std::size_t close = text.find('}', at);
      if (close == std::string_view::npos) refuse(text, "a '{' is not closed; '{{' is a brace");
      const std::string_view number = text.substr(at + 1, close - at - 1);
      std::size_t index = 0;
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), index);
      if (error != std::errc() || end != number.data() + number.size()) {
        refuse(text, "between braces goes an argument's number, as in {0}");
      }
      if (index >= arity) {
        refuse(text, "{" + std::string(number) + "} is beyond the function's " +
                         std::to_string(arity) + " arguments, which count from {0}");
      }
      holes_.push_back(index);
      texts_.emplace_back();
      at = close;
    } else if (letter == '}') {
      refuse(text, "a '}' closes nothing; '}}' is a brace");
    } else {
      texts_.back() += letter;
    }
  }
}

std::string TagTemplate::render(const std::vector<std::string>& arguments) const {
  std::string tag = texts_.front();
  for (std::size_t hole = 0; hole < holes_.size(); ++hole) {
    tag += arguments[holes_[hole]];
    tag += texts_[hole + 1];
  }
  return tag;
}

}  // namespace zoocache::detail
