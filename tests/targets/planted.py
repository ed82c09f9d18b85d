"""Holds a thousand secrets in every kind of payload, has made and freed as many copies, and writes down which bytes must
not be found: one line of hex digits for each form that a secret may lie in memory in. Says ready, and waits."""

import array
import collections
import ctypes
import decimal
import io
import os
import sys
import threading


def secret(i):
    # made up as it goes, so that the program's own text does not hold it
    state = i * 2654435761 % (1 << 32) + 12345
    letters = []
    for _ in range(14):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        letters.append("abcdefghijkmnpqrstuvwxyz23456789"[state >> 59])
    return "K%03d-" % (i % 1000) + "".join(letters)


class Customer:
    def __init__(self, name):
        self.name = name
        self.card = name + " (card)"


held = []
written = []
for i in range(1000):
    text = secret(i)
    form = i % 20
    written.append(text.encode())
    if form == 0:
        held.append(text)
    elif form == 1:
        held.append(text.encode())
    elif form == 2:
        held.append(bytearray(text.encode()))
    elif form == 3:
        number = int.from_bytes(text.encode(), "little")
        held.append(number)
        # as the interpreter has it: digits of 30 bits
        digits = [(number >> 30 * k) & (1 << 30) - 1 for k in range(-(-number.bit_length() // 30))]
        written.append(b"".join(d.to_bytes(4, "little") for d in digits))
    elif form == 4:
        held.append({text: 1})
    elif form == 5:
        held.append({1: text})
    elif form == 6:
        held.append(text + "\u00e9")
    elif form == 7:
        held.append(text + "\u20ac")
        written.append(text.encode("utf-16-le"))
    elif form == 8:
        held.append(text + "\U0001f600")
        written.append(text.encode("utf-32-le"))
    elif form == 9:
        held.append(array.array("B", text.encode()))
    elif form == 10:
        held.append(io.BytesIO(text.encode()))
    elif form == 11:
        held.append(io.StringIO(text))
        written.append(text.encode("utf-32-le"))
    elif form == 12:
        held.append(ctypes.create_string_buffer(text.encode()))
    elif form == 13:
        held.append(collections.deque([text]))
    elif form == 14:
        held.append(Customer(text))
    elif form == 15:
        held.append((text, frozenset([text + "x"])))
    elif form == 16:
        held.append(type("S", (str,), {})(text))
        held[-1].attribute = text
    elif form == 17:
        held.append(memoryview(text.encode() * 40))
    elif form == 18:
        held.append(text.encode() * 300)
    else:
        os.environ["SECRET_%d" % i] = text
        held.append(None)
    # copies that are gone: freed blocks are memory too
    for n in (1, 3, 20, 200):
        (text * n).encode("utf-16")
        list(text * n)

read, write = os.pipe()
reader = io.BufferedReader(io.FileIO(read), 4096)
os.write(write, secret(1001).encode() + b"\n")
held.append(reader.readline())
written.append(secret(1001).encode())


# numbers whose hash is the number, as keys; digits that lie in the object; a buffer that does
card = 4111_1111_1111_0000 + os.getpid() % 10000
held.append([{card: "by number"}, {card}, {-card - 1: 1}, decimal.Decimal(card) * 10**30, ctypes.c_char_p, decimal.Decimal(card)])
hash(held[-1][5])
held.append((ctypes.c_char * 12)(*secret(1004)[:12].encode()))
written += [card.to_bytes(8, "little"), (2**64 - card - 1).to_bytes(8, "little"), secret(1004)[:12].encode()]


def keep_on_the_stack(text, depth):
    if depth:
        return keep_on_the_stack(text + secret(1002), depth - 1)
    ready.set()
    threading.Event().wait()


ready = threading.Event()
threading.Thread(target=keep_on_the_stack, args=(secret(1003), 20), daemon=True).start()
ready.wait()
written += [secret(1002).encode(), secret(1003).encode()]
with open(sys.argv[1], "w") as out:
    for form in written:
        out.write(form.hex() + "\n")
del written, form, text, number, digits, out, card
print("ready", flush=True)
threading.Event().wait()
