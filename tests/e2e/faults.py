"""An agent whose calls can fail: tests/support/faults under it. See plan.hpp there for the rules and the layout of the report."""
import mmap
import struct

import fixture

LIBRARY = fixture.LOAD.parent / "libholdfast-faults.so"
POINTS, REACHED, CLOCK, ARMED, COUNTS, NUMBERS, LISTED, LIST = 0, 8, 16, 24, 32, 96, 168, 176
BYTES = LIST + (1 << 18)
RULES = 8


class Faults:
    """Prepares `agent`, which must not run yet. Nothing counts and nothing fails before `arm`."""

    def __init__(self, agent, *rules, children=False):
        path = agent.run / "faults"
        with open(path, "w+b") as file:
            file.truncate(BYTES)
            self.memory = mmap.mmap(file.fileno(), BYTES)
        items = [f"below={agent.state}/state", f"below={agent.run}/agent", f"report={path}", *rules]
        if children:
            items.append("children=holdfast-")
        agent.environment = {"HOLDFAST_FAULTS": ";".join(items), "LD_PRELOAD": str(LIBRARY)}

    def _get(self, at):
        return struct.unpack_from("<Q", self.memory, at)[0]

    def _put(self, at, value, form="<Q"):
        struct.pack_into(form, self.memory, at, value)

    def arm(self, number=0):
        """From now on calls count; the first rule is about the call of this number, 0: the one it names."""
        for at in [POINTS, REACHED, LISTED, *range(COUNTS, COUNTS + 8 * RULES, 8)]:
            self._put(at, 0)
        self._put(NUMBERS, number)
        self._put(ARMED, 1)

    def disarm(self):
        self._put(ARMED, 0)

    def set_clock(self, seconds):
        """What the wall clock of the agent is ahead of the host's."""
        self._put(CLOCK, int(seconds * 1e9), "<q")

    @property
    def points(self):
        return self._get(POINTS)

    @property
    def reached(self):
        return self._get(REACHED)

    @property
    def calls(self):
        """What counted so far: ["sync /a/b", …]."""
        size = min(self._get(LISTED), BYTES - LIST)
        return self.memory[LIST:LIST + size].decode(errors="replace").splitlines()
