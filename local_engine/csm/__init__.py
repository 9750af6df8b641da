"""The CSM-1B engine: an utterance's way from text to samples, many listeners at once.

Two processes. The server (`server`, no torch) takes requests, keeps the engine process running and
writes audio out. The engine process (`process`) loads a model (`loading`), turns each Submit into a
prompt (`prompt`, `voices`), and then beats: `scheduler` says who is next, `runner` makes one frame
of everybody with `model`, `guard` stops who runs away, and one Report goes back (`messages`).
"""
