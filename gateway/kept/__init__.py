"""Kept clips: finished audio on disk, for whoever asks for it again.

``clips`` is the door: a Draft takes a clip while it is spoken, and gives it its name only when it
is whole; ``find`` opens it by its generation's id. ``folder`` is where the files lie.
"""
