#include "zoocache/codec.h"

#include <limits>
#include <string>

#include "zoocache/detail/codec_scalars.h"

namespace zoocache {
namespace detail {

void refuse_bytes(const char* why) {
  throw SerializationError(std::string("these bytes are no such value: ") + why);
}

void put_count(std::size_t count, std::string& to) {
  if (count > std::numeric_limits<std::uint32_t>::max()) {
    throw SerializationError(std::to_string(count) +
                             " items or bytes do not fit a stored value: at most 2^32 - 1");
  }
  put_number(static_cast<std::uint32_t>(count), to);
}

}  // namespace detail

std::string_view ByteReader::take(std::size_t size) {
  if (size > left_.size()) detail::refuse_bytes("they end too early");
  const std::string_view taken = left_.substr(0, size);
  left_.remove_prefix(size);
  return taken;
}

std::size_t ByteReader::count() {
  const auto count = number<std::uint32_t>();
  if (count > left_.size()) detail::refuse_bytes("they end too early");
  return count;
}

void ByteReader::end() const {
  if (!left_.empty()) detail::refuse_bytes("there are more than it has");
}

ByteReader::Inside::Inside(ByteReader& reader) : reader_(reader) {
  if (reader.depth_ == kMaxDepth) detail::refuse_bytes("values are nested too deep");
  ++reader.depth_;
}

}  // namespace zoocache
