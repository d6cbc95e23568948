"""The only aiohttp server code: it moves bytes between sockets and the pure parts.

`admission` is the exception: it decides who may come in, and knows nothing of aiohttp.
"""
