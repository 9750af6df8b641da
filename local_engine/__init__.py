"""Our own voices, as a server that speaks OpenAI's speech wire.

An utterance's way, room by room: `__main__` reads the command line and `serve` runs the server;
`endpoints` take the request, `body` turns it into an Utterance, `reply` leases a worker from
`espeak.pool`, writes to it through `espeak.process` and sends on what it hears. The worker itself
is `espeak.worker`, a small program around `espeak.library`.
"""
