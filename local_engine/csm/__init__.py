"""The CSM-1B engine: an utterance's way from text to samples, many listeners at once.

Two processes. The server (`server`) takes requests, keeps the engine process running and writes
audio out. The engine process (`process`) gets its parts from `building`: a model from `loading`,
and a `runner`, which computes `prompts` in `tiles` and `frames` of everybody at once with `model`,
on CUDA as `graphs`, by a `plan`. Then it is `speaking`: each Submit becomes a prompt in
`prompting`, `scheduling` says who is next, and once in a beat the runner is asked and a Report goes
back. At the top stands what several rooms share: `messages` over a `link` between the processes,
`settings`, a model's `shape`, what is asked of a runner (`running`), and recordings as samples
(`sound`). What decides and what serves needs no torch.
"""
