"""A big heap: the order book of a year, all of it in memory. No bug, just size.

    big.py [ORDERS]      200,000 orders when not said: about 3 million objects, 200 MB
"""
import ctypes
import gc
import os
import signal
import sys

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)
CITIES = ("Aarhus", "Bergen", "Cadiz", "Delft", "Espoo", "Faro", "Gdansk", "Haarlem")


class Customer:
    def __init__(self, number):
        self.number = number
        self.name = "customer %d" % number
        self.city = CITIES[number % len(CITIES)]
        self.orders = []


class Order:
    def __init__(self, number, customer):
        self.number = number
        self.customer = customer
        self.lines = [OrderLine(number, n) for n in range(2)]
        self.tags = {"channel": "web" if number % 3 else "shop", "reference": "R-%08d" % number}


class OrderLine:
    __slots__ = ("article", "amount", "price")

    def __init__(self, order, number):
        self.article = ("article", order * 7 + number)
        self.amount = number + 1
        self.price = order * 0.01


class Book:
    def __init__(self, size):
        self.customers = [Customer(n) for n in range(max(1, size // 10))]
        self.orders = {}
        self.by_city = {}
        for number in range(size):
            customer = self.customers[number % len(self.customers)]
            order = self.orders[number] = Order(number, customer)
            customer.orders.append(order)
            self.by_city.setdefault(customer.city, []).append(order)


def main(size):
    gc.disable()  # nothing of this is garbage, and looking for it again and again would take most of the time
    book = Book(size)
    gc.enable()
    print("ready", flush=True)
    while book:
        signal.pause()


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    print("demo big: pid", os.getpid(), flush=True)
    try:
        main(int(sys.argv[1]) if sys.argv[1:] else 200000)
    except KeyboardInterrupt:
        pass
