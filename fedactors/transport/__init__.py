"""Moves frames of bytes between processes; knows neither models nor actors.

    base      the interface: Transport, Listener, Channel, Stream, Address
    memory    within one event loop, memory://name
    grpc      gRPC over TCP or a Unix socket, grpc://host:port and grpc:///path; grpc_streams, grpc_core: parts of it
    grpcs     the same with TLS 1.3, grpcs://host:port; grpc_credentials: a part of it
    tcp       plain TCP, tcp://host:port; tcp_streams, tcp_wire, frames: parts of it
    tcps      the same with TLS 1.3, tcps://host:port
    tls       certificates from files that may change
    ports     which of them an address names, and whether one can listen there
    fallback  a client's way to one of several listeners
    pipe      a bounded queue of frames
    serving   what a listener does with each stream
    malloc    settings of the allocator that make bulk transfers fast

The implementations are plug-ins of the entry-point group `fedactors.transport`: memory, grpc, grpcs, tcp and tcps.
"""

from fedactors.transport.base import FRAME_BYTES_MAX, Accept, Address, Admit, Channel, Frame, Listener, Stream, Transport

__all__ = ["FRAME_BYTES_MAX", "Accept", "Address", "Admit", "Channel", "Frame", "Listener", "Stream", "Transport"]
