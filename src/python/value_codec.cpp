#include "python/value_codec.h"

#include "python/errors.h"
#include "python/static_type.h"

namespace zoocache::python {
namespace {

bool check_registry(PyObject* registry) {
  if (registry == Py_None || PyDict_CheckExact(registry)) return true;
  PyErr_Format(PyExc_TypeError, "a registry is a dict of name -> class, or None, not %.200s",
               Py_TYPE(registry)->tp_name);
  return false;
}

bool check_count(const char* function, Py_ssize_t wanted, Py_ssize_t given) {
  if (given == wanted) return true;
  PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", function, wanted, given);
  return false;
}

PyObject* encode(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("encode", 3, count) || !check_registry(args[1])) return nullptr;
  const int canonical = PyObject_IsTrue(args[2]);
  return canonical < 0 ? nullptr : encode_value(args[0], args[1], canonical != 0);
}

PyObject* decode(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("decode", 2, count) || !check_registry(args[1])) return nullptr;
  if (!PyBytes_Check(args[0])) {
    PyErr_Format(PyExc_TypeError, "decode() wants bytes, not %.200s", Py_TYPE(args[0])->tp_name);
    return nullptr;
  }
  return decode_value(PyBytes_AS_STRING(args[0]),
                      static_cast<std::size_t>(PyBytes_GET_SIZE(args[0])), args[1]);
}

PyMethodDef codec_functions[] = {
    {"encode", method_pointer(encode), METH_FASTCALL,
     "encode($module, value, registry, canonical, /)\n--\n\n"
     "The value as bytes, from which decode() makes one that is equal in value and type.\n\n"
     "Raises:\n"
     "    SerializationError: something in the value cannot be kept; the message names the path."},
    {"decode", method_pointer(decode), METH_FASTCALL,
     "decode($module, data, registry, /)\n--\n\n"
     "The value that encode() made these bytes of.\n\n"
     "Raises:\n"
     "    SerializationError: the bytes are no value, or need a class that is not registered."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyObject* codec_helper(const char* name) {
  static PyObject* module = nullptr;
  if (module == nullptr) module = PyImport_ImportModule("zoocache._codec");
  return module == nullptr ? nullptr : PyObject_GetAttrString(module, name);
}

int init_value_codec(PyObject* module) { return PyModule_AddFunctions(module, codec_functions); }

}  // namespace zoocache::python
