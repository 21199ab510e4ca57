// The exception tree. Every message names the offending value (cut at 80 characters), the rule
// that it breaks and the remedy.
//
//   std::runtime_error
//   └── zoocache::Error
//       ├── InvalidTag           a tag breaks the rules of tags
//       ├── InvalidOption        an option has a value that is not allowed
//       ├── StorageIsFull        a store was refused for want of room
//       ├── HomeUnreachable      the shared home of the log does not answer
//       ├── FlightTimeout        a caller gave up waiting for another caller's load
//       └── SerializationError   a value cannot be kept outside this process
#pragma once

#include <stdexcept>
#include <string>

namespace zoocache {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class InvalidTag : public Error {
 public:
  using Error::Error;
};

class InvalidOption : public Error {
 public:
  using Error::Error;
};

class StorageIsFull : public Error {
 public:
  using Error::Error;
};

class HomeUnreachable : public Error {
 public:
  using Error::Error;
};

class FlightTimeout : public Error {
 public:
  using Error::Error;
};

class SerializationError : public Error {
 public:
  using Error::Error;
};

}  // namespace zoocache
