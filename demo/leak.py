"""A leak: a client of a message service that never forgets.

Every request puts a future into `Client.response_futures`, keyed by its correlation id, so that the reader can find it when the
response comes. Nothing ever takes it out again: answered futures stay for ever, and with them each response's text.

    leak.py [REQUESTS]      100,000 requests when not said (about 130 MB)
"""
import asyncio
import ctypes
import os
import sys

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)


class Response:
    def __init__(self, correlation_id, status, body):
        self.correlation_id = correlation_id
        self.status = status
        self.body = body


class Server:
    """Answers at once; every tenth answer is a page of 8 kB, the others are short."""

    def answer(self, correlation_id):
        if correlation_id % 10 == 0:
            line = "<li>item of request %d</li>\n" % correlation_id
            return Response(correlation_id, 200, line * (8192 // len(line)))
        return Response(correlation_id, 204, "")


class Client:
    def __init__(self, server):
        self.server = server
        self.next_id = 0
        self.response_futures = {}

    async def request(self):
        correlation_id = self.next_id
        self.next_id += 1
        future = asyncio.get_running_loop().create_future()
        # The problem: there is no matching `del self.response_futures[correlation_id]`.
        self.response_futures[correlation_id] = future
        self.on_response(self.server.answer(correlation_id))
        return await future

    def on_response(self, response):
        self.response_futures[response.correlation_id].set_result(response)


async def session(client, requests):
    statuses = {}
    for _ in range(requests):
        response = await client.request()
        statuses[response.status] = statuses.get(response.status, 0) + 1
    return statuses


async def main(requests):
    client = Client(Server())
    statuses = await session(client, requests)
    print("ready", flush=True)
    await asyncio.Event().wait()  # for ever
    return client, statuses


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    print("demo leak: pid", os.getpid(), flush=True)
    try:
        asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 100000))
    except KeyboardInterrupt:
        pass
