"""Moves frames of bytes between processes; knows neither models nor actors.

    base      the interface: Transport, Listener, Channel, Stream, Address
    memory    within one event loop, memory://name
    grpc      gRPC over TCP or a Unix socket, grpc://host:port and grpc:///path; grpc_streams, grpc_core: parts of it
    grpcs     the same with TLS 1.3, grpcs://host:port; tls: certificates from files that may change
    fallback  a client's way to one of several listeners
    pipe      the bounded queue that both are made of
    serving   what a listener does with each stream
    malloc    settings of the allocator that make bulk transfers fast

The implementations are plug-ins: `fedactors.transport.memory`, `fedactors.transport.grpc`, `fedactors.transport.grpcs`.
"""

from fedactors.transport.base import FRAME_BYTES_MAX, Accept, Address, Admit, Channel, Frame, Listener, Stream, Transport

__all__ = ["FRAME_BYTES_MAX", "Accept", "Address", "Admit", "Channel", "Frame", "Listener", "Stream", "Transport"]
