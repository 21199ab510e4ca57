#include "redis/connection.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "core/clock.h"
#include "redis/descriptors.h"
#include "redis/fork_guard.h"
#include "redis/link.h"
#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

namespace asio = boost::asio;
using std::chrono::nanoseconds;

void check(const char* name, double value, double least, double most) {
  if (std::isfinite(value) && value >= least && value <= most) return;
  throw InvalidOption(std::string(name) + "=" + std::to_string(value) +
                      " is not allowed: seconds, " + std::to_string(least) + " to " +
                      std::to_string(most));
}

void check(const ClientOptions& options) {
  check("connect_timeout_s", options.connect_timeout_s, 0.001, 60);
  check("health_check_s", options.health_check_s, 0.01, 60);
  check("most_wait_s", options.most_wait_s, 0.001, 60);
  check("first_wait_s", options.first_wait_s, 0.001, options.most_wait_s);
  const std::size_t bytes = options.max_reply_bytes;
  if (bytes < (std::size_t{1} << 17) || bytes > (std::size_t{1} << 30)) {
    throw InvalidOption("max_reply_bytes=" + std::to_string(bytes) +
                        " is not allowed: 2^17 to 2^30");
  }
  const BreakerOptions& breaker = options.breaker;
  if (breaker.first_pause_ns < 1 || breaker.most_pause_ns < breaker.first_pause_ns ||
      breaker.probe_timeout_ns < 1) {
    throw InvalidOption("breaker.first_pause_ns=" + std::to_string(breaker.first_pause_ns) +
                        " is not allowed: above 0, at most most_pause_ns, and probe_timeout_ns "
                        "above 0");
  }
  if (options.url.hosts.empty() == options.url.socket_path.empty()) {
    throw InvalidOption(
        "url='' is not allowed: it names hosts or a socket; make it with parse_url");
  }
}

constexpr int kMostLeftOver = 1 << 20;  // handlers that run when a client is taken down
constexpr nanoseconds kLongestTimeout = std::chrono::hours(1);
constexpr std::chrono::milliseconds kGrace{100};  // for a thread that is busy when time is up

nanoseconds span(double seconds) { return nanoseconds(static_cast<std::int64_t>(seconds * 1e9)); }

SessionPlan plan_of(const ClientOptions& options, Link link) {
  const Url& url = options.url;
  SessionPlan plan;
  if (!url.hosts.empty()) plan.endpoint = url.hosts.front();
  plan.socket_path = url.socket_path;
  plan.is_tls = url.is_tls;
  plan.ca_file = url.ca_file;
  plan.credentials = url.credentials;
  plan.client_name = url.client_name.empty() ? options.client_name : url.client_name;
  plan.database = url.database;
  if (link == Link::kControl) plan.channels = options.channels;
  plan.needs_primary = !url.primary.empty();
  plan.connect_timeout =
      span(url.connect_timeout_s > 0 ? url.connect_timeout_s : options.connect_timeout_s);
  plan.up_timeout = 4 * plan.connect_timeout;  // name, connection, TLS, setup
  plan.health_check = span(options.health_check_s);
  plan.max_reply_bytes = options.max_reply_bytes;
  plan.read_bytes = std::size_t{link == Link::kControl ? 4U : 64U} << 10;
  return plan;
}

LinkOptions link_options(const ClientOptions& options, Link link) {
  const Url& url = options.url;
  LinkOptions made;
  made.plan = plan_of(options, link);
  made.first_wait_ns = span(options.first_wait_s).count();
  made.most_wait_ns = span(options.most_wait_s).count();
  if (url.primary.empty()) return made;
  made.primary = url.primary;
  made.sentinels = url.hosts;
  made.sentinel_plan = made.plan;
  made.sentinel_plan.credentials = url.sentinel_credentials;
  made.sentinel_plan.database = 0;
  made.sentinel_plan.channels.clear();
  made.sentinel_plan.needs_primary = false;
  made.sentinel_plan.up_timeout = made.plan.connect_timeout;
  return made;
}

