"""mergecore.sync: a small sync layer on mergecore's public face, for one process or over HTTP.

It needs the extra ``sync``: ``pip install 'mergecore[sync]'``.
"""

try:
    import sqlalchemy as _  # noqa: F401
except ModuleNotFoundError as error:
    todo = "mergecore.sync needs its extra: pip install 'mergecore[sync]'"
    raise ModuleNotFoundError(todo, name=error.name) from error

from .errors import (
    Forbidden,
    PeerError,
    PreconditionFailed,
    PreconditionRequired,
    RecordNotFound,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreTooNew,
    SyncError,
)
from .exchange import Refused, Report
from .node import Inbox, Node, Peer
from .plan import Action, Purged, plan
from .protocol import Change, Request, Response
from .supernode import Answer, SuperNode
from .webhook import Webhook

__all__ = [
    "Action", "Answer", "Change", "Forbidden", "Inbox", "Node", "Peer", "PeerError", "PreconditionFailed",
    "PreconditionRequired", "Purged", "RecordNotFound", "Refused",
    "Report", "Request", "Response", "StoreCorrupt", "StoreError", "StoreFull", "StoreLocked", "StoreReadOnly",
    "StoreTooNew", "SuperNode", "SyncError", "Webhook", "plan",
]  # fmt: skip
