"""Bytes that are really audio: told apart, measured, decoded and encoded while they stream.

``inspection`` decides whether the first bytes of an answer are the audio they claim to be,
``length`` counts the seconds that pass, and ``transcode`` turns one format into another with
``decoder`` and ``encoder``. Nothing here holds a whole clip. The codecs are PyAV's; the containers
around them are read and written by hand in ``containers``, because a demuxer waits for more bytes
than speech can spare before its first sound.
"""
