#include "python/teller.h"

#include <Python.h>
#include <pthread.h>

#include <atomic>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "core/inspection.h"
#include "python/explain.h"
#include "python/state.h"

namespace zoocache::python {
namespace {

std::map<std::uint64_t, EngineState*> engines;  // that can be asked
std::uint64_t last_number = 0;

// Threads that answer, or have not found out yet that they must not: one for each cache that was
// asked, at most so many.
constexpr int kMostTellers = 16;
std::atomic<int> tellers{0};
std::atomic<bool> is_ending{false};

void forget_tellers() { tellers.store(0); }

void end_teller() {
  tellers.fetch_sub(1);
  tellers.notify_all();
}

void answer(std::uint64_t number, const core::MemoryQuestion& question) {
  const auto found = engines.find(number);
  if (found == engines.end()) return;
  const StatePtr kept(found->second);
  auto& engine = kept->engine;
  auto told = core::memory_of(engine, "Python", question.tag,
                              [](std::string name) { return std::string(shown_name(name)); });
  engine.log().home()->tell(question, to_json(std::move(told), question.most_bytes));
}

void run(std::uint64_t number, const core::MemoryQuestion& question) {
  if (!is_ending.load()) {
    const PyGILState_STATE gil = PyGILState_Ensure();
    try {
      answer(number, question);
    } catch (const std::exception&) {
      PyErr_Clear();  // no memory, or the tag is none here: no answer
    }
    PyGILState_Release(gil);
  }
  end_teller();
}

PyObject* end_tellers(PyObject*, PyObject*) {
  is_ending.store(true);
  PyThreadState* const saved = PyEval_SaveThread();
  for (int running = tellers.load(); running != 0; running = tellers.load()) tellers.wait(running);
  PyEval_RestoreThread(saved);
  Py_RETURN_NONE;
}

PyMethodDef end_definition = {"end_tellers", end_tellers, METH_NOARGS, nullptr};

}  // namespace

Teller::Teller(EngineState& state) : number_(++last_number) { engines.emplace(number_, &state); }

void Teller::leave() { engines.erase(number_); }

void Teller::inspect(const core::MemoryQuestion& question) noexcept {
  if (tellers.fetch_add(1) >= kMostTellers) {
    end_teller();
    return;
  }
  try {
    std::thread([number = number_, question] { run(number, question); }).detach();
  } catch (const std::exception&) {  // no thread: no answer
    end_teller();
  }
}

int init_teller() {
  if (pthread_atfork(nullptr, nullptr, &forget_tellers) != 0) {
    PyErr_NoMemory();
    return -1;
  }
  PyObject* module = PyImport_ImportModule("atexit");
  PyObject* end = module == nullptr ? nullptr : PyCFunction_New(&end_definition, nullptr);
  PyObject* done = end == nullptr ? nullptr : PyObject_CallMethod(module, "register", "O", end);
  Py_XDECREF(done);
  Py_XDECREF(end);
  Py_XDECREF(module);
  return done == nullptr ? -1 : 0;
}

}  // namespace zoocache::python
