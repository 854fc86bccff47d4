"""Spans of rounds: what they are, that OpenTelemetry is told of them, and that a collector which is away harms nothing."""

from __future__ import annotations

import contextlib
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from fedactors.observe.spans import Spans
from fedactors.observe.tracing import Tracing, Watched, otlp
from tests.observe.story import Story, whole_run


def spans(*events):
    made = Spans()
    return [span for event in events if (span := made.take(event)) is not None]


def named(span, name):
    return [child for child in span.children if child.name == name]


def test_a_round_has_its_learners_tasks_its_combination_and_its_evaluation():
    events = whole_run()
    times = {(event.kind, event.body.get("learner"), event.body.get("round")): event.unix_time_s for event in events}
    first, second = spans(*events)
    assert (first.name, first.began_s, first.attributes["accepted"]) == ("round", times["round_began", None, 1], 3)
    tasks = named(first, "train task")
    assert [(task.began_s, task.ended_s, task.attributes["learner"]) for task in tasks] == [
        (times["round_began", None, 1], times["update_accepted", learner, 1], learner) for learner in "abc"
    ]
    (combined,), (evaluated,) = named(first, "combine"), named(first, "evaluate")
    committed_s = times["round_committed", None, 1]
    assert (combined.ended_s, combined.ended_s - combined.began_s) == (committed_s, pytest.approx(0.002))
    assert (evaluated.began_s, evaluated.attributes["metric.accuracy"]) == (committed_s, 0.5)
    assert [child.ended_s for child in evaluated.children] == [times["learner_evaluated", learner, 1] for learner in "abc"]
    assert [task.error for task in named(second, "train task")] == ["", "", "layout: because"]


def test_where_learners_train_across_rounds_a_task_begins_with_the_last_decision():
    story = Story(step_s=1.0)
    joined = story.joined("a", "b")
    first = [story.began(1), story.accepted(1, "a"), story.ended(1, ["a"])]
    second = [story.began(2), story.accepted(2, "b"), story.accepted(2, "a"), story.ended(2, ["a", "b"])]
    one, two = spans(*joined, *first, *second)
    assert [task.began_s for task in named(one, "train task")] == [first[0].unix_time_s], "nobody trains before the first round"
    assert [task.began_s for task in named(two, "train task")] == [first[0].unix_time_s, first[1].unix_time_s]


def test_an_abandoned_round_says_why_and_a_resumed_one_begins_anew():
    story = Story()
    gone = story.event("round_abandoned", round=1, why="too few are left")
    (given_up,) = spans(story.began(1, "a"), story.refused(1, "a", "learner_failed"), gone)
    assert (given_up.error, len(given_up.children)) == ("too few are left", 1)
    resumed = [story.began(2, "a"), story.event("resumed", lives=2, round=2, version=1), story.began(2, "a")]
    (again,) = spans(*resumed, story.ended(2, ["a"]))
    assert again.began_s == resumed[-1].unix_time_s


def test_a_round_that_began_before_anybody_watched_begins_as_its_record_says():
    (span,) = spans(Story().ended(1, ["a"]))
    assert [child.name for child in span.children] == ["combine"]
    assert span.children[0].ended_s - span.began_s == 1.0


def test_a_learner_that_was_lost_is_not_asked_since_then():
    story = Story()
    lost = [story.began(1, "a"), story.departed("a", "lost"), story.ended(1, [])]
    (_, span) = spans(*lost, story.began(2), story.accepted(2, "a"), story.ended(2, ["a"]))
    assert named(span, "train task")[0].began_s == span.began_s


