"""An engine that is full, or stuck: `python tests/doubles/engine.py full|stuck --port PORT ...`.

It says each thing that it is asked on its standard output.
"""

import asyncio
import sys


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = (await reader.readline()).decode().split()[1]
    print(asked, flush=True)
    if sys.argv[1] == "stuck":
        await reader.read()  # until the other side gives up
    elif asked == "/health/live":
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
    else:
        writer.write(b"HTTP/1.0 503 Full\r\n\r\n")
    writer.close()


async def main() -> None:
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
