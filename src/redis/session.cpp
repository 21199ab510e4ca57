// The one file that includes all of Boost.Redis: it takes long to compile.
#include "redis/session.h"

#include <algorithm>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/redis/connection.hpp>
#include <boost/redis/src.hpp>
#include <deque>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "redis/incoming.h"
#include "redis/server_check.h"
#include "redis/tls.h"

namespace zoocache::redis {
namespace {

namespace asio = boost::asio;
namespace resp3 = boost::redis::resp3;
using boost::system::error_code;
using Node = resp3::basic_node<std::string_view>;

// A call and what Boost.Redis needs until its handler has run.
struct Execution {
  std::shared_ptr<Call> call;
  boost::redis::request request;
  Incoming incoming;
  bool is_replied = false;  // the reply waits in the inbox
};

boost::redis::request request_of(const std::vector<std::string>& words) {
  boost::redis::request request;
  if (words.size() == 1) {
    request.push(words[0]);
  } else {
    request.push_range(words[0], words.begin() + 1, words.end());
  }
  return request;
}

Trouble trouble_of(const error_code& error) {
  using Code = boost::redis::error;
  if (error == asio::error::connection_refused ||
      error == boost::system::errc::no_such_file_or_directory) {
    return Trouble::kRefused;
  }
  if (error.category() == asio::error::get_netdb_category() ||
      error.category() == asio::error::get_addrinfo_category()) {
    return Trouble::kHostNotFound;
  }
  if (error == asio::error::network_unreachable || error == asio::error::host_unreachable) {
    return Trouble::kNoRoute;
  }
  if (error == asio::error::timed_out) return Trouble::kConnectTimeout;
  if (error.category() == asio::error::get_ssl_category()) return Trouble::kTls;
  if (error.category() != make_error_code(Code::resp3_hello).category()) {
    return Trouble::kClosed;
  }
  switch (static_cast<Code>(error.value())) {
    case Code::resolve_timeout:
    case Code::connect_timeout:
      return Trouble::kConnectTimeout;
    case Code::ssl_handshake_timeout:
      return Trouble::kTlsTimeout;
    case Code::resp3_hello:
      return Trouble::kSetupRefused;
    case Code::pong_timeout:
    case Code::write_timeout:
      return Trouble::kSilent;
    default:
      return Trouble::kProtocol;
  }
}

// The server's words may repeat what it was told.
std::string without(std::string text, const std::string& secret) {
  if (secret.empty()) return text;
  for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
    text.replace(at, secret.size(), "***");
    at += 3;
  }
  return text;
}

class BoostSession;

// How Boost.Redis hands over pushed messages: boost_redis_adapt is found by the argument's type.
struct PushSink {
  BoostSession* session;
};
struct PushAdapter {
  BoostSession* session;
  void on_init();
  void on_node(const Node& node, error_code& error);
  void on_done();
};
PushAdapter boost_redis_adapt(PushSink& sink) { return {sink.session}; }

class BoostSession final : public Session, public std::enable_shared_from_this<BoostSession> {
 public:
  BoostSession(asio::io_context& io, SessionPlan plan, SessionEvents& events)
      : io_(io),
        plan_(std::move(plan)),
        events_(&events),
        tls_trouble_(std::make_shared<std::string>()),
        connection_(io.get_executor(), tls(), logger()) {
    connection_.set_receive_response(push_sink_);
  }

  // A call that still waits, where an allocation failed, must not touch what is going away.
  ~BoostSession() override { is_over_ = true; }

  void begin() {
    config_ = config();
    const auto self = shared_from_this();
    connection_.async_run(config_, [self](error_code error) { self->run_ended(error); });
    // Queued behind the setup: its answer says that all of that went well.
    send(std::make_shared<Call>(server_command(), Call::Clock::now() + plan_.up_timeout,
                                [this](Answer answer) { probed(std::move(answer)); }));
  }

  void send(std::shared_ptr<Call> call) override;

  void end(const Failure& why) override {
    events_ = nullptr;
    finish(why);
  }

  // What Boost.Redis parsed, in the order of the wire; within its reader, so that it is only kept.
  Incoming push;
  void pushed() { arrived({nullptr, push.take()}); }
  void refuse_unsolicited(const Node& node, error_code& error) {
    unsolicited_ = node.value;
    error = boost::redis::error::invalid_data_type;
  }

 private:
  struct Item {
    std::shared_ptr<Execution> execution;  // null: a pushed message
    Reply reply;
  };

  asio::ssl::context tls() {
    if (plan_.is_tls) return make_tls(plan_.endpoint.host, plan_.ca_file, tls_trouble_);
    return asio::ssl::context(asio::ssl::context::tls_client);
  }

