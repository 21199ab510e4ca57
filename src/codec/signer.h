// Signatures of entries: HMAC-SHA256 (RFC 2104), by OpenSSL.
//
// Who lacks the secrets can neither make an entry, nor change one, nor put one under another key:
// the key is among the signed bytes. An older entry of the same key can be put back; whether it
// still holds is for the log to say, as of any entry.
// Thread-safety: immutable; any threads may use it at once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace zoocache::codec {

class Signer {
 public:
  static constexpr std::size_t kSignatureBytes = 32;

  // The first secret signs, each of them is good to read with: so a new one is brought in first as
  // the last everywhere, then as the first. None: nothing is signed. Throws InvalidOption for one
  // of fewer than 16 bytes, and for any where this library was built without OpenSSL.
  explicit Signer(std::vector<std::string> secrets = {});

  bool is_on() const noexcept { return !secrets_.empty(); }
  // Appends the signature of what is there. REQUIRES: is_on. Throws bad_alloc.
  void append(std::string& bytes) const;
  // Whether it is the signature of the bytes, by one of the secrets.
  bool is_good(std::string_view bytes, std::string_view signature) const noexcept;

 private:
  const std::vector<std::string> secrets_;
};

}  // namespace zoocache::codec
