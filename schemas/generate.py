"""Generate `fedactors/protocol/_pb` from the schemas; `--check` tells whether it is fresh, and writes nothing."""  # noqa: INP001 - a script

from __future__ import annotations

import re
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

SCHEMAS = Path(__file__).parent
TARGET = SCHEMAS.parent / "fedactors" / "protocol" / "_pb"
PACKAGE = "fedactors.protocol._pb"


def generate() -> dict[str, str]:
    """The generated files' texts by file name.

    Raises:
        RuntimeError: protoc refused a schema; it has said why on stderr.
    """
    from grpc_tools import protoc

    names = sorted(str(path.relative_to(SCHEMAS)) for path in SCHEMAS.glob("fedactors/v1/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        include = [f"-I{SCHEMAS}", f"-I{files('grpc_tools') / '_proto'}"]
        status = protoc.main(["protoc", *include, f"--python_out={folder}", f"--pyi_out={folder}", *names])
        if status:
            raise RuntimeError(f"protoc ended with status {status}")
        return {path.name: _rewritten(path.read_text()) for path in sorted(Path(folder).glob("fedactors/v1/*_pb2.py*"))}


def stale() -> list[str]:
    """Names of the files in `_pb` that differ from what the schemas give, are missing, or are left over."""
    fresh = generate()
    present = {path.name: path.read_text() for path in TARGET.glob("*_pb2.py*")}
    return sorted(name for name in fresh.keys() | present.keys() if fresh.get(name) != present.get(name))


def _rewritten(text: str) -> str:
    """Imports from our package; no stamp of protoc's version.

    The stamp would demand a protobuf runtime at least as new as protoc, which is newer than what other packages allow.
    The code itself is a serialised descriptor and calls that every runtime since the pinned lower bound has.
    """
    text = re.sub(r"^from fedactors\.v1 import", f"from {PACKAGE} import", text, flags=re.MULTILINE)
    text = re.sub(r"^# Protobuf Python Version: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^from google\.protobuf import runtime_version as _runtime_version\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^_runtime_version\.ValidateProtobufRuntimeVersion\(.*?^\)\n", "", text, flags=re.MULTILINE | re.DOTALL)


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them; the exit status."""
    if "--check" in arguments:
        differing = stale()
        if differing:
            sys.stderr.write(f"not fresh: {', '.join(differing)}; run python schemas/generate.py\n")
        return 1 if differing else 0
    for path in TARGET.glob("*_pb2.py*"):
        path.unlink()
    for name, text in generate().items():
        (TARGET / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
