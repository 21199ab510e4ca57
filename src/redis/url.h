// Where a Redis server is, and how to enter, as a URL says it.
//
//   redis://[user[:password]@]host[:port][/database]           TCP; the port is 6379 if none is
//   given rediss://...                                               the same over TLS
//   redis+sentinel://[...@]host[:port],host[:port]/primary[/database]   ask these for the primary
//   rediss+sentinel://...                                      the same over TLS
//   redis+unix://[...@]/path/of/the.sock                       a socket of this machine
//
// Behind a `?`, joined by `&`: ca=FILE (trust this authority instead of the system's; TLS only),
// db=N, name=CLIENT, timeout=SECONDS (a command), connect_timeout=SECONDS, and for sentinels
// sentinel_user= and sentinel_password=. User, password, path, primary and options are
// percent-decoded. An IPv6 address stands in brackets.
// No message holds a password, nor anything that may be one.
// Thread-safety: plain values and functions without shared state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zoocache::redis {

struct Endpoint {
  std::string host;
  std::uint16_t port = 6379;
  bool operator==(const Endpoint&) const = default;
};

struct Credentials {
  std::string user;  // empty: the default user
  std::string password;
  bool operator==(const Credentials&) const = default;
};

struct Url {
  std::vector<Endpoint> hosts;  // one server; or the sentinels; none for a socket of this machine
  std::string socket_path;
  std::string primary;  // what the sentinels call it; empty: there are none
  bool is_tls = false;
  Credentials credentials;
  Credentials sentinel_credentials;
  int database = 0;
  std::string ca_file;      // empty: the system's authorities
  std::string client_name;  // empty: the caller's choice
  double timeout_s = 0;     // 0: the caller's choice
  double connect_timeout_s = 0;
  bool operator==(const Url&) const = default;
};

// Throws InvalidOption.
Url parse_url(std::string_view text);

// The URL without credentials, for messages and logs.
std::string describe(const Url& url);

}  // namespace zoocache::redis
