"""The embedded voice: eSpeak NG in worker processes, for it is GPLv3 and one global state."""
