#include "python/evidence.h"

#include <algorithm>
#include <new>
#include <string>
#include <vector>

#include "python/callable.h"
#include "python/errors.h"
#include "python/static_type.h"

namespace zoocache::python {

PyTypeObject EvidenceType = static_type();

namespace {

using Standing = core::InvalidationLog::Standing;

Evidence* as_evidence(PyObject* object) { return reinterpret_cast<Evidence*>(object); }

const char* name_of(Standing standing) {
  switch (standing) {
    case Standing::kCurrent:
      return "current";
    case Standing::kInvalidated:
      return "invalidated";
    case Standing::kHeld:
      return "held";
    case Standing::kForgotten:
      break;
  }
  return "forgotten";
}

// () -> "current", "invalidated", "held" by a writer whose block has not ended, or "forgotten":
// nobody knows any more.
PyObject* evidence_standing(PyObject* object, PyObject*) {
  const Evidence* self = as_evidence(object);
  Evidence::Held const& held = *self->held;
  core::InvalidationLog& log = held.state->engine.log();
  if (log.home() != nullptr) {
    PyThreadState* const saved = PyEval_SaveThread();
    log.arrive();
    PyEval_RestoreThread(saved);
  }
  auto standing = Standing::kForgotten;
  if (self->callable->function == held.function) {
    const core::HiddenTag own(held.function->tag_id, held.hash);
    standing = log.standing(held.deps, held.function->node, &own.path(), held.born);
  }
  return PyUnicode_FromString(name_of(standing));
}

// () -> the tags, sorted.
PyObject* evidence_deps(PyObject* object, PyObject*) {
  std::vector<std::string> names;
  for (const core::TagNode* node : as_evidence(object)->held->deps.nodes()) {
    if (!node->hidden()) names.push_back(node->text());
  }
  std::sort(names.begin(), names.end());
  PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(names.size()));
  for (std::size_t index = 0; tuple != nullptr && index < names.size(); ++index) {
    const std::string& name = names[index];
    PyObject* text =
        PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "replace");
    if (text == nullptr) {
      Py_CLEAR(tuple);
      break;
    }
    PyTuple_SET_ITEM(tuple, static_cast<Py_ssize_t>(index), text);
  }
  return tuple;
}

PyObject* evidence_born(PyObject* object, void*) {
  return PyLong_FromUnsignedLongLong(as_evidence(object)->held->born);
}

PyObject* evidence_conclusive(PyObject* object, void*) {
  return PyBool_FromLong(as_evidence(object)->held->conclusive);
}

void evidence_dealloc(PyObject* object) {
  Evidence* self = as_evidence(object);
  self->held.~optional();
  Py_XDECREF(reinterpret_cast<PyObject*>(self->callable));
  Py_TYPE(object)->tp_free(object);
}

PyMethodDef evidence_methods[] = {{"standing", evidence_standing, METH_NOARGS, nullptr},
                                  {"deps", evidence_deps, METH_NOARGS, nullptr},
                                  {nullptr, nullptr, 0, nullptr}};

PyGetSetDef evidence_getset[] = {{"born", evidence_born, nullptr, nullptr, nullptr},
                                 {"conclusive", evidence_conclusive, nullptr, nullptr, nullptr},
                                 {nullptr, nullptr, nullptr, nullptr, nullptr}};

}  // namespace

Evidence* new_evidence(CachedFunction* callable, const StatePtr& state, core::EntryId id) {
  auto* self = PyObject_New(Evidence, &EvidenceType);
  if (self == nullptr) return nullptr;
  new (&self->held) std::optional<Evidence::Held>();
  self->callable =
      reinterpret_cast<CachedFunction*>(Py_NewRef(reinterpret_cast<PyObject*>(callable)));
  auto& engine = state->engine;
  const core::ColdEntry& cold = engine.slab().cold(id);
  const bool made = guarded([&] {
    core::DepSet deps(engine.log());
    deps.add_nodes(cold.deps.nodes());
    self->held.emplace(Evidence::Held{state, std::move(deps), callable->function,
                                      engine.slab().hot(id).hash, cold.born,
                                      cold.expires_ns.load(std::memory_order_relaxed), false});
  });
  if (made) return self;
  Py_DECREF(reinterpret_cast<PyObject*>(self));
  return nullptr;
}

int init_evidence(PyObject*) {
  EvidenceType.tp_name = "zoocache._zoocache.Evidence";
  EvidenceType.tp_basicsize = sizeof(Evidence);
  EvidenceType.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  EvidenceType.tp_dealloc = evidence_dealloc;
  EvidenceType.tp_methods = evidence_methods;
  EvidenceType.tp_getset = evidence_getset;
  return PyType_Ready(&EvidenceType);
}

}  // namespace zoocache::python
