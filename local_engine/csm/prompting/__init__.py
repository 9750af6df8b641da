"""From a Submit to a prompt: words, voices and what was said before, as a Runner takes them.

`preparing` does it on a thread beside the steps, with `preparer`, which knows the tokenizer and the
`voices`, whose codes are kept on disk (`codes_cache`). `prompt` lays the turns out, and drops the
oldest where there is no room.
"""
