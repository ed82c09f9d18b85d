"""Objects whose neighbourhoods are known, with names and values that mean something to Graphviz, XML and terminals."""
import signal

HOSTILE = '<script>"];x[label="\\N&lt;&#10;]]>\x1b]52;\x07\u202e\\'
Odd = type('Odd "quoted\\N" &amp; <b>', (), {})


class Node:
    def __init__(self, **names):
        self.__dict__.update(names)


leaf = Node()
odd = Odd()
odd.text = HOSTILE
wide = [Node(number=i) for i in range(5000)]
twice = [leaf, leaf, leaf, leaf, leaf]
middle = Node(leaf=leaf, odd=odd, wide=wide, twice=twice)
holders = [{"middle": middle, "number": i} for i in range(100)]

for name in ("leaf", "odd", "wide", "twice", "middle"):
    print(name, hex(id(globals()[name])), flush=True)
numbers_by_name = {"name %d" % i: [i, Node(number=i)] for i in range(20000)}
print("ready", flush=True)
signal.pause()
