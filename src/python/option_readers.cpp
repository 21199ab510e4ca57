#include "python/option_readers.h"

#include <string>
#include <vector>

#include "python/errors.h"
#include "zoocache/lmdb.h"
#ifdef ZOOCACHE_HAS_REDIS
#include "zoocache/redis.h"
#endif

namespace zoocache::python {

bool read_size(PyObject* options, const char* name, std::size_t* value) {
  PyObject* given = PyDict_GetItemString(options, name);
  if (given == nullptr) return true;
  const std::size_t number = PyLong_AsSize_t(given);
  if (number == static_cast<std::size_t>(-1) && PyErr_Occurred()) return false;
  *value = number;
  return true;
}

bool read_seconds(PyObject* options, const char* name, double* value) {
  PyObject* given = PyDict_GetItemString(options, name);
  if (given == nullptr) return true;
  *value = PyFloat_AsDouble(given);
  return PyErr_Occurred() == nullptr;
}

bool read_flag(PyObject* options, const char* name, bool* value) {
  PyObject* given = PyDict_GetItemString(options, name);
  if (given == nullptr) return true;
  const int truth = PyObject_IsTrue(given);
  *value = truth == 1;
  return truth >= 0;
}

namespace {

bool read_text(PyObject* options, const char* name, std::string* value) {
  PyObject* given = PyDict_GetItemString(options, name);
  if (given == nullptr) return true;
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(given, &size);
  if (text != nullptr) value->assign(text, static_cast<std::size_t>(size));
  return text != nullptr;
}

// A list of bytes.
bool read_secrets(PyObject* options, std::vector<std::string>* secrets) {
  PyObject* given = PyDict_GetItemString(options, "secrets");
  if (given == nullptr) return true;
  if (!PyList_Check(given)) {
    PyErr_SetString(PyExc_TypeError, "a list of secrets is wanted");
    return false;
  }
  for (Py_ssize_t index = 0; index < PyList_GET_SIZE(given); ++index) {
    char* bytes = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(PyList_GET_ITEM(given, index), &bytes, &size) < 0) return false;
    secrets->emplace_back(bytes, static_cast<std::size_t>(size));
  }
  return true;
}

bool read_lmdb_home(PyObject* options, HomePtr* home) {
  std::string path;
  LmdbOptions about;
  const bool read = read_text(options, "lmdb_path", &path) &&
                    read_text(options, "prefix", &about.prefix) &&
                    read_size(options, "max_log_tags", &about.max_log_tags) &&
                    read_size(options, "lmdb_map_size", &about.map_bytes) &&
                    read_seconds(options, "lock_timeout", &about.lock_timeout_s) &&
                    read_seconds(options, "max_commit_time", &about.max_commit_time_s);
  if (!read) return false;
  return path.empty() || guarded_without_gil([&] { *home = lmdb_home(path, about); });
}

bool read_lmdb_storage(PyObject* options, StoragePtr* storage) {
  std::string path;
  LmdbStorageOptions about;
  const bool read = read_text(options, "storage_lmdb_path", &path) &&
                    read_text(options, "prefix", &about.prefix) &&
                    read_size(options, "max_storage_bytes", &about.max_bytes) &&
                    read_size(options, "max_value_bytes", &about.max_value_bytes) &&
                    read_secrets(options, &about.secrets) &&
                    read_seconds(options, "lock_timeout", &about.lock_timeout_s);
  if (!read) return false;
  return path.empty() || guarded_without_gil([&] { *storage = lmdb_storage(path, about); });
}

#ifdef ZOOCACHE_HAS_REDIS

bool read_redis_home(PyObject* options, HomePtr* home) {
  std::string url;
  RedisOptions about;
  bool keeps_silently = false;
  bool is_writer = false;
  const bool read = read_text(options, "redis_url", &url) &&
                    read_text(options, "prefix", &about.prefix) &&
                    read_size(options, "max_log_tags", &about.max_log_tags) &&
                    read_seconds(options, "lease", &about.lease_s) &&
                    read_seconds(options, "command_timeout", &about.command_timeout_s) &&
                    read_seconds(options, "connect_timeout", &about.connect_timeout_s) &&
                    read_seconds(options, "max_commit_time", &about.max_commit_time_s) &&
                    read_seconds(options, "inspect_interval", &about.inspect_interval_s) &&
                    read_size(options, "replicas_ack", &about.replicas_ack) &&
                    read_flag(options, "keeps_silently", &keeps_silently) &&
                    read_flag(options, "is_writer", &is_writer) &&
                    read_flag(options, "allow_eviction", &about.allow_eviction);
  if (!read) return false;
  if (keeps_silently) about.on_unreachable = OnUnreachable::kJournal;
  if (is_writer) about.mode = RedisMode::kWriter;
  return url.empty() || guarded_without_gil([&] { *home = redis_home(url, about); });
}

bool read_redis_storage(PyObject* options, StoragePtr* storage) {
  std::string url;
  RedisStorageOptions about;
  const bool read = read_text(options, "storage_redis_url", &url) &&
                    read_text(options, "prefix", &about.prefix) &&
                    read_size(options, "max_value_bytes", &about.max_value_bytes) &&
                    read_secrets(options, &about.secrets) &&
                    read_seconds(options, "storage_ttl", &about.ttl_s) &&
                    read_seconds(options, "claim_timeout", &about.claim_s) &&
                    read_seconds(options, "command_timeout", &about.command_timeout_s) &&
                    read_seconds(options, "connect_timeout", &about.connect_timeout_s);
  if (!read) return false;
  return url.empty() || guarded_without_gil([&] { *storage = redis_storage(url, about); });
}

#else

// Whatever uses a server has its log there.
bool read_redis_home(PyObject* options, HomePtr*) {
  if (PyDict_GetItemString(options, "redis_url") == nullptr) return true;
  PyErr_SetString(invalid_option_type,
                  "'redis://...' is not allowed: this build of zoocache has no Redis; build it "
                  "with OpenSSL and the headers of Boost 1.90 (scripts/fetch_boost)");
  return false;
}

bool read_redis_storage(PyObject*, StoragePtr*) { return true; }

#endif

}  // namespace

bool read_homes(PyObject* options, Options* engine) {
  return read_lmdb_home(options, &engine->home) && read_redis_home(options, &engine->home) &&
         read_lmdb_storage(options, &engine->storage) &&
         read_redis_storage(options, &engine->storage);
}

}  // namespace zoocache::python
