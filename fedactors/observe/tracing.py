"""A run's spans as OpenTelemetry has them: sent by OTLP over HTTP to whatever collects them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context
from typing_extensions import override

from fedactors.log import get_logger
from fedactors.observe.aside import Aside
from fedactors.observe.spans import Span, Spans
from fedactors.record import Event

log = get_logger("fedactors.observe")

SERVICE = "fedactors"
"""The name of the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say another."""
WAITING_MAX = 16_384
"""Spans that wait to be sent, unless OTEL_BSP_MAX_QUEUE_SIZE says another number: a round of many learners ends at once."""
CLOSING_S_MAX = 10.0
"""How long the end of a run waits for the spans of its last rounds to be made."""


class Tracing:
    """Tells of each round as a trace of its own; an observer that never waits, and never fails.

    OpenTelemetry's spans are made in one thread, which takes them 0.1 s for a round of a thousand learners, and sent in another.

    Args:
        name: of the federation.
        exporter: where spans go.
    """

    def __init__(self, name: str, exporter: SpanExporter) -> None:
        self._spans = Spans()
        self._exporter = Watched(exporter)
        self._provider = TracerProvider(resource=_resource(name), shutdown_on_exit=False)
        waiting_max = None if OTEL_BSP_MAX_QUEUE_SIZE in os.environ else WAITING_MAX
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, max_queue_size=waiting_max))
        self._tracer = self._provider.get_tracer("fedactors", version("fedactors"))
        self._aside: Aside[Span] = Aside("traces", self._tell)

    def __call__(self, event: Event) -> None:
        """One more event."""
        if (span := self._spans.take(event)) is not None:
            self._aside.put(span)

    def close(self) -> None:
        """Send what waits. Where the last batch could not be sent, the rest is dropped rather than waited for."""
        self._aside.close(CLOSING_S_MAX)
        if self._exporter.failing:
            self._exporter.shutdown()
        self._provider.shutdown()

    def _tell(self, rounds: list[Span]) -> None:
        for span in rounds:
            _tell(self._tracer, span, Context())


class Watched(SpanExporter):
    """An exporter whose first failure is logged, once.

    Attributes:
        failing: the last batch could not be sent.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._told = False
        self._over = False
        self.failing = False

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE if self._over else self._exporter.export(spans)
        self.failing = result is not SpanExportResult.SUCCESS
        if self.failing and not self._told:
            self._told = True
            why = f"{len(spans)} spans could not be sent"
            log.error("outlet_failed", outlet="traces", why=why, effect="the run goes on without them")
        return result

    @override
    def shutdown(self) -> None:
        if not self._over:
            self._over = True
            self._exporter.shutdown()


def otlp(endpoint: str) -> OTLPSpanExporter:
    """Sends to an endpoint, as in http://127.0.0.1:4318; where that is empty, as OTEL_EXPORTER_OTLP_* of the environment say."""
    if not endpoint:
        return OTLPSpanExporter()
    bare = urlsplit(endpoint).path in {"", "/"}
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces" if bare else endpoint)


def _resource(name: str) -> Resource:
    """What the spans are of; what the environment says comes first."""
    ours = {"service.name": SERVICE, "service.version": version("fedactors"), "fedactors.federation": name}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def _tell(tracer: Tracer, span: Span, parent: Context) -> None:
    attributes = {f"fedactors.{key}": value for key, value in span.attributes.items()}
    told = tracer.start_span(span.name, parent, attributes=attributes, start_time=_ns(span.began_s))
    if span.error:
        told.set_status(Status(StatusCode.ERROR, span.error))
    for child in span.children:
        _tell(tracer, child, set_span_in_context(told, parent))
    told.end(_ns(span.ended_s))


def _ns(time_s: float) -> int:
    return round(time_s * 1e9)
