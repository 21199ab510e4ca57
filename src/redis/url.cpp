#include "redis/url.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

constexpr std::size_t kMostHosts = 64;
constexpr std::size_t kMostCharacters = 4096;
constexpr std::size_t kLongestScheme = 32;
constexpr std::size_t kMostSocketPath = 107;  // what the kernel's address has room for
constexpr int kMostDatabase = 1'000'000;
constexpr double kLongestTimeoutS = 3600;

[[noreturn]] void refuse(const std::string& what, const std::string& rule) {
  throw InvalidOption("Redis URL: " + what + " is not allowed: " + rule);
}

// A value for a message: printable, and cut at 80 characters.
std::string shown(std::string_view value) {
  std::string text = "'";
  for (const char one : value.substr(0, 80)) text += one >= ' ' && one <= '~' ? one : '?';
  return text + (value.size() > 80 ? "...'" : "'");
}

// Splits at the first `mark`; without one, all is before it.
std::pair<std::string_view, std::optional<std::string_view>> split(std::string_view text,
                                                                   char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return {text, std::nullopt};
  return {text.substr(0, at), text.substr(at + 1)};
}

int hex_digit(char one) {
  if (one >= '0' && one <= '9') return one - '0';
  if (one >= 'a' && one <= 'f') return one - 'a' + 10;
  if (one >= 'A' && one <= 'F') return one - 'A' + 10;
  return -1;
}

// `what` names the part; the part itself is not shown, since it may be the password.
std::string decode(std::string_view text, const char* what) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      decoded += text[at];
      continue;
    }
    const int high = at + 2 < text.size() ? hex_digit(text[at + 1]) : -1;
    const int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
    if (high < 0 || low < 0) {
      refuse(std::string("the ") + what,
             "two hexadecimal digits follow each %; write % itself as %25");
    }
    decoded += static_cast<char>(high * 16 + low);
    at += 2;
  }
  return decoded;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

int database(std::string_view text) {
  const auto value = number<int>(text);
  if (!value || *value < 0 || *value > kMostDatabase) {
    refuse("the database " + shown(text), "a number of 0 or more, as in /0");
  }
  return *value;
}

double seconds(std::string_view name, std::string_view text) {
  const auto value = number<double>(text);
  if (!value || !std::isfinite(*value) || *value <= 0 || *value > kLongestTimeoutS) {
    refuse(std::string(name) + "=" + shown(text), "seconds, above 0 and at most 3600");
  }
  return *value;
}

bool is_plain_host(std::string_view host) {
  for (const char one : host) {
    const bool good = (one >= '0' && one <= '9') || (one >= 'a' && one <= 'z') ||
                      (one >= 'A' && one <= 'Z') || one == '-' || one == '.' || one == '_';
    if (!good) return false;
  }
  return !host.empty() && host.size() <= 253;
}

bool is_bracketed_host(std::string_view host) {
  bool has_colon = false;
  for (const char one : host) {
    const bool is_scope = one == '%' || (one >= 'g' && one <= 'z');  // fe80::1%eth0
    if (hex_digit(one) < 0 && one != ':' && one != '.' && !is_scope) return false;
    has_colon = has_colon || one == ':';
  }
  return has_colon && host.size() <= 64;
}

// Without credentials in front, what looks like a port may be a password whose @ is missing.
std::uint16_t port(std::string_view text, bool may_be_password) {
  const auto value = number<std::uint32_t>(text);
  if (!value || *value < 1 || *value > 65535) {
    refuse(may_be_password ? "the port (not shown: it may be a password without its @)"
                           : "the port " + shown(text),
           "a number of 1 to 65535");
  }
  return static_cast<std::uint16_t>(*value);
}

