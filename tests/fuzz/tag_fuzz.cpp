// Any bytes as a tag and as a segment: refused or accepted as the rules say, never worse.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/tag.h"
#include "zoocache/errors.h"

namespace {

void demand(bool good) {
  if (!good) std::abort();
}

// The rules by bytes; what they say of characters beyond ASCII is the parser's own affair.
bool breaks_a_rule(std::string_view text) {
  if (text.empty() || text.front() == ':' || text.back() == ':') return true;
  if (text.find("::") != std::string_view::npos) return true;
  for (const char one : text) {
    const auto byte = static_cast<unsigned char>(one);
    if (byte <= 0x20 || byte == 0x7F || one == '|') return true;
  }
  return false;
}

bool is_accepted(std::string_view text, std::size_t max_length) {
  try {
    const auto path = zoocache::core::TagPath::parse(text, max_length);
    std::string joined;
    for (std::size_t index = 0; index < path.size(); ++index) {
      joined += (index == 0 ? "" : ":") + std::string(path.segment(index));
    }
    demand(joined == text);
    return true;
  } catch (const zoocache::InvalidTag&) {
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr std::size_t kMost = 256;
  if (is_accepted(text, kMost)) demand(!breaks_a_rule(text));
  const std::string segment = zoocache::core::encode_segment(text, kMost);
  demand(is_accepted(segment, kMost));
  demand(segment.find(':') == std::string::npos);
  return 0;
}
