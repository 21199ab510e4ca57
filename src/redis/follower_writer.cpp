// A process that declares changes and caches nothing (mode writer): it does not subscribe, beat or
// register, and nothing here is ever fresh. What is left to do is its journal: whether the log is
// still the one that acknowledged it has to be asked, as long as there is something in it.
#include "redis/follower.h"

namespace zoocache::redis {

void Follower::look_at_generation() {
  {
    const std::lock_guard lock(mutex_);
    if (journal_.is_empty()) return;
  }
  if (!transport_->is_connected(Link::kControl)) return;
  run(*transport_, Link::kControl, scripts_.nodes, nodes_call(place_, false), lease(),
      [this, sent_ns = now_ns()](const Answer& answer) {
        const auto found = answer.has_reply() ? parse_nodes(answer.reply) : std::nullopt;
        if (!found) {
          note_trouble(answer);
          return;
        }
        {
          const std::lock_guard lock(mutex_);
          breaker_.close();
          needs_.store(found->needs);
          // 0: nobody has begun one in this life of the server, and so nobody can have missed it.
          if (found->nonce != 0) follow_generation(*found, sent_ns);
        }
        retry_kept();
      });
}

// REQUIRES: the mutex.
void Follower::follow_generation(const Nodes& found, std::int64_t sent_ns) {
  if (lease_.nonce() == 0) lease_.begin(found.nonce, 0);
  if (found.nonce != lease_.nonce()) {
    ++counters_.generation_changes;
    lease_.begin(found.nonce, 0);
    journal_.replay(found.nonce, began_ns(found.age_ms, sent_ns));
  }
  journal_.forget_before(sent_ns);
}

}  // namespace zoocache::redis
