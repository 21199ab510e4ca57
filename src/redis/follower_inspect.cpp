// What tools ask about the memory of this process (inspector.h, core/inspection.h).
#include <new>
#include <utility>

#include "core/hash.h"
#include "redis/follower.h"

namespace zoocache::redis {

// A question that comes too soon after another is passed over: who asks, asks again.
void Follower::on_question(std::string_view payload) {
  const auto asked = parse_question(payload);
  const std::int64_t now = now_ns();
  if (!asked || now < next_inspection_ns_) return;
  const std::uint64_t lot = core::stable_hash(place_.node, asked->question.number);
  if (lot % asked->one_in != 0) return;
  next_inspection_ns_ = now + options_.inspect_interval_ns;
  log_.inspect(asked->question);
}

void Follower::tell(const core::MemoryQuestion& question, const std::string& told) noexcept {
  try {
    const std::string text = place_.node + " " + std::to_string(question.number) + " " + told;
    transport_->async_execute(Link::kControl, {"PUBLISH", place_.answers(question.from), text},
                              lease(), [](const Answer&) {});
  } catch (const std::bad_alloc&) {
    return;  // as if it were lost on its way
  }
}

}  // namespace zoocache::redis
