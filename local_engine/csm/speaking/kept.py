"""What the engine keeps to save work: snapshots of prompts, and codes for later turns."""

import logging
from collections.abc import Callable, Mapping

from local_engine.csm.messages import Submit
from local_engine.csm.running import Codes, OutOfMemory, Prompt, Runner
from local_engine.csm.settings import EngineSettings
from local_engine.csm.speaking.clip import Clip
from local_engine.csm.speaking.snapshots import KeptCodes, Snapshots, spoken

log = logging.getLogger(__name__)

_MEGABYTE = 1 << 20


class Kept:
    """Nothing here is needed: where memory runs out it is given up first."""

    def __init__(
        self, runner: Runner, digest: Callable[[Prompt], bytes], settings: EngineSettings
    ) -> None:
        self._runner = runner
        self._digest = digest
        self._codes = KeptCodes(settings.codes_megabytes * _MEGABYTE)
        self.snapshots = Snapshots(settings.snapshot_megabytes * _MEGABYTE)
        self.out_of_memory = 0
        """How often the device had no memory, whatever for."""

    def codes_for(self, submit: Submit) -> Mapping[str, Codes]:
        """Find the codes of those utterances that its context names and that are still here."""
        named = {turn.utterance for turn in submit.context if turn.utterance is not None}
        found = {name: self._codes.find(name) for name in named}
        return {name: codes for name, codes in found.items() if codes is not None}

    def restore(self, clip: Clip) -> int:
        """Fill its slot with the longest beginning that is kept; give the positions."""
        positions = clip.utterance.positions
        snapshot = self.snapshots.longest(clip.ready.boundaries, positions)
        if snapshot is None:
            return 0
        try:
            self._runner.restore(clip.utterance.slot, snapshot)
        except OutOfMemory:
            self.ran_out("restoring a snapshot")
            return 0
        return snapshot.positions

    def keep_prompt(self, clip: Clip) -> None:
        """Keep a prompt that is computed, up to the end of the voice and of the last turn."""
        voice, boundaries = clip.ready.voice_positions, clip.ready.boundaries
        for positions, name in boundaries:
            if positions == voice:
                self._keep(clip, positions, name, pinned=True)
        if boundaries and boundaries[-1][0] > voice:
            self._keep(clip, *boundaries[-1])

    def keep_spoken(self, clip: Clip) -> None:
        """Keep what the next turn of the conversation goes on from: prompt and frames."""
        codes = clip.codes
        self._codes.keep(clip.submit.utterance, codes)
        if self.snapshots.wanted:
            whole = spoken(clip.ready.prompt, codes)
            self._keep(clip, len(whole), self._digest(whole))

    def ran_out(self, doing: str) -> None:
        """Count that memory ran out, and make room."""
        log.warning("out of memory at %s; %d snapshots given up", doing, len(self.snapshots))
        self.out_of_memory += 1
        self.snapshots.clear()

    def _keep(self, clip: Clip, positions: int, name: bytes, *, pinned: bool = False) -> None:
        if name in self.snapshots or not self.snapshots.wanted:
            return
        try:
            snapshot = self._runner.keep(clip.utterance.slot, positions)
        except OutOfMemory:
            self.ran_out("keeping a snapshot")
        else:
            self.snapshots.keep(name, snapshot, pinned=pinned)
