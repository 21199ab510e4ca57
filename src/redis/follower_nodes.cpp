// Who follows the log: leaving it, forgetting who is silent, waiting for all.
#include <algorithm>
#include <thread>

#include "redis/follower.h"
#include "redis/follower_silent.h"
#include "redis/intents.h"

namespace zoocache::redis {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kFarewell = std::chrono::milliseconds(100);
constexpr int kLooksInPatience = 2;
constexpr int kAsksInLease = 40;

bool all_applied(const Nodes& found, core::Epoch epoch) {
  return std::all_of(found.nodes.begin(), found.nodes.end(),
                     [epoch](const NodeRecord& one) { return one.applied >= epoch; });
}

}  // namespace

// In a child of fork() nothing is said: the record is the parent's.
Follower::~Follower() {
  unwatch();
  if (!is_inherited() && !options_.is_writer && transport_->is_connected(Link::kControl)) {
    const nanoseconds timeout = std::min(kFarewell, nanoseconds(options_.command_timeout_ns));
    // Whether it was heard does not matter: others forget who is silent.
    run(*transport_, Link::kControl, scripts_.leave, leave_call(place_, place_.node, std::nullopt),
        timeout);
  }
}

void Follower::look_for_silent() {
  const std::int64_t now = now_ns();
  if (silent_->next_look_ns == 0) silent_->next_look_ns = now + silent_->patience_ns;
  if (now < silent_->next_look_ns || !transport_->is_connected(Link::kControl)) return;
  silent_->next_look_ns = now + silent_->patience_ns / kLooksInPatience;
  run(*transport_, Link::kControl, scripts_.nodes, nodes_call(place_, false), lease(),
      [this](const Answer& answer) {
        const auto found = answer.has_reply() ? parse_nodes(answer.reply) : std::nullopt;
        if (!found || found->needs > kLogVersion) return;  // the next look is soon enough
        for (const NodeRecord& one : silent_->look(found->nodes, now_ns())) {
          run(*transport_, Link::kControl, scripts_.leave, leave_call(place_, one.name, one.beat),
              lease(), [](const Answer&) {});
        }
      });
}

bool Follower::wait_applied(std::uint64_t generation, core::Epoch epoch, nanoseconds timeout) {
  const std::int64_t start_ns = now_ns();
  const std::int64_t young_ms = Lease::kMemoryLeases * options_.lease_ns / 1'000'000;
  for (bool asks = true;; asks = false) {
    const std::int64_t deadline_ns = now_ns() + options_.command_timeout_ns;
    const Answer answer = ask(scripts_.nodes, nodes_call(place_, asks), deadline_ns);
    const auto found = answer.has_reply() ? parse_nodes(answer.reply) : std::nullopt;
    // Who is registered says nothing while records may be missing of those who were before.
    if (found && found->nonce == generation && found->needs <= kLogVersion &&
        found->age_ms >= young_ms && all_applied(*found, epoch)) {
      return true;
    }
    const std::int64_t waited_ns = now_ns() - start_ns;
    if (waited_ns >= options_.lease_ns) return true;
    if (waited_ns >= timeout.count()) return false;
    std::this_thread::sleep_for(std::min(nanoseconds(options_.lease_ns / kAsksInLease),
                                         nanoseconds(timeout.count() - waited_ns)));
  }
}

}  // namespace zoocache::redis
