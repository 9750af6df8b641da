"""Mimi, from codes to samples and back: our own stateful decoder, transformers' encoder, moshi."""
