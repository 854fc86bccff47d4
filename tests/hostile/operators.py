"""Hostile operators: (name, method, frames, what is answered)."""

from __future__ import annotations

from fedactors.model import Layout
from fedactors.protocol import DOWNLOAD, GET_STATUS, LIST_VERSIONS, ORDER, SHIP, WATCH
from fedactors.protocol._pb import admin_pb2 as pb
from fedactors.protocol._pb import federation_pb2 as weights_pb
from fedactors.protocol.blob_wire import encode_opening
from fedactors.protocol.messages import PushOpening
from fedactors.task import TrainReport

GARBAGE = b"\xff\xff\xff"


def shipped(layout: Layout, **fields) -> bytes:
    known = {"token": b"", "task": "", "layout_digest": layout.digest, "specs": tuple(layout.specs), "total_bytes": layout.nbytes}
    return encode_opening(PushOpening(**(known | fields), report=TrainReport(0)))


SMALL = Layout.from_specs([("w", "float32", (4,))])
OPERATORS = [
    *(
        (f"{method.rpartition('/')[2]} that is never asked for", method, [], f"said nothing on {method} within 0.3 s")
        for method in (DOWNLOAD, GET_STATUS, LIST_VERSIONS, ORDER, SHIP, WATCH)
    ),
    *(
        (f"{method.rpartition('/')[2]} of no protobuf", method, [GARBAGE], "is not a ")
        for method in (DOWNLOAD, GET_STATUS, LIST_VERSIONS, ORDER, SHIP, WATCH)
    ),
    ("an order of no verb", ORDER, [pb.OrderRequest().SerializeToString()], "order 0 is none that this version knows"),
    ("an order of verb 99", ORDER, [pb.OrderRequest(verb=99).SerializeToString()], "order 99 is none that this version knows"),
    (
        "an order to start what goes on, in 1 MB of escapes",
        ORDER,
        [pb.OrderRequest(verb=1, why="\x1b[2J" * 250_000).SerializeToString()],
        "training has begun already|has begun|is training",
    ),
    ("a watch from nowhere", WATCH, [pb.WatchRequest(from_number=2**63).SerializeToString()], "events are kept from number"),
    (
        "a download of what never will be",
        DOWNLOAD,
        [pb.DownloadRequest(version=2**62).SerializeToString()],
        "no model of version",
    ),
    ("weights behind the first", SHIP, [shipped(SMALL)], r"refused \(refused\): the federation has a model already, version"),
    ("weights without tensors", SHIP, [shipped(SMALL, specs=None)], r"refused \(refused\): a blob's header names a layout"),
    (
        "weights of a terabyte",
        SHIP,
        [shipped(Layout.from_specs([("w", "uint8", (10**12,))]))],
        r"refused \(refused\): 1,000,000,000,000 bytes are announced, .* at most 1,000,000 are taken",
    ),
    ("weights that lie about their size", SHIP, [shipped(SMALL, total_bytes=5)], "5 bytes are announced, the layout takes 64"),
    (
        "weights of a dtype that nobody knows",
        SHIP,
        [
            weights_pb.PushFrame(
                opening=weights_pb.PushOpening(
                    blob=weights_pb.BlobHeader(tensors=[weights_pb.TensorSpec(name="w", dtype="object", shape=[1])]),
                    report=b"\x80",
                )
            ).SerializeToString()
        ],
        "announces no valid layout: tensor 'w' has dtype 'object'",
    ),
    ("a method that nobody serves", "/fedactors.v1.Admin/Shell", [b"rm"], "no method '/fedactors.v1.Admin/Shell' is served here"),
    ("a method without a name", "/", [b"x"], "no method '/' is served here"),
]
