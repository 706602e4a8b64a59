"""Be so many browsers with a page open, until stdin ends: ``python browsers.py ADDRESS NUMBER``.

Says "open" when all are there, and at the end how many bytes they were sent since.
"""

import asyncio
import sys
import urllib.request

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect


async def connected(address):
    """What a browser does first: fetch the page, then open the websocket that its token is for."""
    with await asyncio.to_thread(urllib.request.urlopen, address) as answer:
        token = answer.read().decode().split('"token":"')[1].split('"')[0]
    headers = {"Origin": address.rpartition("/")[0]}
    request = HTTPRequest(address.replace("http", "ws") + "/ws", headers=headers)
    return await websocket_connect(request, subprotocols=["bokeh", token])


async def browse(address, number):
    connections = [await connected(address) for _ in range(number)]
    received = 0

    async def read(connection):
        nonlocal received
        while (message := await connection.read_message()) is not None:
            received += len(message)

    readers = [asyncio.create_task(read(connection)) for connection in connections]
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for reader in readers:
        reader.cancel()
    print(received)


if __name__ == "__main__":
    asyncio.run(browse(sys.argv[1], int(sys.argv[2])))