Endpoint endpoint(std::string_view text, std::uint16_t default_port, bool has_credentials) {
  Endpoint found;
  found.port = default_port;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    const auto host = text.substr(1, end == std::string_view::npos ? end : end - 1);
    if (end == std::string_view::npos || !is_bracketed_host(host)) {
      refuse("the host in brackets", "an IPv6 address, as in [::1]");
    }
    found.host = host;
    rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') {
      refuse("what follows the IPv6 address", "a : and a port, or nothing");
    }
  } else {
    const std::size_t colon = text.find(':');
    const auto host = text.substr(0, colon);
    if (host.empty()) refuse("a missing host", "name one, as in redis://localhost:6379");
    if (!is_plain_host(host)) {
      refuse(has_credentials ? "the host " + shown(host) : "the host (not shown: it may be more)",
             "letters, digits, dots and hyphens, or an IPv6 address in brackets; percent-encode "
             "/ @ : ? # of a password");
    }
    found.host = host;
    rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  if (!rest.empty()) found.port = port(rest.substr(1), !has_credentials);
  return found;
}

void read_option(Url& url, std::string_view name, std::string_view raw) {
  if (name == "sentinel_password") {
    url.sentinel_credentials.password = decode(raw, "sentinel's password");
    return;
  }
  const std::string value = decode(raw, "value of an option");
  if (name == "ca") {
    if (!url.is_tls) refuse("ca=", "only with TLS: rediss:// or rediss+sentinel://");
    if (value.empty()) refuse("ca=''", "the path of a file in PEM format");
    url.ca_file = value;
  } else if (name == "db") {
    url.database = database(value);
  } else if (name == "name") {
    for (const char one : value) {
      if (one <= ' ' || one > '~') refuse("name=" + shown(value), "printable, without spaces");
    }
    url.client_name = value;
  } else if (name == "timeout") {
    url.timeout_s = seconds(name, value);
  } else if (name == "connect_timeout") {
    url.connect_timeout_s = seconds(name, value);
  } else if (name == "sentinel_user") {
    url.sentinel_credentials.user = value;
  } else {
    refuse("an option of this name (not shown: a password may contain a ?)",
           "ca, db, name, timeout, connect_timeout, sentinel_user or sentinel_password; "
           "percent-encode ? & = of a value");
  }
}

void read_options(Url& url, std::string_view query) {
  while (!query.empty()) {
    const auto [option, others] = split(query, '&');
    query = others.value_or(std::string_view());
    const auto [name, value] = split(option, '=');
    if (!value) refuse("an option without a value", "name=value, joined by &");
    read_option(url, name, *value);
  }
}

// What stands behind the hosts: /database, or /primary/database for sentinels.
void read_path(Url& url, std::string_view path, bool is_sentinel) {
  if (is_sentinel) {
    const auto [primary, rest] = split(path, '/');
    url.primary = decode(primary, "primary's name");
    if (url.primary.empty()) {
      refuse("a missing name of the primary", "redis+sentinel://host:26379/NAME");
    }
    path = rest.value_or(std::string_view());
  }
  if (!path.empty()) url.database = database(path);
}

struct Scheme {
  std::string_view name;
  bool is_tls = false;
  bool is_sentinel = false;
  bool is_socket = false;
};

constexpr Scheme kSchemes[] = {
    {"redis", false, false, false},         {"rediss", true, false, false},
    {"redis+sentinel", false, true, false}, {"rediss+sentinel", true, true, false},
    {"redis+unix", false, false, true},
};

const Scheme& scheme(std::string_view name) {
  for (const Scheme& one : kSchemes) {
    if (one.name == name) return one;
  }
  refuse("the scheme " + shown(name),
         "redis://, rediss://, redis+sentinel://, rediss+sentinel:// or redis+unix://");
}

void read_hosts(Url& url, std::string_view hosts, bool is_sentinel, bool has_credentials) {
  const std::uint16_t default_port = is_sentinel ? 26379 : 6379;
  for (;;) {
    const auto [one, others] = split(hosts, ',');
    url.hosts.push_back(endpoint(one, default_port, has_credentials));
    if (!others) break;
    if (!is_sentinel) refuse("more than one host", "one, or redis+sentinel:// and a name");
    if (url.hosts.size() == kMostHosts) refuse("this many hosts", "at most 64");
    hosts = *others;
  }
}

