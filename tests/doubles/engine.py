"""An engine in one of three manners: `python tests/doubles/engine.py full|stuck|loading ...`.

It says how it was started, and each thing that it is asked, on its standard output. One that loads
is ready when it has been asked three times whether it is.
"""

import asyncio
import sys
from itertools import count

asked_before = count()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = (await reader.readline()).decode().split()[1]
    print(asked, flush=True)
    if sys.argv[1] == "stuck":
        await reader.read()  # until the other side gives up
    elif asked == "/health/live" or (sys.argv[1] == "loading" and next(asked_before) > 1):
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
    else:
        writer.write(b"HTTP/1.0 503 Full\r\n\r\n")
    writer.close()


async def main() -> None:
    print(*sys.argv[2:], flush=True)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
