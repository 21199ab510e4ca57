// Several processes, a primary with a lagging replica, and the network between them, in one thread
// and in virtual time.
//
//   World      the queue of what happens, and when; waiting in it means letting other things happen
//   Network    which server is the primary; failover; who still speaks with the old one
//   Wire       a Transport: the connection of one process, which breaks, delays, loses and doubles
//
// A process may freeze: nothing of it happens until it thaws, its callbacks included.
// Thread-safety: one owner.
#pragma once

#include <zoocache/home.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/home.h"
#include "redis/redis_log.h"
#include "redis/transport.h"
#include "redis_sim_server.h"

namespace zoocache::testing {

inline constexpr std::int64_t kSimMs = 1'000'000;
inline constexpr std::int64_t kSimLeaseNs = 2000 * kSimMs;

class World final : public core::TimeSource {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {}

  std::int64_t now_ns() noexcept override { return now_ns_; }
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  bool chance(double share) {
    return std::uniform_real_distribution<double>(0, 1)(random_) < share;
  }
  std::int64_t between_ms(std::uint64_t least, std::uint64_t most) {
    return static_cast<std::int64_t>(least + draw(most - least + 1)) * kSimMs;
  }

  void after(std::int64_t delay_ns, std::function<void()> work) { at(now_ns_ + delay_ns, work); }
  void at(std::int64_t when_ns, std::function<void()> work) {
    queue_.push({std::max(when_ns, now_ns_), ++count_, std::move(work)});
  }
  // Lets things happen until it is so, or until then.
  void wait(const std::function<bool()>& is_so, std::int64_t until_ns) {
    while (!is_so()) {
      if (queue_.empty() || queue_.top().when_ns > until_ns) {
        now_ns_ = std::max(now_ns_, until_ns);
        return;
      }
      const Event next = queue_.top();
      queue_.pop();
      now_ns_ = std::max(now_ns_, next.when_ns);
      next.work();
    }
  }
  void sleep(std::int64_t span_ns) {
    wait([] { return false; }, now_ns_ + span_ns);
  }

 private:
  struct Event {
    std::int64_t when_ns;
    std::uint64_t order;
    std::function<void()> work;
    bool operator<(const Event& other) const {
      return std::pair(other.when_ns, other.order) < std::pair(when_ns, order);
    }
  };
  std::int64_t now_ns_ = 1'000'000'000;
  std::uint64_t count_ = 0;
  std::priority_queue<Event> queue_;
  std::mt19937_64 random_;
};

struct Faults {
  double lost_push = 0.1;
  double doubled_push = 0.1;
  double slow_push = 0.1;  // up to a second late
  bool has_guard = true;   // an isolated primary soon refuses to write
};

class Wire;

// One server at a time is the primary. An old one that is isolated goes on for those whose
// connections it has.
class Network {
 public:
  struct Server {
    std::unique_ptr<ModelServer> model;
    std::string run_id;
    bool is_up = true;
    std::int64_t stalled_until_ns = 0;
  };

  Network(World& the_world, const Faults& the_faults) : world(the_world), faults(the_faults) {
    primary = make_server({});
  }

  std::shared_ptr<Server> make_server(const ModelServer::Set& set) {
    auto server = std::make_shared<Server>();
    const std::uint64_t life = ++lives_;
    server->run_id = "run" + std::to_string(life);
    Server* const self = server.get();
    server->model = std::make_unique<ModelServer>(
        life, [this, self](const std::string& channel, const std::string& payload) {
          publish(self, channel, payload);
        });
    server->model->set = set;
    return server;
  }
  void publish(const Server* from, const std::string& channel, const std::string& payload);
  void disconnect_all(const Server* server);

  // The replica gets what the primary has.
  void replicate() { replica_ = primary->model->set; }
  // The primary is gone, and with it what was not replicated.
  void crash(bool with_replica) {
    primary->is_up = false;
    const auto old = primary;
    primary = make_server(with_replica ? replica_ : ModelServer::Set());
    disconnect_all(old.get());
  }
  // The same without the loss of a connection.
  void roll_back() { primary->model->live_again(++lives_, replica_); }
  // The primary is cut off from everybody but those whose connections it has. With a guard it
  // refuses to write before the replica is promoted.
  void isolate() {
    const auto old = primary;
    if (faults.has_guard) {
      world.after(400 * kSimMs, [old] { old->model->is_writable = false; });
    }
    world.after(800 * kSimMs, [this, old] {
      if (primary == old) primary = make_server(replica_);
    });
    // Longer than journals remember, at times.
    const std::int64_t span_ns =
        world.chance(0.3) ? world.between_ms(25'000, 40'000) : world.between_ms(900, 6000);
    world.after(span_ns, [this, old] {
      old->is_up = false;
      disconnect_all(old.get());
    });
  }

