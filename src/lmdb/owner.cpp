#include "lmdb/owner.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <string_view>

namespace zoocache::lmdb {
namespace {

struct Stat {
  bool is_known = false;
  char state = 0;
  std::uint64_t threads = 0;
  std::uint64_t started = 0;
};

// Fields of /proc/<pid>/stat, counted from 1 as in proc(5). The second is the program's name in
// parentheses, which may hold anything; the last parenthesis ends it.
constexpr int kStateField = 3;
constexpr int kThreadsField = 20;
constexpr int kStartField = 22;

Stat read_stat(std::int32_t pid) noexcept {
  std::array<char, 32> path;
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
  const int descriptor = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return {};
  std::array<char, 1024> buffer;
  const ssize_t size = read(descriptor, buffer.data(), buffer.size());
  close(descriptor);
  std::string_view text(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= text.size()) return {};
  text.remove_prefix(name_end + 2);
  Stat stat;
  stat.state = text.front();
  for (int field = kStateField; field <= kStartField; ++field) {
    const std::size_t space = std::min(text.find(' '), text.size());
    std::uint64_t* const number = field == kThreadsField ? &stat.threads
                                  : field == kStartField ? &stat.started
                                                         : nullptr;
    if (number != nullptr) {
      stat.is_known = std::from_chars(text.data(), text.data() + space, *number).ec == std::errc();
    }
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return stat;
}

}  // namespace

Owner this_process() noexcept { return {getpid(), read_stat(getpid()).started}; }

bool is_alive(const Owner& owner) noexcept {
  if (owner.pid <= 0 || (kill(owner.pid, 0) != 0 && errno == ESRCH)) return false;
  const Stat stat = read_stat(owner.pid);
  if (!stat.is_known) return true;  // /proc does not show it: the number alone has to do
  // A main thread that ended before the others is a zombie of a process that lives.
  if ((stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1) return false;
  return owner.started == 0 || stat.started == owner.started;
}

bool OwnerLook::is_alive(const Owner& owner) {
  for (const auto& [one, alive] : seen_) {
    if (one == owner) return alive;
  }
  return seen_.emplace_back(owner, lmdb::is_alive(owner)).second;
}

}  // namespace zoocache::lmdb