// Names are looked up by a thread of Asio's that nobody can interrupt.
bool has_names(const Url& url) {
  for (const Endpoint& one : url.hosts) {
    boost::system::error_code error;
    asio::ip::make_address(one.host, error);
    if (error) return true;
  }
  return false;
}

void demand_sendable(const Command& command) {
  if (const char* const trouble = command.trouble()) {
    const std::string name = command.words().empty() ? "" : command.words()[0].substr(0, 80);
    throw InvalidOption("command '" + name + "' is not allowed: " + trouble);
  }
}

Answer failed(Trouble trouble, std::string detail) {
  return {Reply(), {trouble, std::move(detail)}};
}

}  // namespace

class Client::Impl final : private LinkEvents, private ForkGuard {
 public:
  Impl(const ClientOptions& options, Listener& listener)
      : listener_(listener),
        needs_lookup_(has_names(options.url)),
        has_control_(options.has_control),
        breaker_(options.breaker),
        io_(std::make_unique<asio::io_context>(1)),
        work_(io_->get_executor()),
        marker_(*io_),
        control_(*io_, Link::kControl, link_options(options, Link::kControl), *this),
        data_(*io_, Link::kData, link_options(options, Link::kData), *this) {
    const int marker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (marker >= 0) {
      marker_.assign(marker);
      descriptors_ = Descriptors(marker);
    }
    watch();
    asio::post(*io_, [this] {
      if (has_control_) control_.start();
      data_.start();
    });
    thread_ = std::thread([this] { run(); });
  }

  // All that waits has failed when it returns.
  void take_down() {
    asio::post(*io_, [this] { stop(); });
    thread_.join();
    unwatch();
    // What was posted behind the stop finds links that are down.
    io_->restart();
    for (int left = kMostLeftOver; left > 0 && io_->poll_one() != 0; --left) {
    }
  }
  // Whether the destructor may have to wait for a name that is being looked up.
  bool needs_lookup() const noexcept { return needs_lookup_; }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool is_inherited() const noexcept { return is_inherited_.load(); }
  bool is_own_thread() const { return io_->get_executor().running_in_this_thread(); }
  const KeptLink& link(Link which) const { return which == Link::kControl ? control_ : data_; }
  KeptLink& link(Link which) { return which == Link::kControl ? control_ : data_; }

  void call_after(nanoseconds delay, std::function<void()> work);
  std::optional<Answer> refusal(Link which, Breaker::Pass& pass);
  void send(Link which, Breaker::Pass pass, Command command, Call::Clock::time_point deadline,
            OnAnswer on_answer);
  void post(std::function<void()> work) { asio::post(*io_, std::move(work)); }
  void open_control() {
    post([this] {
      if (!std::exchange(has_control_, true)) control_.start();
    });
  }
  bool await(Link which, nanoseconds timeout);
  ClientStats stats() const;

 private:
  void on_link_up(Link which, const Server& server) override;
  void on_link_push(Link, const Reply& message) override { listener_.on_push(message); }
  void on_link_lost(Link which, const Failure& why) override;
  void on_link_not_made(Link) override { tell_waiters(); }
  void tell_waiters();
  void in_child() noexcept override {
    is_inherited_.store(true);
    descriptors_.close_all();
  }
  void run();
  void rebuild(const std::string& why);
  void stop();

  Listener& listener_;
  const bool needs_lookup_;
  bool has_control_;  // the thread's
  Breaker breaker_;
  std::atomic<std::uint64_t> connects_{0};
  std::atomic<std::uint64_t> losses_{0};
  std::atomic<std::uint64_t> timeouts_{0};
  std::atomic<std::uint64_t> exceptions_{0};
  std::atomic<bool> is_inherited_{false};
  std::mutex await_mutex_;  // guards nothing but the wait
  std::condition_variable has_changed_;
  Descriptors descriptors_;
  std::unique_ptr<asio::io_context> io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::posix::stream_descriptor marker_;
  KeptLink control_;
  KeptLink data_;
  std::thread thread_;
};

