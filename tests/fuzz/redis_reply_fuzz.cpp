// Any bytes as what a server sends: replies and pushed messages, in pieces as a socket gives them.
// Each is refused or a value of the rules, and what is pushed means the same when it is sent again.
#include <algorithm>
#include <boost/redis/resp3/parser.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/home.h"
#include "core/look.h"
#include "redis/incoming.h"
#include "redis/protocol.h"

namespace {

using namespace zoocache::redis;  // NOLINT(google-build-using-namespace): a program of its own
using zoocache::core::Epoch;

void demand(bool good) {
  if (!good) std::abort();
}
void demand_epoch(Epoch epoch) { demand(epoch <= kMaxNumber); }

std::string sent(const News& news) {
  std::string payload = std::to_string(news.nonce) + " " + std::to_string(news.epoch) + " ";
  payload += news.origin + "\n";
  for (const std::string& text : news.texts) payload += std::to_string(text.size()) + ":" + text;
  return payload;
}

void read_news(std::string_view payload) {
  const auto news = parse_news(payload);
  if (!news) return;
  demand(news->nonce != 0 && news->nonce <= kMaxNumber);
  demand_epoch(news->epoch);
  const auto again = parse_news(sent(*news));
  demand(again && again->nonce == news->nonce && again->epoch == news->epoch &&
         again->origin == news->origin && again->texts == news->texts);
}

void read_question(std::string_view payload) {
  const auto asked = parse_question(payload);
  if (!asked) return;
  const auto& question = asked->question;
  demand(asked->one_in != 0 && question.most_bytes <= zoocache::core::kMostInspectionBytes);
  demand(question.tag.empty() || zoocache::core::is_tag_text(question.tag));
  const auto again = parse_question(text_of(*asked));
  demand(again && again->one_in == asked->one_in && again->question.from == question.from &&
         again->question.number == question.number &&
         again->question.most_bytes == question.most_bytes && again->question.tag == question.tag);
}

void read_told(std::string_view payload) {
  const auto told = parse_memory_answer(payload);
  if (told) demand(told->told.told.size() <= payload.size());
}

void read_payload(std::string_view payload) {
  read_news(payload);
  read_question(payload);
  read_told(payload);
}

void read_reply(const Reply& reply) {
  if (const auto beat = parse_beat(reply)) {
    demand(beat->nonce != 0);
    demand_epoch(beat->clock);
    demand_epoch(beat->floor);
  }
  if (const auto page = parse_page(reply)) {
    demand_epoch(page->clock);
    demand_epoch(page->upto);
  }
  if (const auto receipt = parse_receipt(reply)) demand(receipt->nonce != 0 && receipt->epoch != 0);
  if (const auto nodes = parse_nodes(reply)) {
    for (const NodeRecord& node : nodes->nodes) demand_epoch(node.applied);
  }
  if (const auto score = parse_score(reply)) demand(std::isfinite(*score));
  for (const Reply& item : reply.items) read_payload(item.text);
}

// As sessions are called by Boost.Redis.
struct Reader {
  Incoming incoming;
  void on_init() { incoming.begin(); }
  void on_node(const boost::redis::resp3::basic_node<std::string_view>& node,
               boost::system::error_code& error) {
    incoming.add(node, error);
  }
  void on_done() { read_reply(incoming.take()); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read_payload(bytes);
  std::string_view left = bytes;
  boost::redis::resp3::parser parser;
  Reader reader;
  // Pieces of a length that the input itself decides on.
  const std::size_t step = bytes.empty() ? 1 : 1 + static_cast<unsigned char>(bytes.back()) % 64;
  std::size_t there = 0;
  while (!left.empty()) {
    there = std::min(there + step, left.size());
    boost::system::error_code error;
    const std::string piece(left.substr(0, there));  // so that its end is guarded
    const bool is_over = boost::redis::resp3::parse(parser, piece, reader, error);
    if (error) break;
    if (is_over) {
      left.remove_prefix(parser.get_consumed());
      parser.reset();
      there = 0;
    } else if (there == left.size()) {
      break;  // more would have to come
    }
  }
  return 0;
}
