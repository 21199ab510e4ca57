#include "codec/signer.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "zoocache/errors.h"

#ifdef ZOOCACHE_HAS_OPENSSL
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#endif

namespace zoocache::codec {
namespace {

constexpr std::size_t kLeastSecretBytes = 16;
using Signature = std::array<unsigned char, Signer::kSignatureBytes>;

#ifdef ZOOCACHE_HAS_OPENSSL

constexpr bool kCanSign = true;

// False: no memory.
bool sign(const std::string& secret, std::string_view bytes, Signature* signature) noexcept {
  unsigned size = 0;
  return HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
              reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), signature->data(),
              &size) != nullptr;
}

// In a time that says nothing of where they differ.
bool are_equal(const Signature& left, std::string_view right) noexcept {
  return right.size() == left.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

#else

constexpr bool kCanSign = false;
bool sign(const std::string&, std::string_view, Signature*) noexcept { return false; }
bool are_equal(const Signature&, std::string_view) noexcept { return false; }

#endif

std::vector<std::string> checked(std::vector<std::string> secrets) {
  if (!secrets.empty() && !kCanSign) {
    throw InvalidOption(
        "a secret is not allowed: this build of zoocache cannot sign entries; build it with "
        "OpenSSL");
  }
  for (const std::string& secret : secrets) {
    if (secret.size() >= kLeastSecretBytes) continue;
    throw InvalidOption("a secret of " + std::to_string(secret.size()) +
                        " bytes is not allowed: 16 or more, drawn at random");
  }
  return secrets;
}

}  // namespace

Signer::Signer(std::vector<std::string> secrets) : secrets_(checked(std::move(secrets))) {}

void Signer::append(std::string& bytes) const {
  Signature signature;
  if (!sign(secrets_.front(), bytes, &signature)) throw std::bad_alloc();
  bytes.append(reinterpret_cast<const char*>(signature.data()), signature.size());
}

bool Signer::is_good(std::string_view bytes, std::string_view signature) const noexcept {
  return std::any_of(secrets_.begin(), secrets_.end(), [&](const std::string& secret) {
    Signature expected;
    return sign(secret, bytes, &expected) && are_equal(expected, signature);
  });
}

}  // namespace zoocache::codec