def test_opentelemetry_is_told_of_spans_with_their_own_times(monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=ward,service.name=hospital")
    exporter, events = InMemorySpanExporter(), whole_run()
    tracing = Tracing("digits", exporter)
    for event in events:
        tracing(event)
    tracing.close()
    finished = exporter.get_finished_spans()
    rounds = [span for span in finished if span.parent is None]
    assert [span.attributes["fedactors.round"] for span in rounds] == [1, 2]
    assert len({span.context.trace_id for span in rounds}) == 2, "each round is a trace"
    ids = {span.context.span_id: span for span in finished}
    assert {(span.name, ids[span.parent.span_id].name) for span in finished if span.parent} == {
        ("train task", "round"),
        ("combine", "round"),
        ("evaluate", "round"),
        ("evaluate task", "evaluate"),
    }
    began = next(event for event in events if event.kind == "round_began")
    assert rounds[0].start_time == round(began.unix_time_s * 1e9)
    (refused,) = [span for span in finished if span.status.status_code is StatusCode.ERROR]
    assert (refused.status.description, refused.attributes["fedactors.learner"]) == ("layout: because", "c")
    resource = rounds[0].resource.attributes
    assert (resource["service.name"], resource["deployment.environment"]) == ("hospital", "ward")
    assert resource["fedactors.federation"] == "digits"


def test_no_span_of_a_round_of_many_learners_is_dropped():
    exporter, learners = InMemorySpanExporter(), [f"learner-{number}" for number in range(1000)]
    tracing = Tracing("digits", exporter)
    for event in whole_run(learners, rounds=2):
        tracing(event)
    tracing.close()
    assert len(exporter.get_finished_spans()) == 2 * (2 * len(learners) + 3)


def span_names(body: bytes) -> list[str]:
    """Of a request of OTLP."""
    resources = ExportTraceServiceRequest.FromString(body).resource_spans
    return [span.name for resource in resources for scope in resource.scope_spans for span in scope.spans]


@contextlib.contextmanager
def collector(status: int = 200):
    """The address of a server that keeps what is posted to it, and what it keeps: paths and bodies."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append((self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", posted
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_gets_the_spans_by_otlp(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-ward=7")
    with collector() as (address, posted):
        tracing = Tracing("digits", otlp(address))
        for event in whole_run():
            tracing(event)
        tracing.close()
    ((path, headers, body),) = posted
    assert (path, headers["x-ward"]) == ("/v1/traces", "7")
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    told = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert (told["service.name"], told["fedactors.federation"]) == ("fedactors", "digits")
    found = span_names(body)
    assert {name: found.count(name) for name in found} == {
        "round": 2,
        "train task": 6,
        "combine": 2,
        "evaluate": 2,
        "evaluate task": 6,
    }


def test_the_environment_names_the_collector_and_a_path_is_kept(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    assert otlp("")._endpoint == "http://collector:4318/v1/traces"
    assert otlp("http://other:1/")._endpoint == "http://other:1/v1/traces"
    assert otlp("http://other:1/in/v1/traces")._endpoint == "http://other:1/in/v1/traces"


def failures(caplog):
    return [one.getMessage() for one in caplog.records if "outlet_failed" in one.getMessage()]


def test_a_collector_that_refuses_is_told_of_and_harms_nothing(caplog):
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    with collector(status=400) as (address, posted):
        tracing = Tracing("digits", otlp(address))
        for event in whole_run():
            tracing(event)
        tracing.close()
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET)
    assert posted
    (line,) = failures(caplog)
    assert "the run goes on without them" in line


class Moody(InMemorySpanExporter):
    """Takes spans only while it is in the mood."""

    mood = False

    def export(self, spans):
        return SpanExportResult.SUCCESS if self.mood else SpanExportResult.FAILURE


def test_failures_are_told_of_once_and_each_batch_is_tried(caplog):
    moody = Moody()
    watched = Watched(moody)
    watched.export([])
    watched.export([])
    assert watched.failing
    assert len(failures(caplog)) == 1
    moody.mood = True
    assert watched.export([]) is SpanExportResult.SUCCESS
    assert not watched.failing
    watched.shutdown()
    assert watched.export([]) is SpanExportResult.FAILURE, "nothing is tried after the end"
