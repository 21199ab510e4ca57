#include "core/home.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <thread>
#include <vector>

#include "core/hash.h"
#include "core/log.h"
#include "zoocache/errors.h"

namespace zoocache::core {
namespace {

constexpr std::chrono::milliseconds kLookInterval{2};
// Of one invalidation; a path takes a kibibyte.
constexpr std::size_t kMostPathsAtOnce = 10'000;

// Of texts of changes.
class Paths {
 public:
  // False: the text says nothing that is known here. Throws InvalidTag, std::bad_alloc.
  bool add(std::string_view text) {
    if (const auto id = HiddenTag::function_of(text)) {
      paths_.push_back(functions_.emplace_back(*id).path());
      return true;
    }
    if (text.empty() || text.front() == kHiddenMark) return false;
    paths_.push_back(TagPath::parse(text, kMaxTagLengthLimit));
    return true;
  }
  std::span<const TagPath> get() const noexcept { return paths_; }
  void clear() noexcept {
    paths_.clear();
    functions_.clear();
  }

 private:
  std::deque<HiddenTag> functions_;  // paths refer to them
  std::vector<TagPath> paths_;
};

// Holds or releases what is invalidated by the text.
void hold_text(InvalidationLog& log, std::string_view text, bool is_held) {
  const auto change = [&](const TagPath& path) {
    if (is_held) log.hold_tags({&path, 1});
    if (!is_held) log.release_tags({&path, 1});
  };
  if (const auto id = HiddenTag::function_of(text)) {
    change(HiddenTag(*id).path());
  } else if (is_tag_text(text)) {
    change(TagPath::trusted(text));
  } else if (is_held) {
    log.hold_root();
  } else {
    log.release_root();
  }
}

}  // namespace

HomeLook LogHome::look(std::span<const std::string> texts) {
  HomeLook found;
  found.epochs.resize(texts.size());
  return found;
}

HomeRows LogHome::rows(const std::string&, std::size_t) { return {}; }

std::vector<bool> LogHome::holds_many(std::span<const Question> questions) {
  std::vector<bool> answers;
  answers.reserve(questions.size());
  for (const Question& one : questions) {
    answers.push_back(holds(one.generation, one.born, one.texts));
  }
  return answers;
}

Epoch apply_changes(InvalidationLog& log, std::span<const Change> changes, std::uint32_t origin,
                    Epoch again_of) noexcept {
  try {
    Paths paths;
    const auto apply = [&] {
      const Epoch epoch = log.apply(paths.get(), origin, again_of);
      if (again_of == 0) again_of = epoch;
      paths.clear();
    };
    for (const Change& change : changes) {
      if (!change.is_done_here && !paths.add(change.text)) return log.apply_root(origin, again_of);
      if (paths.get().size() == kMostPathsAtOnce) apply();
    }
    if (!paths.get().empty()) apply();
    return again_of;
  } catch (const std::exception&) {  // no tag, or no memory to say so
    return log.apply_root(origin, again_of);
  }
}

void hold_changes(InvalidationLog& log, std::span<const Change> changes) {
  std::size_t done = 0;
  try {
    for (; done < changes.size(); ++done) hold_text(log, changes[done].text, true);
  } catch (...) {
    release_changes(log, changes.first(done));
    throw;
  }
}

void release_changes(InvalidationLog& log, std::span<const Change> changes) noexcept {
  for (const Change& change : changes) hold_text(log, change.text, false);
}

bool is_any_held(const InvalidationLog& log, std::span<const std::string> texts) {
  return std::any_of(texts.begin(), texts.end(), [&log](const std::string& text) {
    if (const auto id = HiddenTag::function_of(text)) return log.has_hold(HiddenTag(*id).path());
    return log.has_hold(TagPath::trusted(text));
  });
}

bool is_tag_text(std::string_view text) noexcept {
  try {
    check_tag(text, kMaxTagLengthLimit);
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

Inspected LogHome::inspect(const Inspection&) { return {}; }

void LogHome::tell(const MemoryQuestion&, std::string) noexcept {}

Reached reach(InvalidationLog& log, std::uint64_t generation, Epoch epoch,
              std::chrono::nanoseconds at_most) {
  LogHome* const home = log.home();
  if (home == nullptr) return Reached::kYes;  // every call sees what was invalidated before it
  const auto until = std::chrono::steady_clock::now() + at_most;
  bool has_asked = false;
  for (;;) {
    log.arrive();
    const HomePosition position = home->position();
    const bool is_same = position.generation == generation;
    if (position.trusted && is_same && epoch <= position.epoch) return Reached::kYes;
    // Of another generation: the home's, which this process has not heard of, or one that has
    // passed, of which nothing is served any more. And an epoch may be nobody's: cookies are.
    if (position.trusted && has_asked && !is_same) return Reached::kYes;
    if (!has_asked) {
      try {
        const Epoch newest = home->newest();
        if (home->position().generation == generation && epoch > newest) return Reached::kUnknown;
        has_asked = true;
        continue;
      } catch (const HomeUnreachable&) {
        // Then it is late.
      }
    }
    const auto left = until - std::chrono::steady_clock::now();
    if (left.count() <= 0) {
      log.apply_root();
      return Reached::kLate;
    }
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, kLookInterval));
  }
}

std::uint64_t shared_function_id(std::string_view name) noexcept {
  return stable_hash(name, 0x8CB92BA72F3D8DD7ULL);
}

}  // namespace zoocache::core
