/* A C program that embeds Python: runs a script, with a built-in module `embed` for what tests/targets/builds.py cannot do
 * without ctypes: fork() -> pid, create(code) runs code in a new subinterpreter, run(n, code) in the n-th made (from 1). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <unistd.h>

#define MOST 8

static PyThreadState *others[MOST];
static int made;

static PyObject *embed_fork(PyObject *module, PyObject *nothing)
{
    /* names a variable of the library: in a program that is not position-independent the linker moves it to the program */
    if (Py_TYPE((PyObject *)&PyType_Type) != &PyType_Type)
        return NULL;
    return PyLong_FromLong(fork());
}

/* Runs code in an interpreter, and comes back to this one. */
static PyObject *run_in(PyThreadState *there, const char *code)
{
    PyThreadState *here = PyThreadState_Get();
    PyThreadState_Swap(there);
    int failed = PyRun_SimpleString(code);
    PyThreadState_Swap(here);
    if (failed) {
        PyErr_SetString(PyExc_RuntimeError, "the code failed in the other interpreter");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *embed_create(PyObject *module, PyObject *arguments)
{
    const char *code;
    if (!PyArg_ParseTuple(arguments, "s", &code))
        return NULL;
    PyThreadState *here = PyThreadState_Get();
    PyThreadState *there = made < MOST ? Py_NewInterpreter() : NULL;
    PyThreadState_Swap(here);
    if (there == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "no interpreter could be made");
        return NULL;
    }
    others[made++] = there;
    return run_in(there, code);
}

static PyObject *embed_run(PyObject *module, PyObject *arguments)
{
    int number;
    const char *code;
    if (!PyArg_ParseTuple(arguments, "is", &number, &code))
        return NULL;
    if (number < 1 || number > made) {
        PyErr_SetString(PyExc_IndexError, "there is no such interpreter");
        return NULL;
    }
    return run_in(others[number - 1], code);
}

static PyMethodDef methods[] = {
    {"fork", embed_fork, METH_NOARGS, NULL},
    {"create", embed_create, METH_VARARGS, NULL},
    {"run", embed_run, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "embed", NULL, -1, methods, NULL, NULL, NULL, NULL};

static PyObject *initialise(void)
{
    return PyModule_Create(&definition);
}

int main(int argc, char **argv)
{
    if (PyImport_AppendInittab("embed", initialise) != 0)
        return 1;
    return Py_BytesMain(argc, argv);
}
