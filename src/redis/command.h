// One command for a Redis server: words of any bytes.
//
// Commands after which replies no longer come one for one, or in another protocol, are refused:
// what follows them on the connection could not be told apart.
// Thread-safety: plain values.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace zoocache::redis {

class Command {
 public:
  Command() = default;
  Command(std::initializer_list<std::string_view> words) : words_(words.begin(), words.end()) {}

  Command& add(std::string_view word) {
    words_.emplace_back(word);
    return *this;
  }
  template <std::integral Number>
  Command& add(Number number) {
    words_.push_back(std::to_string(number));
    return *this;
  }
  const std::vector<std::string>& words() const noexcept { return words_; }

  // Why it cannot be sent; null if it can.
  const char* trouble() const {
    if (words_.empty() || words_[0].empty()) return "a command without a name";
    static constexpr std::string_view kRefused[] = {
        "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE",
        "MONITOR",   "SYNC",        "PSYNC",      "RESET",        "QUIT",       "HELLO"};
    const std::string name = upper(words_[0]);
    for (const std::string_view one : kRefused) {
      if (name == one) return "a command that changes what its connection answers";
    }
    if (name == "CLIENT" && words_.size() > 1 && upper(words_[1]) == "REPLY") {
      return "a command that changes what its connection answers";
    }
    return nullptr;
  }

 private:
  static std::string upper(std::string_view word) {
    std::string text(word);
    for (char& one : text) {
      if (one >= 'a' && one <= 'z') one = static_cast<char>(one - 'a' + 'A');
    }
    return text;
  }

  std::vector<std::string> words_;
};

}  // namespace zoocache::redis
