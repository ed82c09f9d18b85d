"""A deadlock of tasks: three services of a shop wait for each other, while the rest of the program looks healthy.

`orders` awaits the task of `billing`, which awaits that of `stock`, which awaits that of `orders`: a cycle that nothing outside
of it awaits. Beside it a heartbeat and a few workers do their job, and many requests wait at the same place for one lock, whose
holder waits for a response that never comes.

    async_deadlock.py [REQUESTS]      200 waiting requests when not said
"""
import asyncio
import ctypes
import os
import sys

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)


class Shop:
    def __init__(self):
        self.services = {}
        self.beats = 0
        self.jobs = asyncio.Queue()
        self.database = asyncio.Lock()

    async def result_of(self, name):
        while name not in self.services:
            await asyncio.sleep(0)
        return await self.services[name]

    async def orders(self):
        invoice = await self.result_of("billing")
        return "order with " + invoice

    async def billing(self):
        reserved = await self.result_of("stock")
        return "invoice for " + reserved

    async def stock(self):
        # The problem: stock is reserved for an order that waits for the bill of what is reserved.
        order = await self.result_of("orders")
        return "items of " + order

    async def heartbeat(self):
        while True:
            self.beats += 1
            await asyncio.sleep(5)

    async def worker(self, number):
        while True:
            job = await self.jobs.get()
            await asyncio.sleep(job)

    async def slow_query(self):
        async with self.database:
            response = asyncio.get_running_loop().create_future()
            await response  # nobody sets it

    async def request(self, number):
        user = "user-%d" % number
        return await self.load_profile(user)

    async def load_profile(self, user):
        async with self.database:
            return {"name": user}


def start(coroutine, name):
    task = asyncio.ensure_future(coroutine)
    if hasattr(task, "set_name"):
        task.set_name(name)
    return task


async def main(requests):
    shop = Shop()
    for name in ("orders", "billing", "stock"):
        shop.services[name] = start(getattr(shop, name)(), name)
    tasks = [start(shop.heartbeat(), "heartbeat"), start(shop.slow_query(), "slow-query")]
    tasks += [start(shop.worker(n), "worker-%d" % n) for n in range(4)]
    await asyncio.sleep(0.05)
    tasks += [start(shop.request(n), "request-%d" % n) for n in range(requests)]
    await asyncio.sleep(0.05)
    print("ready", flush=True)
    await asyncio.wait(tasks)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    print("demo async-deadlock: pid", os.getpid(), flush=True)
    try:
        asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 200))
    except KeyboardInterrupt:
        pass
