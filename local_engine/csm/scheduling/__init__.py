"""Who is next: the waiting line, the slots, the rows of a step. No torch, no clock, no socket."""
