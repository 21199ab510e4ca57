#include "core/intent.h"

namespace zoocache::core {
namespace {

std::vector<Change> changes_of(std::span<const TagPath> paths) {
  std::vector<Change> changes;
  changes.reserve(paths.size());
  for (const TagPath& path : paths) changes.emplace_back(path.text());
  return changes;
}

// Lets go of what is held at the end of the scope, however it ends.
class Release {
 public:
  Release(InvalidationLog& log, std::span<const TagPath> paths) : log_(log), paths_(paths) {}
  ~Release() { log_.release_tags(paths_); }
  Release(const Release&) = delete;
  Release& operator=(const Release&) = delete;

 private:
  InvalidationLog& log_;
  const std::span<const TagPath> paths_;
};

}  // namespace

std::uint64_t begin_write(InvalidationLog& log, std::span<const TagPath> paths) {
  log.hold_tags(paths);
  if (log.home() == nullptr) return 0;
  try {
    return log.home()->declare_intent(log, changes_of(paths));
  } catch (...) {
    log.release_tags(paths);
    throw;
  }
}

Epoch end_write(InvalidationLog& log, std::uint64_t token, std::span<const TagPath> paths,
                std::uint32_t origin) {
  return end_write(log, token, paths, paths, origin);
}

Epoch end_write(InvalidationLog& log, std::uint64_t token, std::span<const TagPath> held,
                std::span<const TagPath> changed, std::uint32_t origin) {
  const Release release(log, held);
  if (log.home() == nullptr) return log.apply(changed, origin);
  return log.home()->fire_intent(log, token, changes_of(changed), origin);
}

void cancel_write(InvalidationLog& log, std::uint64_t token,
                  std::span<const TagPath> paths) noexcept {
  {
    const Release release(log, paths);
    log.apply(paths);  // a load that is under way ends after this
  }
  if (log.home() != nullptr) log.home()->drop_intent(log, token);
}

std::vector<std::string> intent_texts(std::span<const Change> changes) {
  std::vector<std::string> texts;
  std::size_t bytes = 0;
  for (const Change& change : changes) {
    texts.emplace_back(change.text);
    bytes += change.text.size();
    if (texts.size() > kMaxIntentTexts || bytes > kMaxIntentBytes) return {std::string()};
  }
  return texts;
}

}  // namespace zoocache::core
