#include "cpp/teller.h"

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "core/inspection.h"
#include "cpp/state.h"

namespace zoocache::detail {
namespace {

void answer(CacheState& cache, const core::MemoryQuestion& question) {
  core::LogHome* const home = cache.engine.log().home();
  auto told =
      core::memory_of(cache.engine, "C++", question.tag, [](std::string name) { return name; });
  home->tell(question, to_json(std::move(told), question.most_bytes));
}

}  // namespace

void Teller::inspect(const core::MemoryQuestion& question) noexcept {
  if (is_busy_.exchange(true)) return;
  try {
    cache_.storage_jobs.start([this, weak = cache_.weak_from_this(), question] {
      const CachePtr cache = weak.lock();
      if (cache == nullptr) return;
      try {
        answer(*cache, question);
      } catch (const std::exception&) {
        is_busy_.store(false);  // no memory, or the tag is none here: no answer
        return;
      }
      is_busy_.store(false);
    });
  } catch (const std::exception&) {
    is_busy_.store(false);  // no thread: no answer
  }
}

}  // namespace zoocache::detail
