"""All parts, in the order in which they are tried."""

from __future__ import annotations

from torture_parts.damage import DAMAGE
from torture_parts.data import DATA
from torture_parts.grammar import CLI
from torture_parts.harness import Part
from torture_parts.hostile import HOSTILE
from torture_parts.kills import KILLS
from torture_parts.long import LONG
from torture_parts.same import SAME
from torture_parts.streams import PART as STREAMS
from torture_parts.together import TOGETHER
from torture_parts.writes import WRITES

PARTS: tuple[Part, ...] = (KILLS, WRITES, TOGETHER, DAMAGE, HOSTILE, DATA, CLI, STREAMS, SAME, LONG)
