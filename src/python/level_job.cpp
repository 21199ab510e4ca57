#include "python/level_job.h"

#include <new>
#include <utility>

#include "python/static_type.h"

namespace zoocache::python {
namespace {

PyTypeObject job_type = static_type();

struct Job {
  PyObject_HEAD std::function<void()>* work;  // nullptr once it has begun
  StatePtr* state;                            // counted under the GIL
};

// Nothing of the work is left when the GIL is taken back: a daemon thread may not come that far.
void run_without_gil(std::function<void()>* work) {
  PyThreadState* const saved = PyEval_SaveThread();
  (*work)();
  delete work;
  PyEval_RestoreThread(saved);
}

PyObject* job_call(PyObject* object, PyObject*, PyObject*) {
  auto* self = reinterpret_cast<Job*>(object);
  std::function<void()>* work = std::exchange(self->work, nullptr);
  if (work != nullptr) run_without_gil(work);
  Py_RETURN_NONE;
}

// One that never ran: dropping the work may wait as the work does.
void job_dealloc(PyObject* object) {
  auto* self = reinterpret_cast<Job*>(object);
  std::function<void()>* work = std::exchange(self->work, nullptr);
  if (work != nullptr) {
    PyThreadState* const saved = PyEval_SaveThread();
    delete work;
    PyEval_RestoreThread(saved);
  }
  delete self->state;
  Py_TYPE(object)->tp_free(object);
}

}  // namespace

PyObject* new_level_job(StatePtr state, std::function<void()> work) {
  auto* self = reinterpret_cast<Job*>(job_type.tp_alloc(&job_type, 0));
  if (self == nullptr) return nullptr;
  self->work = new (std::nothrow) std::function<void()>(std::move(work));
  self->state = new (std::nothrow) StatePtr(std::move(state));
  if (self->work != nullptr && self->state != nullptr) return reinterpret_cast<PyObject*>(self);
  Py_DECREF(reinterpret_cast<PyObject*>(self));
  return PyErr_NoMemory();
}

int init_level_job() {
  job_type.tp_name = "zoocache._zoocache.LevelJob";
  job_type.tp_basicsize = sizeof(Job);
  job_type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  job_type.tp_call = job_call;
  job_type.tp_dealloc = job_dealloc;
  return PyType_Ready(&job_type);
}

}  // namespace zoocache::python
