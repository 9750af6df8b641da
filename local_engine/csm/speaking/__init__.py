"""The engine process at work: its life, its beat, and each clip's way through it. No torch here.

`life` loads, proves by `selftest` that sound comes out, and hands over to `loop`, which hears the
server and has `engine` beat. A beat has `clips` come and go, and in `steps` the Runner asked for
what the scheduler plans. Each `clip` has a `guard` against running away and, where one is set, a
`watermark`; what is `kept` of it, in `snapshots`, saves work in later turns.
"""
