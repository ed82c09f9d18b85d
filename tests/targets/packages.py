"""A target that holds objects of NumPy, pandas and attrs, says what they are worth, and then stands still.

    packages.py OUT_PREFIX FOLDER

FOLDER is what `.ci/packages` filled. Writes OUT_PREFIX.expect (see expect.py), whose objects come with their names, and
OUT_PREFIX.paths: lines of [name, id, id]: from the first object references lead to the second.
"""
import os
import sys

sys.dont_write_bytecode = True
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a thread more would be there when this process forks
PREFIX, FOLDER = sys.argv[1:]
sys.path.insert(0, FOLDER)

import json
import signal
import warnings

warnings.simplefilter("ignore")

import attr
import numpy as np
import pandas as pd

import expect
import truth
import zoo

add, PATHS = zoo.add, []


def lead(name, start, end):
    PATHS.append([name, id(start), id(end)])


@attr.s
class Plain:
    x = attr.ib()
    y = attr.ib(factory=list)


@attr.s(slots=True, frozen=True)
class Slotted:
    a = attr.ib()
    b = attr.ib(default=None)


def attrs():
    add("attrs", Plain(1))
    add("attrs slots", Slotted("a", [2]))


def arrays():
    whole = add("whole", np.arange(12, dtype="f8").reshape(3, 4).copy())
    view = add("view", whole[1:, ::2])
    lead("view to its base", view, whole)
    add("transposed", whole.T)
    add("fortran", np.asfortranarray(np.arange(6, dtype="i2").reshape(2, 3)))
    add("empty", np.empty((0, 3)))
    add("scalar array", np.array(5))
    add("five dimensions", np.zeros((1, 2, 3, 4, 5), dtype="u1"))
    for dtype in ("?", "i1", "u8", "f2", "f4", "f8", "c8", "c16", ">i4", "U5", "S3", "M8[ns]", "M8[10us]", "m8[D]", "M8", "V6"):
        add("array " + dtype, np.zeros(3, dtype=dtype))
        add("dtype " + dtype, np.dtype(dtype))
    record = add("structured", np.zeros(2, dtype=[("x", "i4"), ("y", "f8", (2,))]))
    add("field of structured", record["y"])
    add("dtype structured", record.dtype)
    words = ["word of an object array %d" % n for n in range(3)]
    objects = add("object array", np.array(words + [None], dtype=object))
    lead("object array to its item", objects, words[2])
    lead("view of objects to an item", add("object view", objects[1:]), words[0])
    add("from buffer", np.frombuffer(b"borrowed", dtype="u1"))
    add("matrix", np.matrix([[1, 2], [3, 4]]))
    add("big", np.ones(100000))
    add("broadcast", np.broadcast_to(np.arange(3), (4, 3)))


def scalars():
    for one in (
        np.bool_(True), np.int8(-1), np.int16(-2), np.int32(-3), np.int64(-4), np.uint8(255), np.uint16(65535), np.uint32(1 << 31), np.uint64((1 << 64) - 1),
        np.float16(1.5), np.float32(0.1), np.float64(0.1), np.complex64(1 + 2j), np.complex128(-1j), np.datetime64("2024-05-06"),
        np.datetime64("2024-05-06T07:08:09.123456789"), np.timedelta64(25, "s"), np.longlong(5), np.float16(6e-8), np.float64("nan"),
    ):
        add("numpy " + type(one).__name__, one)


def frames():
    frame = add("frame", pd.DataFrame({"a": [1, 2, 3], "b": [1.5, 2.5, 3.5], "c": ["text x", "text y", "text z"]}))
    series = add("series", pd.Series([1.0, 2.0], name="series"))
    for n, block in enumerate(frame._mgr.blocks):
        values = block.values
        lead("frame to the array of block %d" % n, frame, values)
        owner = values if values.base is None else values.base
        lead("frame to what owns block %d" % n, frame, owner)
        if values.dtype == object:
            lead("frame to a text", frame, values[0][0])
    lead("series to its array", series, series._mgr.blocks[0].values)
    lead("frame to its labels", frame, frame.columns._data if isinstance(frame.columns._data, np.ndarray) else frame.columns)


def number(o, ref):
    if isinstance(o, (np.datetime64, np.timedelta64)):
        unit, count = np.datetime_data(o.dtype)
        return "record", {"value": str(int(o.astype("i8"))), "unit": unit, "count": str(count)}
    if isinstance(o, np.complexfloating):
        return "record", {"real": repr(float(o.real)), "imag": repr(float(o.imag))}
    one = o.item()
    return "record", {"value": one if isinstance(one, bool) else repr(one)}


def array(o, ref):
    owned = o.nbytes if o.flags.owndata and o.base is None else 0
    value = {"dtype": o.dtype.str, "shape": list(o.shape), "strides": list(o.strides), "nbytes": str(o.nbytes), "owned": str(owned)}
    value.update(expect._fact("base", o.base, ref), hex=o.tobytes().hex())
    return "ndarray", value


expect._BY_TYPE[:0] = [
    (np.ndarray, array),
    (np.dtype, lambda o, ref: ("record", {"str": o.str})),
    ((np.bool_, np.integer, np.floating, np.complexfloating, np.datetime64), number),
]


def main():
    zoo.allow_tracer()
    attrs(), arrays(), scalars(), frames()
    with open(PREFIX + ".paths", "w", encoding="ascii") as out:
        json.dump(PATHS, out)
    ready = ("ready %d numpy %s pandas %s attrs %s\n" % (os.getpid(), np.__version__, pd.__version__, attr.__version__)).encode()
    truth.warm_up()
    expect.write_expect(PREFIX + ".expect", zoo.REGISTRY)
    os.write(1, ready)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
