"""A target whose texts are attacks on a terminal: every kind of name and value holds escape sequences.

    hostile.py

Prints `ready PID` and stands still. Strings, bytes, type, module, attribute and function names, dict keys, file names, slots and
exceptions all hold ESC [, OSC 52, 8-bit CSI, carriage returns, bidirectional overrides and invisible characters.
"""
import ctypes
import os
import signal
import sys
import types

sys.dont_write_bytecode = True
ATTACK = "\x1b[31m\x1b]52;c;ZXZpbA==\x07\x9b2J\r\n\t\x00\x7f\u202egnp.exe\u2066\u200b\ufeff\U000e0041"
ATTACK_IN_C = ATTACK.replace("\x00", "")  # C's strings end at a zero


def named(kind):
    return "hostile-%s-%s" % (kind, ATTACK)


Evil = type(named("type").replace("\x00", ""), (), {"__module__": named("module"), "__doc__": named("doc")})
Evil.__qualname__ = named("qualname")
one = Evil()
setattr(one, named("attribute"), named("value"))
setattr(Evil, named("class attribute"), named("class value"))
table = {named("key"): named("item"), "plain": [named("element")], ("in a tuple", named("key 2")): named("item 2")}
raw = [named("bytes").encode("utf-8", "surrogatepass"), bytearray(named("bytearray").encode()), b"\x1b[2J\x9b" * 20]
module = types.ModuleType(named("module name"))
module.__file__ = "/tmp/" + named("file")
sys.modules[module.__name__] = module
setattr(module, named("global"), named("global value"))
plain = types.ModuleType("hostile_plain")
plain.__file__ = "/tmp/" + named("file")
setattr(plain, named("global"), named("global value"))
sys.modules["hostile_plain"] = plain


def function():
    local = named("local")
    yield local


function.__name__, function.__qualname__ = named("function"), named("function qualname")
code = function.__code__.replace(co_name=named("code"), co_filename=named("code file"))
generated = types.FunctionType(code, {}, named("function name"))
suspended = function()
next(suspended)
error = ValueError(named("exception"))
many = [named("duplicate") + str(n // 9) for n in range(90)]
lone = "\ud800" + ATTACK
everything = [one, table, raw, module, plain, function, generated, suspended, error, many, lone, Evil]

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
    print("ready", os.getpid(), *[id(o) for o in everything], flush=True)
    while True:
        signal.pause()
