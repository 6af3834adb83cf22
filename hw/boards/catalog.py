"""The boards by name."""

from .icebreaker import ICEBREAKER
from .orangecrab import ORANGECRAB_25F
from .tang_primer_20k import TANG_PRIMER_20K
from .ulx3s import ULX3S_25F, ULX3S_85F

__all__ = ["BOARDS"]

BOARDS = {board.name: board for board in (ULX3S_25F, ULX3S_85F, ORANGECRAB_25F, TANG_PRIMER_20K, ICEBREAKER)}
