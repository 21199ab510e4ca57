// Any bytes as the URL of a Redis server: refused or accepted as the rules say, and no message
// tells a password.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "redis/url.h"
#include "zoocache/errors.h"

namespace {

using zoocache::redis::Url;

void demand(bool good) {
  if (!good) std::abort();
}

constexpr std::string_view kSecret = "hunter2-hunter2";

void demand_untold(std::string_view message) {
  demand(message.find(kSecret) == std::string_view::npos);
}

void demand_sound(const Url& url) {
  demand(url.hosts.empty() != url.socket_path.empty());
  demand(url.hosts.size() <= 64);
  for (const auto& one : url.hosts) demand(!one.host.empty() && one.port != 0);
  demand(url.socket_path.size() <= 107);
  demand(url.database >= 0);
  demand(url.timeout_s >= 0 && url.timeout_s <= 3600);
  demand(url.ca_file.empty() || url.is_tls);
  demand(zoocache::redis::describe(url).find("://") != std::string::npos);
}

bool parses(const std::string& text, Url& url) {
  try {
    url = zoocache::redis::parse_url(text);
    demand_sound(url);
    return true;
  } catch (const zoocache::InvalidOption& error) {
    demand_untold(error.what());
    return false;
  }
}

std::string encoded(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string all;
  for (const char one : text) {
    const auto byte = static_cast<unsigned char>(one);
    all += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (text.find(kSecret) != std::string::npos) return 0;  // what is no password may be told
  const std::string secret(kSecret);
  Url url;
  // As they are, and with a password before, within and behind them.
  parses(text, url);
  parses("redis://" + text, url);
  parses("redis://user:" + secret + text, url);
  parses("redis://user:" + secret + "@" + text, url);
  parses("redis://" + text + secret + "@host", url);
  parses("redis+sentinel://" + text + "/main?sentinel_password=" + secret, url);
  // A password of any bytes comes out as it went in.
  if (size <= 1000) {
    demand(parses("rediss://:" + encoded(text) + "@host/1", url));
    demand(url.credentials.password == text);
  }
  return 0;
}
