"""A run's figures as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from typing_extensions import override

from fedactors.observe.board import State
from fedactors.observe.meter import PHASES, Kernel, Meter, Metered

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Exposition:
    """Writes a meter's figures out whenever it is asked.

    Args:
        meter: of the run.
        kernel: tells of the actors; None where they are in another process. Then the process's own figures are left out, too.
    """

    def __init__(self, meter: Meter, kernel: Callable[[], Kernel] | None = None) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Run(meter))
        if kernel is not None:
            self._registry.register(_Actors(kernel))
            ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The figures of now, in Prometheus' text format."""
        return generate_latest(self._registry)


class ManyExpositions:
    """Writes out the figures of many federations, each with a label `federation`, and the process's own once.

    Args:
        federations: tells how they stand.
        states: that a federation may be in.
    """

    def __init__(self, federations: Callable[[], Iterable[Metered]], states: Sequence[str]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Many(federations, states))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The figures of now, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Many(Collector):
    def __init__(self, federations: Callable[[], Iterable[Metered]], states: Sequence[str]) -> None:
        self._federations = federations
        self._states = states

    @override
    def collect(self) -> Iterator[Metric]:
        """A family's samples stand together, whichever federation they are of."""
        told = list(self._federations())
        families: dict[str, Metric] = {}
        for one in told:
            for metric in _figures_of(one):
                family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                family.samples.extend(
                    sample._replace(labels={"federation": one.name, **sample.labels}) for sample in metric.samples
                )
        yield self._state(told)
        yield from families.values()

    def _state(self, told: Iterable[Metered]) -> Metric:
        labels = ["federation", "state"]
        states = GaugeMetricFamily("fedactors_federation_state", "1 for the state that a federation is in.", labels=labels)
        for one in told:
            for state in self._states:
                states.add_metric([one.name, state], one.state == state)
        return states


def _figures_of(one: Metered) -> Iterator[Metric]:
    if one.meter is not None:
        yield from _Run(one.meter).collect()
    if (kernel := one.kernel) is not None:
        yield from _Actors(lambda: kernel).collect()


class _Run(Collector):
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    @override
    def collect(self) -> Iterator[Metric]:
        meter, board = self._meter, self._meter.board
        info = GaugeMetricFamily("fedactors_federation_info", "Always 1; the federation's name.", labels=["name"])
        info.add_metric([meter.name], 1)
        yield info
        yield _counter("rounds", "Rounds that were committed and have ended.", meter.rounds)
        yield _counter("rounds_abandoned", "Rounds that were given up.", meter.abandoned)
        yield _gauge("round", "The last round that began.", board.round)
        yield _gauge("model_version", "The newest version of the global model.", board.version)
        yield _gauge("finished", "1 once the run is over.", meter.finished)
        yield _gauge("failed", "1 once the run has ended because it could not go on.", meter.failed)
        yield _counter("updates_accepted", "Updates that count.", meter.accepted)
        refused = CounterMetricFamily("fedactors_updates_refused", "Updates and tasks that do not count.", labels=["reason"])
        for reason, number in meter.refused.items():
            refused.add_metric([reason], number)
        yield refused
        yield _counter("received_bytes", "Received from learners, in rounds that have ended.", meter.bytes_up)
        yield _counter("sent_bytes", "Sent to learners, in rounds that have ended.", meter.bytes_down)
        yield _counter("actor_failures", "Failures of actors, in all processes of the run.", meter.actor_failures)
        yield self._phases()
        yield self._learners()
        yield self._metrics()
        if meter.epsilon is not None:
            yield _gauge("privacy_epsilon", "Spent of the learners' differential privacy.", meter.epsilon)

    def _phases(self) -> Metric:
        phases = SummaryMetricFamily("fedactors_round_phase_seconds", "Where the time of rounds went.", labels=["phase"])
        for phase in PHASES:
            phases.add_metric([phase], self._meter.rounds, self._meter.phase_s[phase])
        return phases

    def _learners(self) -> Metric:
        learners = GaugeMetricFamily("fedactors_learners", "Learners by state.", labels=["state"])
        counts = self._meter.board.counts()
        for state in State:
            learners.add_metric([state], counts.get(state, 0))
        return learners

    def _metrics(self) -> Metric:
        metrics = GaugeMetricFamily("fedactors_metric", "Of the last evaluated round, as learners report it.", labels=["metric"])
        for name, value in self._meter.metrics.items():
            metrics.add_metric([name], value)
        return metrics


class _Actors(Collector):
    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel = kernel

    @override
    def collect(self) -> Iterator[Metric]:
        kernel = self._kernel()
        yield _gauge("loop_lag_seconds", "How late the event loop came to run the actors last time.", kernel.lag_s)
        yield _gauge("loop_lag_max_seconds", "How late it came at worst.", kernel.lag_max_s)
        yield _counter("dead_letters", "Messages that nobody handled.", kernel.dead_letters)
        messages = CounterMetricFamily("fedactors_actor_messages", "Messages that an actor has handled.", labels=["actor"])
        depth = GaugeMetricFamily("fedactors_mailbox_depth", "Messages that wait in a mailbox.", labels=["actor"])
        wait = CounterMetricFamily("fedactors_mailbox_wait_seconds", "How long an actor waited for its turns.", labels=["actor"])
        handling = CounterMetricFamily("fedactors_handler_seconds", "How long an actor's handlers took.", labels=["actor"])
        for name, figures in kernel.actors.items():
            messages.add_metric([name], figures.messages)
            depth.add_metric([name], figures.depth)
            wait.add_metric([name], figures.wait_s)
            handling.add_metric([name], figures.handler_s)
        yield from (messages, depth, wait, handling)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"fedactors_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"fedactors_{name}", text, value=value)
