// How TLS is set up for one connection: TLS 1.2 or newer, and a certificate that an authority of
// ours signed for the very name or address that was asked for. The name is also sent along (SNI).
//
// Asio checks no certificate unless told to, and no name even then. All of it is set on the context
// and not on the stream, which Boost.Redis makes.
// Thread-safety: a context belongs to one connection; `trouble` is written by its thread.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

namespace zoocache::redis {

// `ca_file` empty: the system's authorities. `trouble` gets why a certificate was refused.
// Throws std::exception if a file cannot be read.
boost::asio::ssl::context make_tls(const std::string& host, const std::string& ca_file,
                                   std::shared_ptr<std::string> trouble);

}  // namespace zoocache::redis
