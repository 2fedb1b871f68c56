"""Traces, assessments and prompts through the mlflow client."""

import mlflow
import pytest
from mlflow.entities import AssessmentSource, SpanType

from refusal import refused


@mlflow.trace(span_type=SpanType.RETRIEVER, attributes={"top": 2})
def retrieve(question):
    return [f"{question}: one", f"{question}: two"]


@mlflow.trace(name="answer", span_type=SpanType.CHAIN)
def answer(question):
    if question == "bad":
        raise ValueError("no such question")
    return {"answer": len(retrieve(question)), "ü": "日本"}


def traced(question):
    """Runs the traced function; the id of its trace, which the server has by then."""
    try:
        answer(question)
    except ValueError:
        pass
    mlflow.flush_trace_async_logging()
    return mlflow.get_last_active_trace_id()


def test_a_trace_comes_back_with_its_spans(tracking, experiment):
    trace = tracking.get_trace(traced("why"), display=False)
    assert (trace.info.state, trace.info.experiment_id) == ("OK", experiment.experiment_id)
    spans = {span.name: span for span in trace.data.spans}
    root, child = spans["answer"], spans["retrieve"]
    assert len(spans) == 2
    assert (root.parent_id, child.parent_id) == (None, root.span_id)
    assert (root.span_type, child.span_type) == ("CHAIN", "RETRIEVER")
    assert root.inputs == {"question": "why"}
    assert root.outputs == {"answer": 2, "ü": "日本"}
    assert child.outputs == ["why: one", "why: two"]
    assert child.attributes["top"] == 2
    assert root.start_time_ns <= child.start_time_ns <= child.end_time_ns <= root.end_time_ns


def test_an_exception_ends_a_trace_as_an_error(tracking, experiment):
    trace = tracking.get_trace(traced("bad"), display=False)
    assert trace.info.state == "ERROR"
    [span] = trace.data.spans
    assert span.status.status_code.value == "ERROR"
    [event] = span.events
    assert event.attributes["exception.message"] == "no such question"


def test_search_traces(tracking, experiment):
    ids = {question: traced(question) for question in ("one", "two", "bad")}
    tracking.set_trace_tag(ids["one"], "team", "pricing")
    where = [experiment.experiment_id]

    def search(text=None, **more):
        found = tracking.search_traces(locations=where, filter_string=text, **more)
        return [name for trace in found for name, key in ids.items() if key == trace.info.trace_id]

    assert search(order_by=["timestamp_ms ASC"]) == ["one", "two", "bad"]
    assert search() == ["bad", "two", "one"]
    assert search("trace.status = 'ERROR'") == ["bad"]
    assert search("tags.team = 'pricing'") == ["one"]
    assert search("trace.status = 'OK'", order_by=["timestamp_ms ASC"]) == ["one", "two"]
    first = tracking.search_traces(locations=where, max_results=2)
    rest = tracking.search_traces(locations=where, max_results=2, page_token=first.token)
    assert [len(first), len(rest)] == [2, 1]
    assert {trace.info.trace_id for trace in [*first, *rest]} == set(ids.values())
    assert not rest.token


def test_trace_tags(tracking, experiment):
    trace_id = traced("tags")
    tracking.set_trace_tag(trace_id, "team", "one")
    tracking.set_trace_tag(trace_id, "team", "two")
    assert tracking.get_trace(trace_id, display=False).info.tags["team"] == "two"
    tracking.delete_trace_tag(trace_id, "team")
    assert "team" not in tracking.get_trace(trace_id, display=False).info.tags


def test_assessments(tracking, experiment):
    trace_id = traced("assessed")
    person = AssessmentSource(source_type="HUMAN", source_id="anna")
    given = mlflow.log_feedback(trace_id=trace_id, name="correct", value=True, rationale="as told", source=person)
    mlflow.log_expectation(trace_id=trace_id, name="expected", value={"answer": 2}, source=person)
    found = {each.name: each for each in tracking.get_trace(trace_id, display=False).info.assessments}
    assert sorted(found) == ["correct", "expected"]
    assert (found["correct"].feedback.value, found["correct"].rationale) == (True, "as told")
    assert found["correct"].source.source_id == "anna"
    assert found["expected"].expectation.value == {"answer": 2}
    better = mlflow.override_feedback(trace_id=trace_id, assessment_id=given.assessment_id, value=False)
    assert mlflow.get_assessment(trace_id, given.assessment_id).valid is False
    assert mlflow.get_assessment(trace_id, better.assessment_id).feedback.value is False
    mlflow.delete_assessment(trace_id, better.assessment_id)
    assert mlflow.get_assessment(trace_id, given.assessment_id).valid is True
    names = [each.name for each in tracking.get_trace(trace_id, display=False).info.assessments]
    assert sorted(names) == ["correct", "expected"]


def test_a_deleted_trace_is_gone(tracking, experiment):
    kept, gone = traced("kept"), traced("gone")
    assert tracking.delete_traces(experiment.experiment_id, trace_ids=[gone]) == 1
    refused("RESOURCE_DOES_NOT_EXIST", mlflow.MlflowClient().get_trace, gone, display=False)
    left = tracking.search_traces(locations=[experiment.experiment_id])
    assert [trace.info.trace_id for trace in left] == [kept]


def test_a_trace_in_a_run_is_found_by_the_run(tracking, experiment):
    with mlflow.start_run() as run:
        inside = traced("inside")
    traced("outside")
    found = tracking.search_traces(locations=[experiment.experiment_id], run_id=run.info.run_id)
    assert [trace.info.trace_id for trace in found] == [inside]


# Prompts


def test_prompts(tracking, unique):
    name = unique("prompt")
    first = mlflow.genai.register_prompt(name, "Say {{word}}.", commit_message="the first", tags={"tone": "plain"})
    second = mlflow.genai.register_prompt(name, "Please say {{word}}.")
    assert [first.version, second.version] == [1, 2]
    loaded = mlflow.genai.load_prompt(name, 1)
    assert (loaded.template, loaded.commit_message, loaded.tags["tone"]) == ("Say {{word}}.", "the first", "plain")
    assert loaded.format(word="x") == "Say x."
    mlflow.genai.set_prompt_alias(name, "live", 2)
    assert mlflow.genai.load_prompt(f"prompts:/{name}@live").template == "Please say {{word}}."
    assert [prompt.name for prompt in mlflow.genai.search_prompts(f"name = '{name}'")] == [name]
    assert tracking.search_registered_models(f"name = '{name}'") == []
    assert mlflow.genai.load_prompt(unique("absent"), 1, allow_missing=True) is None


def test_a_prompt_of_messages(tracking, unique):
    name = unique("chat")
    messages = [{"role": "system", "content": "You are {{who}}."}, {"role": "user", "content": "{{question}}"}]
    mlflow.genai.register_prompt(name, messages)
    assert mlflow.genai.load_prompt(name, 1).template == messages


@pytest.mark.parametrize("where", ["nonsense", "trace.status ~ 'OK'"])
def test_a_bad_filter_is_refused(tracking, experiment, where):
    locations = [experiment.experiment_id]
    refused("INVALID_PARAMETER_VALUE", tracking.search_traces, locations=locations, filter_string=where)
