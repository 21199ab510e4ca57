// Objects of users' data sources, such as rows of an ORM: they change while somebody holds them,
// and belong to the session and the thread that loaded them.
//
//   an argument   the call passes the cache by: what such an object says now is no part of a key.
//                 With key= it is looked up, and the load depends on the object as it was read.
//   a value       is kept in a portable form, of which every caller gets objects of its own.
// Thread-safety: the GIL guards everything.
#pragma once

#include <Python.h>

namespace zoocache::python {

// Type -> callable(object, is_keyed), which is told of arguments of exactly that type while their
// load runs. nullptr until there is an integration.
extern PyObject* models;
// Set by the hash of an object of such a type.
extern bool met_model;
// The class of portable forms; borrowed.
extern PyTypeObject* portable_type;

// Whether it is of such a type. Keeps no error.
bool is_model(PyObject* object);

enum class Portable { kNeedless, kMade, kRefused, kError };
// Makes a portable form of a value (new reference) that has such objects in it. kRefused: it must
// not be kept.
Portable make_portable(PyObject* value, PyObject** form);
// A new reference to what a caller gets of a kept value: itself, or what is made of its form.
inline bool is_portable(PyObject* kept) {
  return portable_type != nullptr && Py_TYPE(kept) == portable_type;
}
PyObject* make_of_portable(PyObject* form);
// Tells of an argument. False with an error.
bool tell_of_model(PyObject* object, bool is_keyed);
// Tells of those in an argument that is a container. False with an error.
bool tell_of_models_inside(PyObject* argument, bool is_keyed);

int init_models(PyObject* module);

}  // namespace zoocache::python
