"""gRPC itself, imported from here only: before it loads, it must be told some things that it can be told in no other way.

It is to log no notes on other people's goodbyes. And it is to speak no TLS below 1.3: of the suites of TLS 1.2, it is given one
alone that works by a shared key, and nobody has such a key; TLS 1.3 has suites of its own. An application that has set one of
these variables before keeps its setting.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-PSK-CHACHA20-POLY1305")

import grpc

__all__ = ["grpc"]
