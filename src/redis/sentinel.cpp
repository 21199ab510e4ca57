#include "redis/sentinel.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace zoocache::redis {

void SentinelQuery::ask(OnFound on_found) {
  on_found_ = std::move(on_found);
  asked_ = 0;
  troubles_.clear();
  ask_next();
}

void SentinelQuery::cancel() {
  on_found_ = nullptr;
  if (session_ != nullptr) std::exchange(session_, nullptr)->end({Trouble::kStopped, "cancelled"});
}

void SentinelQuery::ask_next() {
  if (asked_ == sentinels_.size()) {
    found({{}, {Trouble::kNoPrimary, "no sentinel knows " + primary_ + ":" + troubles_}});
    return;
  }
  plan_.endpoint = sentinels_[asked_];
  session_ = Session::start(io_, plan_, *this);
}

void SentinelQuery::on_session_up(const Server&) {
  const auto until = Call::Clock::now() + plan_.up_timeout;
  session_->send(std::make_shared<Call>(Command{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", primary_},
                                        until, [this](const Answer& answer) { answered(answer); }));
}

void SentinelQuery::on_session_down(const Failure& why) {
  session_ = nullptr;
  troubles_ += " " + plan_.endpoint.host + ": " + why.detail + ";";
  ++asked_;
  ask_next();
}

void SentinelQuery::answered(const Answer& answer) {
  if (session_ == nullptr) return;  // it ended, and `on_session_down` goes on
  Failure why = answer.failure;
  const std::vector<Reply>& items = answer.reply.items;
  if (answer.has_reply() && items.size() == 2) {
    const std::int64_t port = items[1].integer().value_or(0);
    if (!items[0].text.empty() && port > 0 && port < 65536) {
      found({{items[0].text, static_cast<std::uint16_t>(port)}, {}});
      return;
    }
  }
  if (answer.has_reply()) {
    why.detail = answer.reply.is_error() ? answer.reply.text : "does not know it";
  }
  std::exchange(session_, nullptr)->end({Trouble::kStopped, "another is asked"});
  on_session_down(why);
}

void SentinelQuery::found(const Found& result) {
  const OnFound tell = std::exchange(on_found_, nullptr);
  const auto first = sentinels_.begin();
  if (result.failure.trouble == Trouble::kNone) {
    std::rotate(first, first + static_cast<std::ptrdiff_t>(asked_),
                first + static_cast<std::ptrdiff_t>(asked_) + 1);
  }
  if (session_ != nullptr) std::exchange(session_, nullptr)->end({Trouble::kStopped, "answered"});
  if (tell != nullptr) tell(result);
}

}  // namespace zoocache::redis
