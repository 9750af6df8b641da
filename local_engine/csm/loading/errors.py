"""Why a model cannot be loaded, in words for an operator.

LoadError             the start cannot go on
├── ConfigError       a config.json that this engine cannot run
├── CheckpointError   files that do not hold what the config.json promises
├── HubError          the hub does not give the files, and what can be done about it
└── VoiceError        a named voice whose entry or recording is wrong
"""


class LoadError(Exception):
    """The model, its tokenizer or its codec cannot be had; the message says which and why."""


class ConfigError(LoadError):
    """A config.json that this engine cannot run, and the field that says so."""


class CheckpointError(LoadError):
    """Tensors that are missing, unknown, of a wrong shape or unreadable, by name."""


class HubError(LoadError):
    """The hub refused, has no such files or cannot be reached."""


class VoiceError(LoadError):
    """A voice that cannot be used; the message names its file, the voice and the field."""
