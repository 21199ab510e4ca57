#include "redis/transport.h"

namespace zoocache::redis {

const char* name_of(Trouble trouble) noexcept {
  switch (trouble) {
    case Trouble::kNone:
      return "none";
    case Trouble::kNotConnected:
      return "not connected";
    case Trouble::kBreakerOpen:
      return "breaker open";
    case Trouble::kTimeout:
      return "time-out";
    case Trouble::kRefused:
      return "connection refused";
    case Trouble::kHostNotFound:
      return "host not found";
    case Trouble::kNoRoute:
      return "no route";
    case Trouble::kConnectTimeout:
      return "connect time-out";
    case Trouble::kTls:
      return "TLS failed";
    case Trouble::kTlsTimeout:
      return "TLS time-out";
    case Trouble::kSetupRefused:
      return "refused by the server";
    case Trouble::kNoPrimary:
      return "no primary";
    case Trouble::kSilent:
      return "server silent";
    case Trouble::kClosed:
      return "connection closed";
    case Trouble::kProtocol:
      return "protocol violated";
    case Trouble::kInternal:
      return "internal failure";
    case Trouble::kForked:
      return "forked";
    case Trouble::kStopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace zoocache::redis
