from enum import Enum as Enum
from enum import Flag as Flag
from enum import IntEnum as IntEnum
from enum import IntFlag as IntFlag
