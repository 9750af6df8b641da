"""Our own voices, each as a server that speaks OpenAI's speech wire: eSpeak NG and CSM-1B.

What both share is here: `__main__` reads the command line, `serve` listens and ends in order, `app`
joins endpoints and errors, `body` reads a request, `reply` sends a clip on as it is made, `audio`
names the formats that it can leave in. What they do not share is below: `espeak` leases a worker
process to each request; `csm` has one engine process for each model, in which many speak at once.
"""
