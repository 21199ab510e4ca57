#include "redis/script.h"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace zoocache::redis {
namespace {

std::string sha1_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL has no SHA-1, by which Redis names scripts");
  }
  std::string hex;
  for (unsigned int index = 0; index < size; ++index) {
    hex += "0123456789abcdef"[digest[index] >> 4];
    hex += "0123456789abcdef"[digest[index] & 15];
  }
  return hex;
}

Command call_by_hash(const Script& script, const ScriptCall& call) {
  Command command{"EVALSHA", script.hash()};
  command.add(call.keys.size());
  for (const std::string& key : call.keys) command.add(key);
  for (const std::string& argument : call.arguments) command.add(argument);
  return command;
}

bool is_missing(const Answer& answer) {
  return answer.has_reply() && answer.reply.is_error("NOSCRIPT");
}

}  // namespace

Script::Script(std::string_view source) : source_(source), hash_(sha1_hex(source)) {}

void run(Transport& transport, Link link, const Script& script, const ScriptCall& call,
         std::chrono::nanoseconds timeout, OnAnswer on_answer) {
  const std::int64_t until_ns = transport.now_ns() + timeout.count();
  Command command = call_by_hash(script, call);
  Command again = command;
  transport.async_execute(
      link, std::move(command), timeout,
      [&transport, link, &script, again = std::move(again), until_ns,
       on_answer = std::move(on_answer)](Answer answer) mutable {
        const std::chrono::nanoseconds left(until_ns - transport.now_ns());
        if (!is_missing(answer) || left.count() <= 0) {
          on_answer(std::move(answer));
          return;
        }
        script.note_load();
        // If the server does not take it, the call says so: NOSCRIPT again.
        transport.async_execute(link, Command{"SCRIPT", "LOAD", script.source()}, left,
                                [](const Answer&) {});
        transport.async_execute(link, std::move(again), left, std::move(on_answer));
      });
}

Answer run(Transport& transport, Link link, const Script& script, const ScriptCall& call,
           std::chrono::nanoseconds timeout) {
  return std::move(run_all(transport, link, script, {&call, 1}, timeout).front());
}

namespace {

// An answer that comes after nobody waits for it any more.
struct AnswerSlot {
  std::mutex mutex;
  Answer answer{Reply(), {Trouble::kTimeout, "no reply in time"}};
};

}  // namespace

// The last one is waited for: on one connection, the others were answered before its reply came.
std::vector<Answer> execute_all(Transport& transport, Link link, std::vector<Command> commands,
                                std::chrono::nanoseconds timeout) {
  std::vector<std::shared_ptr<AnswerSlot>> slots;
  for (std::size_t index = 0; index + 1 < commands.size(); ++index) {
    const auto slot = std::make_shared<AnswerSlot>();
    transport.async_execute(link, std::move(commands[index]), timeout, [slot](Answer answer) {
      const std::lock_guard lock(slot->mutex);
      slot->answer = std::move(answer);
    });
    slots.push_back(slot);
  }
  Answer last = transport.execute(link, std::move(commands.back()), timeout);
  std::vector<Answer> answers;
  answers.reserve(commands.size());
  for (const auto& slot : slots) {
    const std::lock_guard lock(slot->mutex);
    answers.push_back(std::move(slot->answer));
  }
  answers.push_back(std::move(last));
  return answers;
}

std::vector<Answer> run_all(Transport& transport, Link link, const Script& script,
                            std::span<const ScriptCall> calls, std::chrono::nanoseconds timeout) {
  const std::int64_t until_ns = transport.now_ns() + timeout.count();
  std::vector<Command> commands;
  for (const ScriptCall& call : calls) commands.push_back(call_by_hash(script, call));
  std::vector<Answer> answers = execute_all(transport, link, std::move(commands), timeout);
  std::vector<std::size_t> missing;
  for (std::size_t index = 0; index < answers.size(); ++index) {
    if (is_missing(answers[index])) missing.push_back(index);
  }
  const std::chrono::nanoseconds left(until_ns - transport.now_ns());
  if (missing.empty() || left.count() <= 0) return answers;
  script.note_load();
  std::vector<Command> again{Command{"SCRIPT", "LOAD", script.source()}};
  for (const std::size_t index : missing) again.push_back(call_by_hash(script, calls[index]));
  std::vector<Answer> second = execute_all(transport, link, std::move(again), left);
  for (std::size_t index = 0; index < missing.size(); ++index) {
    answers[missing[index]] = std::move(second[index + 1]);
  }
  return answers;
}

}  // namespace zoocache::redis
