#include "redis/inspector.h"

#include <algorithm>
#include <utility>

#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kMostPerNode = 4;  // answers of one name: somebody makes them up

}  // namespace

Inspector::Inspector(const Place& place, const MakeSubscribed& make_transport)
    : questions_(place.questions()), answers_(place.answers(place.node)), from_(place.node) {
  watch();
  transport_ = make_transport(answers_, *this);
}

core::Inspected Inspector::ask(const core::Inspection& question) {
  const std::lock_guard asking(asking_mutex_);
  const std::int64_t until_ns = transport_->now_ns() + question.wait.count();
  const auto left = [&] {
    return nanoseconds(std::max<std::int64_t>(until_ns - transport_->now_ns(), 1));
  };
  if (!transport_->await_connected(Link::kControl, left())) {
    const Failure why = transport_->failure(Link::kControl);
    throw HomeUnreachable(std::string(name_of(why.trouble)) + ": " + why.detail);
  }
  // How many there are is known by what the last question has reached.
  const std::size_t processes = std::max<std::size_t>(processes_, 1);
  const std::size_t share = std::clamp(question.most_bytes / processes, core::kLeastInspectionBytes,
                                       core::kMostInspectionBytes);
  const std::size_t fit = std::max<std::size_t>(question.most_bytes / share, 1);
  Asked asked{{from_, 0, share, question.tag}, (processes + fit - 1) / fit};
  {
    const std::lock_guard lock(mutex_);
    asked.question.number = ++number_;
    told_.clear();
  }
  core::Inspected found;
  found.asked = processes_ = publish(text_of(asked), left());
  std::unique_lock lock(mutex_);
  answered_.wait_for(lock, left(), [&] { return told_.size() >= found.asked; });
  found.answers = std::exchange(told_, {});
  ++number_;  // who is late is not heard
  return found;
}

// To how many processes it went.
std::size_t Inspector::publish(const std::string& question, nanoseconds at_most) {
  const Answer answer =
      transport_->execute(Link::kControl, {"PUBLISH", questions_, question}, at_most);
  if (!answer.has_reply()) {
    throw HomeUnreachable(std::string(name_of(answer.failure.trouble)) + ": " +
                          answer.failure.detail);
  }
  const auto reached = answer.reply.integer();
  if (!reached) throw HomeUnreachable("the server says " + answer.reply.text.substr(0, 200));
  return static_cast<std::size_t>(std::max<std::int64_t>(*reached, 0));
}

void Inspector::on_push(const Reply& message) {
  if (message.items.size() < 3 || message.items[1].text != answers_) return;
  auto answer = parse_memory_answer(message.items[2].text);
  if (!answer) return;
  const std::lock_guard lock(mutex_);
  if (answer->number != number_) return;
  const auto of_node = std::count_if(
      told_.begin(), told_.end(), [&](const auto& one) { return one.node == answer->told.node; });
  if (static_cast<std::size_t>(of_node) >= kMostPerNode) return;
  told_.push_back(std::move(answer->told));
  answered_.notify_all();
}

}  // namespace zoocache::redis
