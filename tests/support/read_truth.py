"""Read a truth file back: `read_truth.py FILE` prints totals and types; `read_truth.py OLD NEW` compares two records.

For people who look into a failing comparison; the Rust tests have their own reader.
"""
import collections
import struct
import sys

Kind = collections.namedtuple("Kind", "name flags basicsize itemsize")
Thing = collections.namedtuple("Thing", "kind size flags refs")


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"PYTRUTH1", "not a truth file"
    (count,), at = struct.unpack_from("<Q", data, 8), 16
    kinds = {}
    for _ in range(count):
        address, flags, basicsize, itemsize, length = struct.unpack_from("<QQqqI", data, at)
        at += 36
        kinds[address] = Kind(data[at:at + length].decode(), flags, basicsize, itemsize)
        at += length
    (count,) = struct.unpack_from("<Q", data, at)
    at += 8
    things = {}
    for _ in range(count):
        address, kind, size, flags, n = struct.unpack_from("<QQQII", data, at)
        at += 32
        assert address not in things and kind in kinds
        things[address] = Thing(kind, size, flags, struct.unpack_from("<%dQ" % n, data, at))
        at += 8 * n
    assert at == len(data), "%d bytes too many" % (len(data) - at)
    return kinds, things


def summary(kinds, things):
    per_kind = collections.Counter(thing.kind for thing in things.values())
    print("%d types, %d objects: %d tracked, %d strict, %d in gc.get_objects(); %d references, %d of them to nothing known" % (
        len(kinds), len(things), *(sum(bool(t.flags & bit) for t in things.values()) for bit in (1, 2, 4)),
        sum(len(t.refs) for t in things.values()), sum(r not in things for t in things.values() for r in t.refs),
    ))
    print("sizes that could not be had: %d" % sum(t.size == (1 << 64) - 1 for t in things.values()))
    for kind, count in per_kind.most_common(int(sys.argv[2]) if sys.argv[2:] else 25):
        print("%8d  %s%s" % (count, kinds[kind].name, " (own)" if kinds[kind].flags & 2 else ""))


def compare(old, new):
    (old_kinds, old), (new_kinds, new) = old, new
    rows = [("gone", a, old[a], old_kinds) for a in old.keys() - new.keys()]
    rows += [("new", a, new[a], new_kinds) for a in new.keys() - old.keys()]
    rows += [("changed", a, new[a], new_kinds) for a in old.keys() & new.keys() if old[a] != new[a]]
    for what, address, thing, kinds in rows[:50]:
        print("%-8s %#x %s %s" % (what, address, kinds[thing.kind].name, thing))
    print("%d differences among %d objects" % (len(rows), len(old)))
    return len(rows)


if __name__ == "__main__":
    if len(sys.argv) > 2 and not sys.argv[2].isdigit():
        sys.exit(1 if compare(read(sys.argv[1]), read(sys.argv[2])) else 0)
    summary(*read(sys.argv[1]))
