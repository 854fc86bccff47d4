"""Scripts as learners: what they are given, what becomes of what they send, and how they end."""

import gc
import sys
import threading
import time
from textwrap import dedent

import numpy as np
import pytest

from fedactors import Federation, plugins
from fedactors.errors import LearnerFailed
from fedactors.learner import LearnerContext, build_learner, script
from fedactors.learner.answers import answer_evaluate, answer_initialise, answer_train
from fedactors.model import GlobalModel, Layout
from fedactors.task import EvaluateParams, TrainParams
from fedactors.testing.conformance_learner import check_learner

ADDS = """
    from pathlib import Path
    import numpy as np
    from fedactors.learner import script as flare

    flare.init({"w": np.zeros(3)})
    while flare.is_running():
        model = flare.receive()
        if flare.is_evaluate():
            flare.send(flare.FLModel(metrics={"mean": model.params["w"].mean()}, meta={"num_examples": 5}))
            continue
        model.params["w"] += 1 + flare.context().index
        metrics = {"round": model.current_round, "rate": model.config["rate"]}
        flare.send(flare.FLModel(model.params, metrics, {"NUM_STEPS_CURRENT_ROUND": 4, "num_examples": 20, "note": "in words"}))
    Path(__file__).with_name("ended.txt").write_text(flare.get_site_name())
"""

TRAINS_ONLY = """
    import numpy as np
    from fedactors.learner import script as flare

    flare.init([np.zeros(2), np.zeros(1)])
    while (model := flare.receive()) is not None:
        flare.send(flare.FLModel([array + 1 for array in model.params], {"loss": 0.5}))
"""


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """A learner made of a script."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def make(text, index=0):
        (tmp_path / "train.py").write_text(dedent(text))
        return build_learner(plugins.load_learner("script:train.py", tmp_path), LearnerContext(f"site-{index}", index, 2))

    return make


def trained(one, **given):
    model = GlobalModel.initial(answer_initialise(one))
    given = {"round": 4, "version": 3, "seed": 7, "options": {"rate": 0.5}} | given
    return answer_train(one, model.layout, model.weights, TrainParams(**given))


def scripts():
    return [thread for thread in threading.enumerate() if thread.name.startswith("script of")]


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_script_conforms(learner):
    check_learner(lambda _: learner(TRAINS_ONLY))


def test_a_script_is_given_models_and_answers_them(learner):
    answer = trained(learner(ADDS, index=1))
    assert answer.weights["w"].tolist() == [2, 2, 2]
    assert answer.report.metrics == {"round": 4, "rate": 0.5}
    assert (answer.report.num_batches, answer.report.num_examples) == (4, 20)


def test_a_script_that_asks_is_given_models_to_evaluate(learner):
    report = answer_evaluate(learner(ADDS), {"w": np.arange(3.0)}, EvaluateParams(1, 1))
    assert (report.num_examples, report.metrics) == (5, {"mean": 1.0})


def test_a_script_that_never_asks_is_given_models_to_train_only(learner):
    one = learner(TRAINS_ONLY)
    assert [array.tolist() for array in trained(one).weights.values()] == [[1, 1], [1]]
    report = answer_evaluate(one, {"0000": np.zeros(2), "0001": np.zeros(1)}, EvaluateParams(1, 1))
    assert (report.num_examples, report.metrics) == (0, {})
    assert trained(one).report.metrics == {"loss": 0.5}


def test_a_script_that_begins_with_pytorch_s_tensors_is_given_such(learner):
    pytest.importorskip("torch")
    text = """
        import torch
        from fedactors.learner import script as flare

        flare.init({"w": torch.zeros(3), "b": torch.zeros(2, dtype=torch.bfloat16)})
        while flare.is_running():
            state = flare.receive().params
            flare.send(flare.FLModel({name: tensor.add_(1) for name, tensor in state.items()}))
    """
    weights = trained(learner(text)).weights
    assert [(str(array.dtype), array.tolist()) for array in weights.values()] == [("float32", [1] * 3), ("bfloat16", [1] * 2)]


def test_a_script_is_told_the_end_and_does_what_comes_after_its_loop(learner, tmp_path):
    one = learner(ADDS)
    trained(one)
    assert len(scripts()) == 1
    del one
    gc.collect()
    wait_until(lambda: not scripts())
    assert (tmp_path / "ended.txt").read_text() == "site-0"


def test_a_script_with_a_function_runs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    body = dedent(TRAINS_ONLY).replace("flare.init", "def main():\n  flare.init").replace("\nwhile", "\n  while")
    (tmp_path / "with_main.py").write_text(body)
    entry = plugins.load_learner("script:with_main.py:main", tmp_path)
    assert trained(build_learner(entry, LearnerContext())).weights["0001"].tolist() == [1]


FAILS = """
    import numpy as np
    from fedactors.learner import script as flare
    flare.init({"w": np.zeros(3)})
    model = flare.receive()
    %s
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", r"^the script ended: ZeroDivisionError: division by zero \(train\.py:6 in <module>\)$"),
        ("pass", r"^the script came to its end without an answer$"),
        ("flare.receive()", r"^receive\(\) was called again before send\(\)"),
        ("flare.send(model.params)", r"^send\(\) was given a dict; it takes an FLModel$"),
        ("flare.send(model); flare.send(model)", None),
        ("flare.send(flare.FLModel(metrics={'loss': 1}))", r"^the script answered a model to train without params"),
        ("raise SystemExit(3)", r"^the script ended: SystemExit: 3"),
    ],
)
def test_a_script_that_goes_wrong_is_one_line_and_begins_anew(learner, line, said):
    one = learner(FAILS % line)
    if said is None:
        assert trained(one).weights["w"].tolist() == [0, 0, 0]
        return
    for _ in range(2):
        with pytest.raises(LearnerFailed, match=said):
            trained(one)


