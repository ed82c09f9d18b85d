"""The zoo's dead: objects made and freed by the hundred thousand, so that freed ones lie in pools, free lists and malloc bins."""
import gc

SURVIVORS = 7


class Freed:
    """Made in great numbers; exactly SURVIVORS of them are alive at the record."""

    def __init__(self, number):
        self.number, self.text, self.held = number, "freed %d" % number, [number]


class FreedSlots:
    __slots__ = ("number", "text")

    def __init__(self, number):
        self.number, self.text = number, "freed slot %d" % number


class FreedDict(dict):
    pass


class FreedList(list):
    pass


class FreedFloat(float):
    """Without attributes, so that no collector tracks it: a freed one differs from a living one in its count alone."""

    __slots__ = ()


class FreedBytes(bytes):
    __slots__ = ()


class Garbage:
    """In cycles that nobody reaches and no collection has seen: the collector still lists them, so they are alive."""


KEPT = []


def churn(count):
    """Leave holes everywhere: whole pools, single blocks between living ones, and big blocks given back to malloc."""
    most = [Freed(n) for n in range(count)]
    slots = [FreedSlots(n) for n in range(count // 4)]
    mixed = []
    for n in range(count // 10):
        mixed.append((n, int, "t%d" % n))
        mixed.append({"key %d" % n: n, "type": str})
        mixed.append([n, float, object])
        mixed.append(n + 0.5)
        mixed.append("text number %d" % n)
        mixed.append({n, type})
        mixed.append(FreedDict(a=n))
        mixed.append(FreedList([n, dict]))
        mixed.append(FreedFloat(n))
        mixed.append(FreedBytes(n % 97))
        mixed.append(bytes(600 + n % 3000))
    KEPT.extend(most[:: max(1, count // SURVIVORS)][:SURVIVORS])
    # Of each kind some stay, so that its pool keeps living neighbours.
    KEPT.append(mixed[::109])
    KEPT.append([bytes(1000 + n) for n in range(100)][::10])
    del most, slots, mixed


def refill_free_lists():
    """After the last collection, which empties them: dead objects that no pool knows as free."""
    for _ in range(3):
        held = [[n] for n in range(200)]
        held += [(n, int) for n in range(200)]
        held += [{"k": n} for n in range(200)]
        held += [float(n) / 3 for n in range(200)]
        held += [slice(n, n + 1) for n in range(50)]
        held += [Freed(n) for n in range(500)]
        held += [FreedFloat(n) for n in range(500)]
        held += [FreedBytes(n % 97) for n in range(500)]
        del held


def garbage(count):
    for n in range(count):
        one, two = Garbage(), Garbage()
        one.other, two.other, one.number = two, one, n


def build(add, count):
    churn(count)
    add("survivors", KEPT)
    gc.collect()
    garbage(100)
    refill_free_lists()
