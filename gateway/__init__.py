"""The life of one request, told room by room.

endpoints   `speech` reads the body at the door and answers with what comes back up
access      turns the bearer key into a Caller
routing     `tasks` turns a model name into models and a policy; `judging` says which offers may
            speak under the price cap and why each other one may not, `policies` and `standings`
            (what was lately seen of each) put them in the order that `plan` gives
metering    `ledger` holds characters and money and writes the first attempt's intent down, in one
            durable commit, before anybody is asked
dispatch    `supervisor` owns the request from the first on: `admission` lets it in when its turn
            comes, `start` finds the first offer that may be asked (before the hold), `attempts`
            tries one after another as `course` decides; in an `attempt` `first_audio` lets nothing
            through but real audio; `delivery` hands it to the `outlet` that the response reads
audio       passes bytes on untouched where they are in the wanted format, else decodes and encodes
            them on the way
providers   (the other package) speaks the provider's protocol
kept        holds what was spoken under an Idempotency-Key, so that the same request sent again is
            answered by `dispatch.replay` and asks nobody
metering    settles or voids, in the second durable commit, whatever became of the client
tracing     writes the whole way down as one trace

`app` joins the rooms, `serve` runs them beside the engines that `engine` keeps alive.
"""
