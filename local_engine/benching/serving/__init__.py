"""The engine's server under load: real HTTP, clients in a process of their own."""
