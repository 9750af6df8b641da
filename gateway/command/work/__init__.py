"""What commands do with the gateway's own rooms; loading those takes a second.

A command imports its work once it runs, so that help and completions come at once.
"""
