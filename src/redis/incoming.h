// A reply or message while Boost.Redis parses it: all that comes in is hostile.
// Thread-safety: a plain value.
#pragma once

#include <algorithm>
#include <boost/redis/error.hpp>
#include <boost/redis/resp3/node.hpp>
#include <cstddef>
#include <optional>
#include <string_view>

#include "redis/reply.h"

namespace zoocache::redis {

// A value takes sixteen times the bytes that a hostile server sends for it.
inline constexpr std::size_t kMostValuesOfReply = std::size_t{1} << 20;

inline std::optional<Type> type_of(boost::redis::resp3::type type) {
  namespace resp3 = boost::redis::resp3;
  switch (type) {
    case resp3::type::null:
      return Type::kNull;
    case resp3::type::blob_string:
    case resp3::type::simple_string:
    case resp3::type::verbatim_string:
      return Type::kString;
    case resp3::type::number:
      return Type::kInteger;
    case resp3::type::doublean:
      return Type::kDouble;
    case resp3::type::boolean:
      return Type::kBoolean;
    case resp3::type::big_number:
      return Type::kBigNumber;
    case resp3::type::array:
      return Type::kArray;
    case resp3::type::map:
      return Type::kMap;
    case resp3::type::set:
      return Type::kSet;
    case resp3::type::push:
      return Type::kPush;
    case resp3::type::simple_error:
    case resp3::type::blob_error:
      return Type::kError;
    default:
      return std::nullopt;  // attributes and streamed strings: no server sends them to us
  }
}

// A reply or message that is being parsed.
class Incoming {
 public:
  void begin() {
    builder_.clear();
    values_ = 0;
  }
  void add(const boost::redis::resp3::basic_node<std::string_view>& node,
           boost::system::error_code& error) {
    const std::optional<Type> type = type_of(node.data_type);
    std::string_view text = node.value;
    if (node.data_type == boost::redis::resp3::type::verbatim_string) {
      text.remove_prefix(std::min<std::size_t>(4, text.size()));  // its format, "txt:"
    }
    if (!type || ++values_ > kMostValuesOfReply || !builder_.add(*type, node.depth, text)) {
      error = boost::redis::error::invalid_data_type;
    }
  }
  Reply take() { return builder_.take(); }

 private:
  ReplyBuilder builder_;
  std::size_t values_ = 0;
};

}  // namespace zoocache::redis