void demand_printable(std::string_view text) {
  if (text.size() > kMostCharacters) refuse("so long a URL", "at most 4096 characters");
  for (const char one : text) {
    if (one <= ' ' || one > '~') {
      refuse("a URL with spaces, control characters or characters beyond ASCII",
             "percent-encode them");
    }
    if (one == '#') refuse("a # in a URL", "percent-encode it as %23");
  }
}

}  // namespace

Url parse_url(std::string_view text) {
  demand_printable(text);
  const std::size_t mark = text.find("://");
  if (mark > kLongestScheme) {  // or none at all
    refuse("text without a scheme", "it begins with redis://, rediss:// or the like");
  }
  const Scheme& kind = scheme(text.substr(0, mark));
  const auto [place, query] = split(text.substr(mark + 3), '?');
  const std::size_t slash = place.find('/');
  const std::string_view authority = place.substr(0, slash);
  const auto path = slash == std::string_view::npos ? std::string_view() : place.substr(slash + 1);
  // What a password ought to have encoded would show a part of it as something else, and a message
  // might tell it.
  const std::string_view behind = text.substr(mark + 3 + authority.size());
  if (behind.find('@') != std::string_view::npos) {
    refuse("an @ behind the first / or ?", "percent-encode / as %2F, ? as %3F and @ as %40");
  }
  if (query && query->find('?') != std::string_view::npos) {
    refuse("a second ?", "percent-encode it as %3F");
  }

  Url url;
  url.is_tls = kind.is_tls;
  const std::size_t at = authority.rfind('@');
  const bool has_credentials = at != std::string_view::npos;
  if (has_credentials) {
    const auto [user, password] = split(authority.substr(0, at), ':');
    url.credentials.user = decode(user, "user");
    url.credentials.password = decode(password.value_or(std::string_view()), "password");
  }
  const auto place_name = has_credentials ? authority.substr(at + 1) : authority;
  if (kind.is_socket) {
    if (!place_name.empty()) {
      refuse("a host", "redis+unix:// takes the path of a socket, as in redis+unix:///run/a.sock");
    }
    url.socket_path = "/" + decode(path, "path of the socket");
    if (url.socket_path.size() < 2 || url.socket_path.size() > kMostSocketPath ||
        url.socket_path.find('\0') != std::string::npos) {
      refuse("the path of the socket", "1 to 106 bytes behind the /, none of them zero");
    }
  } else {
    read_hosts(url, place_name, kind.is_sentinel, has_credentials);
    read_path(url, path, kind.is_sentinel);
  }
  if (query) read_options(url, *query);
  const Credentials& sentinel = url.sentinel_credentials;
  if (!kind.is_sentinel && (!sentinel.user.empty() || !sentinel.password.empty())) {
    refuse("sentinel_user= or sentinel_password=", "only with redis+sentinel://");
  }
  return url;
}

std::string describe(const Url& url) {
  const std::string scheme = url.is_tls ? "rediss" : "redis";
  if (!url.socket_path.empty()) return "redis+unix://" + url.socket_path;
  std::string text = scheme + (url.primary.empty() ? "://" : "+sentinel://");
  for (std::size_t index = 0; index < url.hosts.size(); ++index) {
    const Endpoint& one = url.hosts[index];
    const bool is_ipv6 = one.host.find(':') != std::string::npos;
    if (index != 0) text += ',';
    if (is_ipv6) text += '[';
    text += one.host;
    text += is_ipv6 ? "]:" : ":";
    text += std::to_string(one.port);
  }
  if (!url.primary.empty()) text += "/" + url.primary;
  return text + "/" + std::to_string(url.database);
}

}  // namespace zoocache::redis
