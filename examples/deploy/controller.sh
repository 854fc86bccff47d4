#!/bin/sh
# Begin a run in the directory that is named, or go on with the one that is there: what a supervisor starts again after a crash.
set -eu
if [ -e "$1/config.toml" ]; then
    exec fedactors controller --resume "$1"
fi
exec fedactors controller federation.toml --run-dir "$1"
