#include "python/callable_options.h"

#include <cstring>

namespace zoocache::python {
namespace {

struct ObjectOption {
  const char* name;
  PyObject* CallableOptions::*field;
};
constexpr ObjectOption kObjects[] = {{"deps", &CallableOptions::deps},
                                     {"ttl_of_value", &CallableOptions::ttl_of_value},
                                     {"store_if", &CallableOptions::store_if},
                                     {"size_of_value", &CallableOptions::size_of_value},
                                     {"cached_errors", &CallableOptions::cached_errors},
                                     {"on_store", &CallableOptions::on_store},
                                     {"on_hit", &CallableOptions::on_hit},
                                     {"start_refresh", &CallableOptions::start_refresh},
                                     {"load_softly", &CallableOptions::load_softly},
                                     {"on_load", &CallableOptions::on_load},
                                     {"on_verified", &CallableOptions::on_verified},
                                     {"level_plan", &CallableOptions::level_plan},
                                     {"level", &CallableOptions::level},
                                     {"on_unserializable", &CallableOptions::on_unserializable},
                                     {"shared_as", &CallableOptions::shared_as}};

struct SecondsOption {
  const char* name;
  double CallableOptions::*field;
};
constexpr SecondsOption kSeconds[] = {{"ttl_s", &CallableOptions::ttl_s},
                                      {"error_ttl_s", &CallableOptions::error_ttl_s},
                                      {"flight_timeout_s", &CallableOptions::flight_timeout_s},
                                      {"verify", &CallableOptions::verify},
                                      {"grace_s", &AgingOptions::grace_s},
                                      {"stale_if_error_s", &AgingOptions::stale_if_error_s},
                                      {"soft_timeout_s", &AgingOptions::soft_timeout_s},
                                      {"refresh_ahead_s", &AgingOptions::refresh_ahead_s},
                                      {"jitter", &AgingOptions::jitter}};

struct FlagOption {
  const char* name;
  bool CallableOptions::*field;
};
constexpr FlagOption kFlags[] = {
    {"sliding", &CallableOptions::sliding},
    {"is_async", &CallableOptions::is_async},
    {"raise_on_timeout", &CallableOptions::raise_on_timeout},
    {"is_off", &CallableOptions::is_off},
    {"hit_sees_call", &CallableOptions::hit_sees_call},
    {"stale_while_revalidate", &AgingOptions::stale_while_revalidate},
    {"stale_if_error_invalidated", &AgingOptions::stale_if_error_invalidated}};

struct SizeOption {
  const char* name;
  std::size_t CallableOptions::*field;
};
constexpr SizeOption kSizes[] = {{"max_entries", &CallableOptions::max_entries},
                                 {"max_bytes", &CallableOptions::max_bytes}};

// None stands for "not given": nothing for objects, the default for the others.
bool read_option(const char* name, PyObject* value, CallableOptions* options) {
  for (const auto& [known, field] : kObjects) {
    if (std::strcmp(name, known) != 0) continue;
    PyObject* old = options->*field;
    options->*field = value == Py_None ? nullptr : Py_NewRef(value);
    Py_XDECREF(old);
    return true;
  }
  if (value == Py_None) return true;
  for (const auto& [known, field] : kSeconds) {
    if (std::strcmp(name, known) != 0) continue;
    options->*field = PyFloat_AsDouble(value);
    return PyErr_Occurred() == nullptr;
  }
  for (const auto& [known, field] : kFlags) {
    if (std::strcmp(name, known) != 0) continue;
    options->*field = value == Py_True;
    return true;
  }
  for (const auto& [known, field] : kSizes) {
    if (std::strcmp(name, known) != 0) continue;
    options->*field = PyLong_AsSize_t(value);
    return PyErr_Occurred() == nullptr;
  }
  if (std::strcmp(name, "deps_kind") == 0) {
    const long kind = PyLong_AsLong(value);
    options->deps_kind = static_cast<DepsKind>(kind);
    return kind >= 0 && kind <= static_cast<long>(DepsKind::kCallable);
  }
  PyErr_Format(PyExc_SystemError, "unknown option of a cached function: %s", name);
  return false;
}

}  // namespace

bool read_callable_options(PyObject* dict, CallableOptions* options) {
  PyObject *key, *value;
  Py_ssize_t position = 0;
  while (PyDict_Next(dict, &position, &key, &value)) {
    const char* name = PyUnicode_AsUTF8(key);
    if (name == nullptr || !read_option(name, value, options)) return false;
  }
  options->looks_at_hits = options->on_hit != nullptr || options->refresh_ahead_s > 0 ||
                           options->on_verified != nullptr || options->is_off;
  return true;
}

int traverse_callable_options(const CallableOptions& options, visitproc visit, void* arg) {
  for (const auto& [name, field] : kObjects) Py_VISIT(options.*field);
  return 0;
}

void clear_callable_options(CallableOptions& options) {
  for (const auto& [name, field] : kObjects) Py_CLEAR(options.*field);
  options.deps_kind = DepsKind::kNone;
}

bool signature_has(const Signature& signature, const char* name) {
  for (Py_ssize_t index = 0; index < signature.size(); ++index) {
    if (PyUnicode_CompareWithASCIIString(signature.parameters()[index].name, name) == 0) {
      return true;
    }
  }
  return false;
}

}  // namespace zoocache::python
