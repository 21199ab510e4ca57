#include "python/home_status.h"

#include <utility>

namespace zoocache::python {
namespace {

constexpr std::pair<const char*, std::uint64_t HomeCounters::*> kCounters[] = {
    {"connects", &HomeCounters::connects},
    {"disconnects", &HomeCounters::disconnects},
    {"timeouts", &HomeCounters::timeouts},
    {"errors", &HomeCounters::errors},
    {"script_loads", &HomeCounters::script_loads},
    {"gaps", &HomeCounters::gaps},
    {"catch_ups", &HomeCounters::catch_ups},
    {"flushes", &HomeCounters::flushes},
    {"generation_changes", &HomeCounters::generation_changes},
    {"replays", &HomeCounters::replays},
    {"unreplicated", &HomeCounters::unreplicated},
    {"breaker_opens", &HomeCounters::breaker_opens},
    {"local_checks", &HomeCounters::local_checks},
    {"server_checks", &HomeCounters::server_checks},
    {"map_full", &HomeCounters::map_full},
    {"corruptions", &HomeCounters::corruptions},
    {"duplicates", &HomeCounters::duplicates},
    {"lease_expirations", &HomeCounters::lease_expirations},
};
static_assert(sizeof kCounters / sizeof *kCounters == sizeof(HomeCounters) / sizeof(std::uint64_t));

constexpr std::pair<const char*, std::uint64_t StorageCounters::*> kStorageCounters[] = {
    {"connects", &StorageCounters::connects},       {"disconnects", &StorageCounters::disconnects},
    {"errors", &StorageCounters::errors},           {"rejected", &StorageCounters::rejected},
    {"corruptions", &StorageCounters::corruptions},
};
static_assert(sizeof kStorageCounters / sizeof *kStorageCounters ==
              sizeof(StorageCounters) / sizeof(std::uint64_t));

template <class Counters, std::size_t kCount>
PyObject* counters_dict(const Counters& counters,
                        const std::pair<const char*, std::uint64_t Counters::*> (&named)[kCount]) {
  PyObject* made = PyDict_New();
  for (const auto& [name, counter] : named) {
    if (made == nullptr) return nullptr;
    PyObject* value = PyLong_FromUnsignedLongLong(counters.*counter);
    if (value == nullptr || PyDict_SetItemString(made, name, value) < 0) Py_CLEAR(made);
    Py_XDECREF(value);
  }
  return made;
}

// A server's own words may be in it, and they may be any bytes.
PyObject* trouble_text(const std::string& trouble) {
  return PyUnicode_DecodeUTF8(trouble.data(), static_cast<Py_ssize_t>(trouble.size()), "replace");
}

}  // namespace

PyObject* home_dict(const HomeStatus& status) {
  PyObject* trouble = trouble_text(status.trouble);
  if (trouble == nullptr) return nullptr;
  PyObject* counters = counters_dict(status.counters, kCounters);
  if (counters == nullptr) {
    Py_DECREF(trouble);
    return nullptr;
  }
  return Py_BuildValue("{s:s,s:O,s:K,s:K,s:K,s:K,s:N,s:K,s:K,s:N}", "kind", status.kind.c_str(),
                       "reachable", status.reachable ? Py_True : Py_False, "generation",
                       status.generation, "clock", status.clock, "applied", status.applied, "floor",
                       status.floor, "trouble", trouble, "intents",
                       static_cast<unsigned long long>(status.intents), "fired_intents",
                       static_cast<unsigned long long>(status.fired_intents), "counters", counters);
}

PyObject* storage_dict(const StorageStatus& status) {
  PyObject* trouble = trouble_text(status.trouble);
  if (trouble == nullptr) return nullptr;
  PyObject* counters = counters_dict(status.counters, kStorageCounters);
  if (counters == nullptr) {
    Py_DECREF(trouble);
    return nullptr;
  }
  return Py_BuildValue("{s:s,s:O,s:N,s:N}", "kind", status.kind.c_str(), "reachable",
                       status.reachable ? Py_True : Py_False, "trouble", trouble, "counters",
                       counters);
}

}  // namespace zoocache::python