  World& world;
  const Faults faults;
  std::shared_ptr<Server> primary;
  std::vector<Wire*> wires;

 private:
  ModelServer::Set replica_;
  std::uint64_t lives_ = 0;
};

class Wire final : public redis::Transport {
 public:
  // `thaws_ns`: until when the process is frozen.
  Wire(Network& network, std::string channel, redis::Listener& listener,
       const std::int64_t& thaws_ns)
      : network_(network),
        world_(network.world),
        channel_(std::move(channel)),
        listener_(listener),
        thaws_ns_(thaws_ns) {
    network_.wires.push_back(this);
    connect_later();
  }
  ~Wire() override {
    std::erase(network_.wires, this);
    *alive_ = false;
    const redis::Failure why{redis::Trouble::kStopped, "taken down"};
    for (const auto& answer : end(why)) answer({Reply(), why});
  }

  std::int64_t now_ns() const noexcept override { return world_.now_ns(); }
  void call_after(std::chrono::nanoseconds delay, std::function<void()> work) override {
    deliver(world_.now_ns() + delay.count(), std::move(work));
  }

  void async_execute(redis::Link, Command command, std::chrono::nanoseconds timeout,
                     redis::OnAnswer on_answer) override {
    auto call = std::make_shared<redis::OnAnswer>(std::move(on_answer));
    const auto answer = [call](redis::Answer given) {
      const redis::OnAnswer tell = std::exchange(*call, nullptr);
      if (tell) tell(std::move(given));
    };
    if (server_ == nullptr) {
      deliver(world_.now_ns(), [answer, why = failure_] {
        answer({Reply(), {redis::Trouble::kNotConnected, why.detail}});
      });
      return;
    }
    pending_.push_back(answer);
    deliver(world_.now_ns() + timeout.count(), [answer] {
      answer({Reply(), {redis::Trouble::kTimeout, "no reply in time"}});
    });
    send(server_, connection_, std::move(command), answer);
  }

  redis::Answer execute(redis::Link link, Command command,
                        std::chrono::nanoseconds timeout) override {
    const auto answer = std::make_shared<std::optional<redis::Answer>>();
    async_execute(link, std::move(command), timeout,
                  [answer](redis::Answer given) { *answer = std::move(given); });
    world_.wait([&] { return answer->has_value(); }, INT64_MAX);
    thaw();
    return **answer;
  }

  bool is_connected(redis::Link) const noexcept override { return server_ != nullptr; }
  bool await_connected(redis::Link, std::chrono::nanoseconds timeout) override {
    world_.wait([&] { return server_ != nullptr || !redis::may_pass_soon(failure_.trouble); },
                world_.now_ns() + timeout.count());
    thaw();
    return server_ != nullptr;
  }
  redis::Failure failure(redis::Link) const override {
    return server_ != nullptr ? redis::Failure() : failure_;
  }

  const Network::Server* server() const { return server_.get(); }
  // The connection breaks: what is under way is lost, on either side of the server.
  void disconnect() {
    if (server_ == nullptr) return;
    const redis::Failure why{redis::Trouble::kClosed, "the connection was closed"};
    deliver(world_.now_ns(), [this, why, unanswered = end(why)] {
      for (const auto& answer : unanswered) answer({Reply(), why});
      listener_.on_lost(redis::Link::kControl, why);
      connect_later();
    });
  }
  // For a while all that comes from the server takes that much longer.
  void lag(std::int64_t lag_ns, std::int64_t span_ns) {
    lag_ns_ = lag_ns;
    lags_until_ns_ = world_.now_ns() + span_ns;
  }
  void push(const std::string& channel, const std::string& payload) {
    if (channel != channel_) return;
    const Faults& faults = network_.faults;
    if (world_.chance(faults.lost_push)) return;
    Reply message{redis::Type::kPush, "", {}};
    for (const std::string& word : {std::string("message"), channel, payload}) {
      message.items.push_back(make_reply(redis::Type::kString, word));
    }
    for (int times = world_.chance(faults.doubled_push) ? 2 : 1; times > 0; --times) {
      const bool is_slow = world_.chance(faults.slow_push);
      const std::int64_t delay_ns = is_slow ? world_.between_ms(1, 1000) : world_.between_ms(0, 5);
      // One that is slow overtakes nothing, but is overtaken: more than a connection may do.
      const std::int64_t when_ns = is_slow ? world_.now_ns() + delay_ns : in_order(delay_ns);
      deliver(when_ns, [this, message, on = connection_] {
        if (on == connection_ && server_ != nullptr) listener_.on_push(message);
      });
    }
  }

