#!/usr/bin/env bash
# The encrypted quickstart on one machine: what each party would type on its own.
set -euo pipefail
cd "$(dirname "$0")"
address=${ADDRESS:-grpcs://127.0.0.1:4450}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 # the learners share this machine's cores
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# The authority, offline: whom to trust.
fedactors certs init
fedactors certs server 127.0.0.1
fedactors certs operator alice
for number in 0 1 2; do fedactors certs learner "learner-$number"; done

# The learners, among themselves: a key that the controller never sees.
fedactors keys ckks learners.key

# The controller. It says in run/address where it listens.
fedactors controller federation.toml --address "$address" --run-dir run &
until [ -e run/address ] || ! kill -0 $!; do sleep 0.2; done

# Three learners.
for number in 0 1 2; do
    fedactors learner federation.toml --address "$address" --index "$number" --ckks-key learners.key \
        --ca certs/ca.pem --certificate "certs/learners/learner-$number.pem" --key "certs/learners/learner-$number.key" &
done

# An operator who shares the learners' key, and so may read the result.
fedactors driver federation.toml --address "$address" --run-dir results --ckks-key learners.key \
    --ca certs/ca.pem --certificate certs/operators/alice.pem --key certs/operators/alice.key
wait