// What is thrown leaves the loop usable; the connections may be in the middle of anything. They are
// made anew within the loop, so that a listener that throws again is caught again.
void Client::Impl::run() {
  std::string thrown;
  bool is_broken = false;
  for (;;) {
    try {
      if (is_broken) rebuild(thrown);
      is_broken = false;
      io_->run();
      return;
    } catch (const std::exception& error) {
      thrown = error.what();
    } catch (...) {
      thrown = "an exception of unknown type";
    }
    is_broken = true;
    exceptions_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Client::Impl::rebuild(const std::string& why) {
  for (const Link which : {Link::kControl, Link::kData}) {
    if (which == Link::kControl && !has_control_) continue;
    asio::post(*io_, [this, which, why] { link(which).restart({Trouble::kInternal, why}); });
  }
}

void Client::Impl::stop() {
  const Failure why{Trouble::kStopped, "the connection was taken down"};
  work_.reset();
  try {
    control_.stop(why);
    data_.stop(why);
  } catch (...) {
    io_->stop();
    throw;
  }
  io_->stop();
}

void Client::Impl::on_link_up(Link which, const Server& server) {
  connects_.fetch_add(1, std::memory_order_relaxed);
  descriptors_.close_on_exec();  // Asio's sockets are not made so
  if (which == Link::kData) breaker_.renewed(core::boot_time_ns());
  tell_waiters();
  listener_.on_back(which, server);
}

void Client::Impl::on_link_lost(Link which, const Failure& why) {
  losses_.fetch_add(1, std::memory_order_relaxed);
  listener_.on_lost(which, why);
}

void Client::Impl::tell_waiters() {
  const std::lock_guard lock(await_mutex_);
  has_changed_.notify_all();
}

bool Client::Impl::await(Link which, nanoseconds timeout) {
  std::unique_lock lock(await_mutex_);
  const auto is_decided = [&] {
    return link(which).is_up() || !may_pass_soon(link(which).failure().trouble);
  };
  has_changed_.wait_for(lock, std::min(timeout, kLongestTimeout), is_decided);
  return link(which).is_up();
}

void Client::Impl::call_after(nanoseconds delay, std::function<void()> work) {
  asio::post(*io_, [this, delay, work = std::move(work)]() mutable {
    const auto timer = std::make_shared<asio::steady_timer>(*io_, delay);
    timer->async_wait([timer, work = std::move(work)](const boost::system::error_code& error) {
      if (!error) work();
    });
  });
}

// What fails without being sent; else the command may pass.
std::optional<Answer> Client::Impl::refusal(Link which, Breaker::Pass& pass) {
  if (is_inherited()) {
    return failed(Trouble::kForked, "this connection belongs to the parent process");
  }
  if (!link(which).is_up()) {
    const Failure why = link(which).failure();
    return failed(Trouble::kNotConnected, std::string(name_of(why.trouble)) + ": " + why.detail);
  }
  if (which == Link::kControl) return std::nullopt;
  pass = breaker_.enter(core::boot_time_ns());
  if (pass.is_allowed) return std::nullopt;
  return failed(Trouble::kBreakerOpen, "commands failed a moment ago");
}

void Client::Impl::send(Link which, Breaker::Pass pass, Command command,
                        Call::Clock::time_point deadline, OnAnswer on_answer) {
  auto report = [this, pass, on_answer = std::move(on_answer)](Answer answer) {
    if (answer.failure.trouble == Trouble::kTimeout) {
      timeouts_.fetch_add(1, std::memory_order_relaxed);
    }
    breaker_.report(pass, answer.has_reply(), core::boot_time_ns());
    on_answer(std::move(answer));
  };
  auto call = std::make_shared<Call>(std::move(command), deadline, std::move(report));
  asio::post(
      *io_, [this, which, call = std::move(call)]() mutable { link(which).send(std::move(call)); });
}

ClientStats Client::Impl::stats() const {
  ClientStats stats;
  stats.connects = connects_.load(std::memory_order_relaxed);
  stats.losses = losses_.load(std::memory_order_relaxed);
  stats.timeouts = timeouts_.load(std::memory_order_relaxed);
  stats.breaker_openings = breaker_.openings();
  stats.exceptions = exceptions_.load(std::memory_order_relaxed);
  return stats;
}

Client::Client(const ClientOptions& options, Listener& listener) {
  check(options);
  impl_ = std::make_unique<Impl>(options, listener);
}

// An allocation that fails here ends the process: nothing else would end the thread.
// NOLINTNEXTLINE(bugprone-exception-escape)
Client::~Client() {
  // The parent's thread does not exist here, and its locks may be held for good.
  if (impl_->is_inherited()) {
    static_cast<void>(impl_.release());
    return;
  }
  impl_->take_down();
  if (impl_->needs_lookup()) std::thread([impl = std::move(impl_)] {}).detach();
}

void Client::async_execute(Link link, Command command, nanoseconds timeout, OnAnswer on_answer) {
  demand_sendable(command);
  Breaker::Pass pass;
  if (auto refused = impl_->refusal(link, pass)) {
    if (refused->failure.trouble == Trouble::kForked) {
      on_answer(*std::move(refused));  // there is no other thread
    } else {
      impl_->post([refused = *std::move(refused), on_answer = std::move(on_answer)] {
        on_answer(refused);
      });
    }
    return;
  }
  const auto deadline = Call::Clock::now() + std::min(timeout, kLongestTimeout);
  impl_->send(link, pass, std::move(command), deadline, std::move(on_answer));
}

Answer Client::execute(Link link, Command command, nanoseconds timeout) {
  demand_sendable(command);
  if (!impl_->is_inherited() && impl_->is_own_thread()) {
    throw std::logic_error("Client::execute waits; a callback must use async_execute");
  }
  Breaker::Pass pass;
  if (auto refused = impl_->refusal(link, pass)) return *std::move(refused);
  struct Waiter {
    std::mutex mutex;
    std::condition_variable is_answered;
    std::optional<Answer> answer;
  };
  const auto waiter = std::make_shared<Waiter>();
  const auto deadline = Call::Clock::now() + std::min(timeout, kLongestTimeout);
  impl_->send(link, pass, std::move(command), deadline, [waiter](Answer answer) {
    const std::lock_guard lock(waiter->mutex);
    waiter->answer = std::move(answer);
    waiter->is_answered.notify_one();
  });
  std::unique_lock lock(waiter->mutex);
  const auto is_answered = [&waiter] { return waiter->answer.has_value(); };
  if (!waiter->is_answered.wait_until(lock, deadline + kGrace, is_answered)) {
    return failed(Trouble::kTimeout, "no reply in time; a callback holds up the connection");
  }
  return *std::move(waiter->answer);
}

std::int64_t Client::now_ns() const noexcept { return core::read_clock_ns(CLOCK_BOOTTIME); }

void Client::call_after(nanoseconds delay, std::function<void()> work) {
  if (!impl_->is_inherited()) impl_->call_after(delay, std::move(work));
}

void Client::open(Link link) {
  if (link == Link::kControl && !impl_->is_inherited()) impl_->open_control();
}

bool Client::is_connected(Link link) const noexcept {
  return !impl_->is_inherited() && impl_->link(link).is_up();
}

bool Client::await_connected(Link link, nanoseconds timeout) {
  if (impl_->is_inherited()) return false;
  if (impl_->is_own_thread()) {
    throw std::logic_error("Client::await_connected waits; a callback must not");
  }
  return impl_->await(link, timeout);
}

Failure Client::failure(Link link) const {
  if (impl_->is_inherited()) {
    return {Trouble::kForked, "this connection belongs to the parent process"};
  }
  return impl_->link(link).failure();
}

ClientStats Client::stats() const { return impl_->is_inherited() ? ClientStats() : impl_->stats(); }

}  // namespace zoocache::redis
