#include "python/instance.h"

#include "python/call.h"
#include "python/callable.h"
#include "python/static_type.h"

namespace zoocache::python {

PyTypeObject InstanceTokenType = static_type();

namespace {

void token_dealloc(PyObject* object) {
  delete reinterpret_cast<InstanceToken*>(object)->hashes;
  Py_TYPE(object)->tp_free(object);
}

// The weak reference's callback: the instance died, and its entries with it.
PyObject* token_call(PyObject* object, PyObject* args, PyObject*) {
  auto* self = reinterpret_cast<InstanceToken*>(object);
  PyObject* instance = self->instance;
  CachedFunction* owner = self->owner;
  self->instance = nullptr;  // from here on no key matches it
  if (owner == nullptr || PyTuple_GET_SIZE(args) != 1) Py_RETURN_NONE;
  Py_INCREF(object);
  Py_INCREF(owner);
  const auto found = owner->instances->find(instance);
  if (found != owner->instances->end() && found->second == PyTuple_GET_ITEM(args, 0)) {
    Py_DECREF(found->second);
    owner->instances->erase(found);
  }
  if (owner->function != nullptr) {
    const StatePtr state = *owner->state;
    core::Removed removed(state->engine.log());
    for (const std::uint64_t hash : *self->hashes) {
      const auto matches = [object](const core::HotEntry& hot) {
        PyObject* key = to_object(hot.key);
        const bool is_int = (hot.state.load(std::memory_order_relaxed) & kKeyIsInt) != 0;
        if (is_int) return core::Match::kNo;
        const bool own = key == object || (PyTuple_CheckExact(key) && PyTuple_GET_SIZE(key) > 0 &&
                                           PyTuple_GET_ITEM(key, 0) == object);
        return own ? core::Match::kYes : core::Match::kNo;
      };
      state->engine.remove_key(*owner->function, hash, matches, core::Removal::kRemoved, removed);
    }
    removed.flush();
  }
  Py_DECREF(owner);
  Py_DECREF(object);
  Py_RETURN_NONE;
}

// Keys of entries that went long ago: worth forgetting once they are most of the list.
void forget_evicted(InstanceToken* token) {
  std::vector<std::uint64_t> kept;
  for (const std::uint64_t hash : *token->hashes) {
    const auto& engine = (*token->owner->state)->engine;
    const core::EntryId found = engine.find(
        *token->owner->function, hash, [](const core::HotEntry&) { return core::Match::kYes; });
    if (found != core::kNoEntry) kept.push_back(hash);
  }
  token->hashes->swap(kept);
}

}  // namespace

int init_instance() {
  InstanceTokenType.tp_name = "zoocache._zoocache.InstanceToken";
  InstanceTokenType.tp_basicsize = sizeof(InstanceToken);
  InstanceTokenType.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  InstanceTokenType.tp_dealloc = token_dealloc;
  InstanceTokenType.tp_call = token_call;
  return PyType_Ready(&InstanceTokenType);
}

bool check_instance(const CachedFunction* owner, PyObject* instance) {
  if (PyType_SUPPORTS_WEAKREFS(Py_TYPE(instance))) return true;
  PyErr_Format(
      PyExc_TypeError,
      "%R: an instance of %.80s cannot be weakly referenced, so its entries could not die "
      "with it; add '__weakref__' to its __slots__, or name the key with key= or leave the "
      "instance out with ignore=",
      owner->wrapped, Py_TYPE(instance)->tp_name);
  return false;
}

InstanceToken* token_for(CachedFunction* owner, PyObject* instance, std::uint64_t hash) {
  const auto found = owner->instances->find(instance);
  if (found != owner->instances->end()) {
    auto* token = reinterpret_cast<InstanceToken*>(
        reinterpret_cast<PyWeakReference*>(found->second)->wr_callback);
    if (token->hashes->size() >= 64 && std::has_single_bit(token->hashes->size())) {
      forget_evicted(token);
    }
    token->hashes->push_back(hash);
    Py_INCREF(token);
    return token;
  }
  if (!check_instance(owner, instance)) return nullptr;
  auto* token = PyObject_New(InstanceToken, &InstanceTokenType);
  if (token == nullptr) return nullptr;
  token->instance = instance;
  token->owner = owner;
  token->hashes = new std::vector<std::uint64_t>{hash};
  PyObject* reference = PyWeakref_NewRef(instance, reinterpret_cast<PyObject*>(token));
  if (reference == nullptr) {
    Py_DECREF(token);
    return nullptr;
  }
  owner->instances->emplace(instance, reference);
  return token;
}

void drop_instances(CachedFunction* owner) {
  std::unordered_map<PyObject*, PyObject*> instances;
  instances.swap(*owner->instances);
  for (const auto& [instance, reference] : instances) {
    auto* token = reinterpret_cast<InstanceToken*>(
        reinterpret_cast<PyWeakReference*>(reference)->wr_callback);
    if (token != nullptr) token->owner = nullptr;
    Py_DECREF(reference);
  }
}

}  // namespace zoocache::python
