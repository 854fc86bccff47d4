"""What does each form of updates cost, and what does it save?

One model of float32 parameters whose updates differ from it by a fiftieth of its values, normally distributed. Arithmetic is
measured in processor time of one thread, the best of several repeats; rounds in seconds over a real socket whose way up is
throttled. Everything is a rate in bytes of the unpacked update, or a ratio to what was measured without a form in the same run:

    bytes      what travels, over the unpacked update
    rms        of the error, over that of what training changed; of one update, and of the mean of ten that changed alike
    pack       by the learner, GB of update a second
    check      by the controller, before the update counts; without a form: the look for NaN
    fold       by the controller: unpacked and folded by fedavg
    round      seconds of a round over the throttled link, over those without a form

    python benchmarks/compression.py --smoke           a few seconds
    python benchmarks/compression.py                   10M parameters; rounds of 2.5M over 12.5 MB/s (100 Mbit/s)
    python benchmarks/compression.py --json results.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from fedactors import Federation
from fedactors.actors.expected import Expected
from fedactors.aggregation import Contribution
from fedactors.aggregation.fedavg import FedAvg
from fedactors.compression.bf16 import Bf16
from fedactors.compression.fp16 import Fp16
from fedactors.compression.int8 import Int8, Rounding
from fedactors.compression.narrowed import Of
from fedactors.compression.top_k import TopK
from fedactors.config import known_forms
from fedactors.form import IDENTITY, Form
from fedactors.learner import LearnerClient
from fedactors.model import Layout
from fedactors.testing import Direction, Faults, FaultyWire, everyone
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport

FORMS: dict[str, Form] = {
    "none": IDENTITY,
    "bf16": Bf16(),
    "bf16, of weights": Bf16(Of.WEIGHTS),
    "fp16": Fp16(),
    "fp16, of weights": Fp16(Of.WEIGHTS),
    "int8": Int8(),
    "int8, nearest": Int8(rounding=Rounding.NEAREST),
    "top_k, 5 %": TopK(0.05),
    "top_k, 1 %": TopK(0.01),
}
AT_WORK = ("none", "bf16", "fp16", "int8", "top_k")
"""Forms of which rounds are measured, with their default options."""
CHANGE = 0.02
MEAN_OF = 10
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """One form's arithmetic."""

    form: str
    bytes_ratio: float
    rms: float
    rms_of_mean: float
    pack_gb_per_s: float
    check_gb_per_s: float
    fold_gb_per_s: float

    def line(self) -> str:
        """A line of the table."""
        rates = "".join(f"{rate:>9.2f}" for rate in (self.pack_gb_per_s, self.check_gb_per_s, self.fold_gb_per_s))
        return f"{self.form:<18}{self.bytes_ratio:>7.3f}{self.rms:>10.2g}{self.rms_of_mean:>10.2g}{rates}"


def cpu_s(work: Callable[[], object]) -> float:
    """Processor seconds, the best of some repeats after one that warms the memory."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def cost(name: str, form: Form, parameters: int) -> Cost:
    """Pack, check, unpack and fold."""
    layout = Layout.from_specs([("w", "float32", (parameters,))])
    rng = np.random.default_rng(7)
    base = layout.pack({"w": rng.standard_normal(parameters, np.float32)})
    change = CHANGE * rng.standard_normal(parameters, np.float32)
    update = layout.pack({"w": layout.views(base)["w"] + change})
    expected, packed, out = Expected(layout, form, form.layout(layout)), form.pack(update, base, layout, 7), base.copy()
    fold = FedAvg().fold(layout)

    def folded() -> None:
        if form.opens:
            form.unpack(packed, base, layout, out)
        fold.add(Contribution("a", out if form.opens else packed, 1.0))

    pack_s = cpu_s(lambda: form.pack(update, base, layout, 7))
    check_s = cpu_s(lambda: expected.refusal(packed, refuse_not_finite=True))
    rms, rms_of_mean = errors(form, layout, base, update)
    rates = [layout.nbytes / 1e9 / seconds if seconds > 1e-6 else float("inf") for seconds in (pack_s, check_s, cpu_s(folded))]
    return Cost(name, packed.nbytes / layout.nbytes, rms, rms_of_mean, *rates)


def errors(form: Form, layout: Layout, base: np.ndarray, update: np.ndarray) -> tuple[float, float]:
    """Relative root mean square of one learner's error, and of that of the mean of learners who all send this update."""
    wanted, out = layout.views(update)["w"].astype(np.float64), base.copy()
    found = []
    for seed in range(MEAN_OF):
        form.unpack(form.pack(update, base, layout, seed), base, layout, out)
        found.append(layout.views(out)["w"] - wanted)
    changed = rms_of(wanted - layout.views(base)["w"])
    return rms_of(found[0]) / changed, rms_of(np.mean(found, axis=0)) / changed


def rms_of(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


# ---------------------------------------------------------------------------------------------------------------------- rounds


class Moving:
    """Does no work: gives back what it got, a little changed."""

    num_train_examples = 100

    def __init__(self, parameters: int) -> None:
        self.change = np.float32(CHANGE) * np.random.default_rng(1).standard_normal(parameters, np.float32)

    def get_weights(self):
        return {"w": np.zeros_like(self.change)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {"w": weights["w"] + self.change}, {}

    def evaluate(self, weights, params):
        return {"loss": 1.0, "num_examples": 1}


async def round_s(form: str, parameters: int, learners: int, rounds: int, bytes_per_s: float) -> float:
    """Seconds of a steady round whose updates share one throttled way up."""
    config = {"seed": 1, "learners": {"count": learners}, "stop": {"rounds": rounds}, "evaluate": {"every": 0}}
    if form != "none":
        config["compression"] = {"updates": form}
    with tempfile.TemporaryDirectory() as folder:
        address = f"grpc://{folder}/controller.sock"
        async with Federation(config, addresses=[address]) as federation:
            plan = everyone(Faults(up=Direction(bytes_per_s=bytes_per_s)))
            async with FaultyWire(Address.parse(address), plan) as wire:
                channel = GrpcTransport().connect(wire.address)
                made = [LearnerClient(Moving(parameters), f"l{index}", channel, forms=known_forms()) for index in range(learners)]
                running = [asyncio.create_task(client.run()) for client in made]
                results = await federation.run()
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                await channel.close()
    return median(record.duration_s for record in results.rounds[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a small model, few rounds")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    parameters, rounds, per_round = (200_000, 3, 100_000) if arguments.smoke else (10_000_000, 5, 2_500_000)
    print(f"{'':18}{'bytes':>7}{'rms':>10}{'of mean':>10}{'pack':>9}{'check':>9}{'fold':>9}   GB/s, {parameters:,} parameters")
    costs = []
    for name, form in FORMS.items():
        costs.append(cost(name, form, parameters))
        print(costs[-1].line(), flush=True)
    link = 12.5e6
    print(f"\nrounds of 2 learners over one way up of {link / 1e6:g} MB/s, {per_round:,} parameters")
    seconds = {form: asyncio.run(round_s(form, per_round, 2, rounds, link)) for form in AT_WORK}
    for form, taken in seconds.items():
        print(f"{form:<18}{taken:>9.3f} s{taken / seconds['none']:>9.2f}", flush=True)
    if arguments.json:
        found = {"parameters": parameters, "costs": [asdict(one) for one in costs], "round_s": seconds}
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