  // The server's words about a refused setup are in the log only.
  boost::redis::logger logger() {
    return {boost::redis::logger::level::info,
            [this](boost::redis::logger::level, std::string_view text) {
              if (text.starts_with("Setup request execution: ")) setup_log_ = text;
            }};
  }

  boost::redis::config config() const;
  void arrived(Item item);
  void deliver();
  void execution_ended(const std::shared_ptr<Execution>& execution, const error_code& error);
  void run_ended(const error_code& error) { finish(failure_of(error)); }
  void end_if_stuck();
  void probed(Answer answer);
  Failure failure_of(const error_code& error) const;
  void finish(const Failure& why);
  void shut_down_socket();

  asio::io_context& io_;
  const SessionPlan plan_;
  SessionEvents* events_;
  std::shared_ptr<std::string> tls_trouble_;
  std::string setup_log_;
  std::string unsolicited_;
  PushSink push_sink_{this};
  boost::redis::config config_;
  std::deque<Item> inbox_;
  bool is_delivery_posted_ = false;
  std::size_t subscriptions_ = 0;
  std::unordered_set<std::shared_ptr<Execution>> pending_;
  std::size_t replies_at_timeout_ = 0;  // how many had come when a command last timed out
  Call::Clock::time_point stuck_since_;
  bool is_up_ = false;
  bool is_over_ = false;
  Failure why_over_;
  boost::redis::connection connection_;  // last: the first to go
};

void PushAdapter::on_init() { session->push.begin(); }
void PushAdapter::on_node(const Node& node, error_code& error) {
  if (node.depth == 0 && node.data_type != resp3::type::push) {
    session->refuse_unsolicited(node, error);
  } else {
    session->push.add(node, error);
  }
}
void PushAdapter::on_done() { session->pushed(); }

boost::redis::config BoostSession::config() const {
  boost::redis::config config;
  config.use_ssl = plan_.is_tls;
  config.addr = {plan_.endpoint.host, std::to_string(plan_.endpoint.port)};
  config.unix_socket = plan_.socket_path;
  config.health_check_id = "zoocache";
  config.resolve_timeout = config.connect_timeout = config.ssl_handshake_timeout =
      plan_.connect_timeout;
  config.health_check_interval = plan_.health_check;
  config.reconnect_wait_interval = std::chrono::seconds(0);
  config.max_read_size = plan_.max_reply_bytes;
  config.read_buffer_append_size = plan_.read_bytes;
  config.use_setup = true;
  config.setup.clear();
  std::vector<std::string> hello{"3"};
  const auto& [user, password] = plan_.credentials;
  if (!user.empty() || !password.empty()) {
    hello.emplace_back("AUTH");
    hello.push_back(user.empty() ? "default" : user);
    hello.push_back(password);
  }
  if (!plan_.client_name.empty()) {
    hello.emplace_back("SETNAME");
    hello.push_back(plan_.client_name);
  }
  config.setup.push_range("HELLO", hello.begin(), hello.end());
  if (plan_.database != 0) config.setup.push("SELECT", std::to_string(plan_.database));
  if (!plan_.channels.empty()) {
    config.setup.push_range("SUBSCRIBE", plan_.channels.begin(), plan_.channels.end());
  }
  config.setup.push("PING");
  return config;
}

void BoostSession::send(std::shared_ptr<Call> call) {
  if (is_over_) {
    call->fail(why_over_.trouble, why_over_.detail);
    return;
  }
  const auto left = call->deadline - Call::Clock::now();
  if (left.count() <= 0) {
    call->fail(Trouble::kTimeout, "its time was up before it was sent");
    return;
  }
  const auto execution = std::make_shared<Execution>();
  execution->request = request_of(call->command.words());
  execution->call = std::move(call);
  pending_.insert(execution);
  using Event = boost::redis::any_adapter::parse_event;
  boost::redis::any_adapter::impl_t adapter = [this, execution](Event event, const Node& node,
                                                                error_code& error) {
    switch (event) {
      case Event::init:
        execution->incoming.begin();
        break;
      case Event::node:
        execution->incoming.add(node, error);
        break;
      case Event::done:
        arrived({execution, execution->incoming.take()});
        break;
    }
  };
  const auto self = shared_from_this();
  connection_.async_exec(execution->request, boost::redis::any_adapter(std::move(adapter)),
                         asio::cancel_after(left, [self, execution](error_code error, std::size_t) {
                           self->execution_ended(execution, error);
                         }));
}

void BoostSession::arrived(Item item) {
  if (item.execution != nullptr) item.execution->is_replied = true;
  inbox_.push_back(std::move(item));
  if (std::exchange(is_delivery_posted_, true)) return;
  asio::post(io_, [self = shared_from_this()] { self->deliver(); });
}

void BoostSession::deliver() {
  is_delivery_posted_ = false;
  while (!inbox_.empty()) {
    Item item = std::move(inbox_.front());
    inbox_.pop_front();
    if (item.execution != nullptr) {
      item.execution->call->answer({std::move(item.reply), {}});
    } else if (!item.reply.items.empty() && item.reply.items[0].text == "subscribe") {
      ++subscriptions_;
    } else if (events_ != nullptr) {
      events_->on_session_push(item.reply);
    }
  }
  // Boost.Redis counts the messages up, and stops reading at 256 that nobody took.
  error_code error;
  while (!error) connection_.receive(error);
}

void BoostSession::execution_ended(const std::shared_ptr<Execution>& execution,
                                   const error_code& error) {
  pending_.erase(execution);
  if (execution->is_replied) return;
  Call& call = *execution->call;
  if (error == asio::error::operation_aborted && !is_over_) {
    // By its own timer; or the connection was lost, and is about to say why.
    if (Call::Clock::now() >= call.deadline) {
      call.fail(Trouble::kTimeout, "no reply in time");
      end_if_stuck();
    } else {
      pending_.insert(execution);
    }
    return;
  }
  const Failure why = is_over_ ? why_over_ : failure_of(error);
  call.fail(why.trouble, why.detail);
}

// A server that sends bytes, but never the end of a reply, passes the health check. Replies that
// come too late count: whoever sends them is slow, not stuck.
void BoostSession::end_if_stuck() {
  const std::size_t replies = connection_.get_usage().responses_received;
  const auto now = Call::Clock::now();
  if (std::exchange(replies_at_timeout_, replies) != replies) stuck_since_ = now;
  if (now - stuck_since_ > 2 * plan_.health_check) {
    finish({Trouble::kSilent, "commands timed out, and no reply came to an end"});
  }
}

void BoostSession::probed(Answer answer) {
  if (is_over_) return;
  if (!answer.has_reply()) {
    finish({Trouble::kSilent, "no answer to the first command in time"});
    return;
  }
  const Server server = server_of(answer.reply);
  if (plan_.needs_primary && server.role != "master") {
    const std::string role = answer.reply.is_error() ? answer.reply.text : "role " + server.role;
    finish({Trouble::kNoPrimary, "the sentinels' primary is none: " + role});
  } else if (subscriptions_ != plan_.channels.size()) {
    finish({Trouble::kProtocol, "the server did not confirm the subscription"});
  } else {
    is_up_ = true;
    if (events_ != nullptr) events_->on_session_up(server);
  }
}

Failure BoostSession::failure_of(const error_code& error) const {
  Failure failure{trouble_of(error), error.message()};
  if (failure.trouble == Trouble::kSetupRefused) {
    const std::string_view lead = "] (";  // "... execution: <message> [<number>] (<words>)"
    const std::size_t at = setup_log_.find(lead);
    if (at != std::string::npos && setup_log_.ends_with(')')) {
      failure.detail = setup_log_.substr(at + lead.size());
      failure.detail.pop_back();
    }
  } else if (failure.trouble == Trouble::kTls && !tls_trouble_->empty()) {
    failure.detail = *tls_trouble_;
  } else if (failure.trouble == Trouble::kConnectTimeout && is_up_) {
    failure.trouble = Trouble::kSilent;  // the kernel gave up on an established connection
  } else if (!unsolicited_.empty()) {
    // Such as "ERR max number of clients reached".
    if (!is_up_) failure.trouble = Trouble::kSetupRefused;
    failure.detail = "the server said, unasked: " + unsolicited_.substr(0, 200);
  }
  failure.detail = without(std::move(failure.detail), plan_.credentials.password);
  return failure;
}

// In this order: no command is sent any more; what came before the end is handed out; what waits
// fails; the owner is told.
void BoostSession::finish(const Failure& why) {
  if (std::exchange(is_over_, true)) return;
  why_over_ = why;
  const auto self = shared_from_this();
  shut_down_socket();
  connection_.cancel();
  deliver();
  const auto pending = std::exchange(pending_, {});
  for (const auto& execution : pending) execution->call->fail(why.trouble, why.detail);
  SessionEvents* const events = std::exchange(events_, nullptr);
  if (events != nullptr) events->on_session_down(why_over_);
}

// A child of fork() may still hold the socket: closing it would not end the server's side.
void BoostSession::shut_down_socket() {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // no other way to the socket
  auto& socket = connection_.next_layer().next_layer();
#pragma GCC diagnostic pop
  error_code ignored;
  if (socket.is_open()) socket.shutdown(asio::socket_base::shutdown_both, ignored);
}

}  // namespace

std::shared_ptr<Session> Session::start(asio::io_context& io, const SessionPlan& plan,
                                        SessionEvents& events) {
  auto session = std::make_shared<BoostSession>(io, plan, events);
  session->begin();
  return session;
}

}  // namespace zoocache::redis