 private:
  // Whom nobody answers any more.
  std::vector<redis::OnAnswer> end(const redis::Failure& why) {
    server_ = nullptr;
    failure_ = why;
    ++connection_;
    return std::exchange(pending_, {});
  }
  // A thread of a frozen process goes on when it thaws.
  void thaw() {
    while (thaws_ns_ > world_.now_ns()) world_.sleep(thaws_ns_ - world_.now_ns());
  }

  void connect_later() {
    deliver(world_.now_ns() + world_.between_ms(5, 300), [this] {
      if (server_ != nullptr) return;
      if (!network_.primary->is_up || network_.primary->stalled_until_ns > world_.now_ns()) {
        connect_later();
        return;
      }
      server_ = network_.primary;
      last_ns_ = world_.now_ns();
      listener_.on_back(redis::Link::kControl, {server_->run_id, "", "master", "7.0.15"});
    });
  }

  // There, executed, and back; each takes its time, and in order.
  void send(const std::shared_ptr<Network::Server>& server, std::uint64_t connection,
            Command command, const redis::OnAnswer& answer) {
    const auto is_alive = alive_;
    arrives_ns_ = std::max(arrives_ns_, world_.now_ns() + world_.between_ms(0, 5));
    world_.at(arrives_ns_, [this, is_alive, server, connection, command, answer] {
      if (!*is_alive || !server->is_up) return;
      if (server->stalled_until_ns > world_.now_ns()) {
        arrives_ns_ = server->stalled_until_ns;
        send(server, connection, command, answer);
        return;
      }
      // What was written before the connection broke may be executed.
      if (connection != connection_ && world_.chance(0.5)) return;
      const Reply reply = server->model->execute(command, world_.now_ns() / kSimMs);
      deliver(in_order(world_.between_ms(0, 5)), [this, connection, reply, answer] {
        if (connection == connection_) answer({reply, {}});
      });
    });
  }

  std::int64_t in_order(std::int64_t delay_ns) {
    if (world_.now_ns() < lags_until_ns_) delay_ns += lag_ns_;
    last_ns_ = std::max(last_ns_, world_.now_ns() + delay_ns);
    return last_ns_;
  }

  // On the process's own thread: not while it is frozen.
  void deliver(std::int64_t when_ns, std::function<void()> work) {
    const auto is_alive = alive_;
    world_.at(when_ns, [this, is_alive, work = std::move(work)] {
      if (!*is_alive) return;
      if (thaws_ns_ > world_.now_ns()) {
        deliver(thaws_ns_, work);
      } else {
        work();
      }
    });
  }

  Network& network_;
  World& world_;
  const std::string channel_;
  redis::Listener& listener_;
  const std::int64_t& thaws_ns_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<Network::Server> server_;
  std::uint64_t connection_ = 0;
  redis::Failure failure_{redis::Trouble::kNotConnected, "not yet connected"};
  std::vector<redis::OnAnswer> pending_;
  std::int64_t last_ns_ = 0;     // of what was handed out in order
  std::int64_t arrives_ns_ = 0;  // at the server
  std::int64_t lag_ns_ = 0;
  std::int64_t lags_until_ns_ = 0;
};

inline void Network::publish(const Server* from, const std::string& channel,
                             const std::string& payload) {
  for (Wire* const wire : wires) {
    if (wire->server() == from) wire->push(channel, payload);
  }
}

inline void Network::disconnect_all(const Server* server) {
  for (Wire* const wire : std::vector<Wire*>(wires)) {
    if (wire->server() == server) wire->disconnect();
  }
}

// The home of the processes, with leases of two seconds.
class SimHome final : public Home {
 public:
  SimHome(Network& network, const std::int64_t& thaws_ns, std::size_t max_log_tags)
      : network_(network), thaws_ns_(thaws_ns), max_log_tags_(max_log_tags) {}

  std::unique_ptr<core::LogHome> connect() const override {
    redis::FollowerOptions options;
    options.prefix = "sim";
    options.lease_ns = kSimLeaseNs;
    options.command_timeout_ns = 250 * kSimMs;
    options.first_timeout_ns = 1250 * kSimMs;
    options.max_log_tags = max_log_tags_;
    options.page_texts = 2;
    options.clock = &network_.world;
    return std::make_unique<redis::RedisLog>(
        options, [this](const redis::Place& place, redis::Listener& listener) {
          return std::make_unique<Wire>(network_, place.channel, listener, thaws_ns_);
        });
  }

 private:
  Network& network_;
  const std::int64_t& thaws_ns_;
  const std::size_t max_log_tags_;
};

}  // namespace zoocache::testing
