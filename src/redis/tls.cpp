#include "redis/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <utility>

namespace zoocache::redis {
namespace {

namespace ssl = boost::asio::ssl;

bool is_address(const std::string& host) {
  boost::system::error_code error;
  boost::asio::ip::make_address(host, error);
  return !error;
}

void free_name(void*, void* name, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<std::string*>(name);
}

// Where a context keeps the name that its connections send along.
int name_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_name);
  return index;
}

// Called at the start of the handshake, before the first message is written.
void send_name(const SSL* connection, int where, int) {
  if ((where & SSL_CB_HANDSHAKE_START) == 0) return;
  const void* name = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(connection), name_index());
  if (name == nullptr) return;
  SSL_set_tlsext_host_name(const_cast<SSL*>(connection),
                           static_cast<const std::string*>(name)->c_str());
}

class Verification {
 public:
  Verification(const std::string& host, std::shared_ptr<std::string> trouble)
      : check_name_(host), host_(host), trouble_(std::move(trouble)) {}

  bool operator()(bool is_signed, ssl::verify_context& context) const {
    if (!is_signed) {
      const int error = X509_STORE_CTX_get_error(context.native_handle());
      *trouble_ = X509_verify_cert_error_string(error);
      return false;
    }
    if (check_name_(is_signed, context)) return true;
    *trouble_ = "the certificate is not for " + host_;
    return false;
  }

 private:
  ssl::host_name_verification check_name_;
  std::string host_;
  std::shared_ptr<std::string> trouble_;
};

}  // namespace

ssl::context make_tls(const std::string& host, const std::string& ca_file,
                      std::shared_ptr<std::string> trouble) {
  ssl::context context(ssl::context::tls_client);
  SSL_CTX* const native = context.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  context.set_verify_mode(ssl::verify_peer);
  if (ca_file.empty()) {
    context.set_default_verify_paths();
  } else {
    context.load_verify_file(ca_file);
  }
  context.set_verify_callback(Verification(host, std::move(trouble)));
  if (!is_address(host)) {
    SSL_CTX_set_ex_data(native, name_index(), new std::string(host));
    SSL_CTX_set_info_callback(native, &send_name);
  }
  return context;
}

}  // namespace zoocache::redis
