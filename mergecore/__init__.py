"""mergecore: what a record is after two devices have edited it.

>>> from mergecore import merge
>>> merge({"title": "milk", "qty": 1}, {"title": "oat milk", "qty": 1}, {"title": "milk", "qty": 2}).value
{'title': 'oat milk', 'qty': 2}
"""

from .clock import Clock, Timestamp
from .errors import (
    AnswerError,
    ClockDrift,
    InvalidInput,
    MergeConflict,
    MergeError,
    PolicyError,
    RecordDeleted,
    SchemaMismatch,
    StrategyError,
    TooDeep,
)
from .history import Commit
from .paths import ORDER, Slice, format_path
from .policy import Policy
from .strategies import (
    Candidate,
    Conflict,
    Context,
    Pass,
    Strategy,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    fww,
    group,
    keep_both,
    keyed,
    largest,
    lww,
    prefer,
    smallest,
    strategy,
    text,
    three_way,
)
from .threeway import Merged, merge
from .values import UNSET
from .vectors import VersionVector
from .version import Version, join
from .view import Lost
from .walk import Verdict

__all__ = [
    "ORDER",
    "UNSET",
    "AnswerError",
    "Candidate",
    "Clock",
    "ClockDrift",
    "Commit",
    "Conflict",
    "Context",
    "InvalidInput",
    "Lost",
    "MergeConflict",
    "MergeError",
    "Merged",
    "Pass",
    "Policy",
    "PolicyError",
    "RecordDeleted",
    "SchemaMismatch",
    "Slice",
    "Strategy",
    "StrategyError",
    "Timestamp",
    "TooDeep",
    "Verdict",
    "Version",
    "VersionVector",
    "add_wins",
    "counter",
    "delete_wins",
    "edit_wins",
    "format_path",
    "fww",
    "group",
    "join",
    "keep_both",
    "keyed",
    "largest",
    "lww",
    "merge",
    "prefer",
    "smallest",
    "strategy",
    "text",
    "three_way",
]