def test_a_script_without_a_loop_begins_anew_for_each_model(learner):
    """Asked again at once, while it is at its end."""
    one = learner(FAILS % "import time; flare.send(flare.FLModel({'w': model.params['w'] + 1})); time.sleep(0.02)")
    weights = GlobalModel.initial(answer_initialise(one)).weights
    layout = Layout.of(weights)
    for round_ in range(1, 11):
        weights = answer_train(one, layout, weights, TrainParams(round_, round_ - 1, seed=7)).weights
        assert answer_evaluate(one, weights, EvaluateParams(round_, round_)).num_examples == 0
    assert weights["w"].tolist() == [10] * 3


def test_a_script_without_weights_to_start_from_is_told_what_to_do(learner):
    with pytest.raises(LearnerFailed, match=r'flare\.init\(weights\), or initial = "file:PATH\.safetensors"'):
        answer_initialise(learner("from fedactors.learner import script as flare\nflare.init()\nflare.receive()"))


def test_a_script_that_never_begins_is_told_of(learner):
    with pytest.raises(LearnerFailed, match=r"^the script came to its end without an answer$"):
        answer_initialise(learner("pass"))


def test_a_script_that_is_run_by_itself_is_told_what_to_do():
    with pytest.raises(
        LearnerFailed, match=r'this script is not run by fedactors; name it in \[learners\]: entry = "script:train\.py"'
    ):
        script.init()


async def test_two_scripts_in_one_process_do_not_meet(learner, tmp_path):
    (tmp_path / "train.py").write_text(dedent(ADDS))
    entry = plugins.load_learner("script:train.py", tmp_path)
    config = {"seed": 1, "learners": {"count": 2}, "train": {"rate": 0.5}, "stop": {"rounds": 2}}
    async with Federation(config) as federation:
        for _ in range(2):
            federation.add_learner(entry)
        results = await federation.run()
        weights = (await federation.model()).weights
    assert weights["w"].tolist() == [3, 3, 3]  # the mean of 1 and 2, twice
    assert results.final.metrics == {"mean": 3.0}
    assert results.rounds[0].metrics == {"mean": 1.5}
