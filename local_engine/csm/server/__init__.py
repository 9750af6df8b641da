"""CSM's server: requests in, samples out, and an engine process for each model. No torch here.

`config` says which models there are. `keeper` runs the process of one and hears it, and `client`
hands on what it makes, clip by clip. `endpoints` take requests, `body` and `context` check them;
`readiness`, `metrics` and `results` tell how it goes. `speaker` is where all come together.
"""
