"""What is said between a controller, its learners and its drivers, and how it is written.

    messages   every message as a frozen value; the names of the streams
    wire       messages as frames and back: session_wire, blob_wire; bodies: the msgpack parts of them
    states     a session's rules as one table
    session    one side of a session: join, read_hello, welcome, refuse, Session
    blobs      weights in chunks, and the controller's side of fetch and push
    transfers  the learner's side: Download, Upload; fetch and push in one attempt
    chunks     one chunk as a frame; gate: how many are written at a time; buffers: memory used again
    admin      drivers and operators: AdminClient, and the controller's side; versions: the list of what is kept
    federations  operators of many federations; asking: one question, one answer
    _pb        code generated from schemas/

Everything here speaks through a `fedactors.transport.Stream`, whatever carries it.
"""

from fedactors.protocol.admin import AdminClient, Verb
from fedactors.protocol.blobs import (
    BlobReceiver,
    EncodedBlob,
    Receiver,
    answer_amid_chunks,
    answer_push,
    encode_blob,
    read_fetch,
    read_opening,
    receive_blob,
    refuse_fetch,
    send_blob,
)
from fedactors.protocol.buffers import BufferPool
from fedactors.protocol.chunks import CHUNK_BYTES
from fedactors.protocol.messages import (
    ADD_FEDERATION,
    DOWNLOAD,
    FETCH,
    GET_STATUS,
    LIST_FEDERATIONS,
    LIST_VERSIONS,
    ORDER,
    PUSH,
    SESSION,
    SHIP,
    STOP_FEDERATION,
    WATCH,
    WIRE_VERSION,
    BlobHeader,
    Cancel,
    Evaluated,
    FetchRequest,
    FromController,
    FromLearner,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    Masking,
    Message,
    PushAnswer,
    PushGrant,
    PushOpening,
    Task,
    TaskFailure,
    Welcome,
)
from fedactors.protocol.session import JoinRefused, Session, SessionLost, join, read_hello, refuse, welcome
from fedactors.protocol.transfers import Download, FetchRefused, Upload, fetch, push

__all__ = [
    "ADD_FEDERATION", "CHUNK_BYTES", "DOWNLOAD", "FETCH", "GET_STATUS", "LIST_FEDERATIONS", "LIST_VERSIONS", "ORDER", "PUSH",
    "SESSION", "SHIP", "STOP_FEDERATION", "WATCH", "WIRE_VERSION", "AdminClient", "BlobHeader", "BlobReceiver", "BufferPool",
    "Cancel", "Download", "EncodedBlob", "Evaluated", "FetchRefused", "FetchRequest", "FromController", "FromLearner", "Goodbye",
    "GoodbyeReason", "Heartbeat", "Hello", "JoinRefused", "Masking", "Message", "PushAnswer", "PushGrant", "PushOpening",
    "Receiver", "Session", "SessionLost", "Task", "TaskFailure", "Upload", "Verb", "Welcome", "answer_amid_chunks", "answer_push",
    "encode_blob", "fetch", "join", "push", "read_fetch", "read_hello", "read_opening", "receive_blob", "refuse", "refuse_fetch",
    "send_blob", "welcome",
]  # fmt: skip
