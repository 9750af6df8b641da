"""The embedded voice: eSpeak NG in worker processes, for it is GPLv3 and one global state.

`endpoints` take the request, `body` turns it into an Utterance, `pool` leases a worker to it and
`process` is the server's side of that worker, a small program (`worker`) around `library`.
"""
