"""The page of a run, wherever the run is; over real sockets of this machine."""

from __future__ import annotations

import json

import httpx

from fedactors.dashboard.opening import at_address, of_federation, of_run
from fedactors.dashboard.where import Where
from fedactors.driver.reaching import Reach
from fedactors.protocol import Verb
from fedactors.system import Federation
from tests.dashboard.support import read
from tests.driver.test_saved_runs import write
from tests.observe.story import whole_run

ANYWHERE = Where("127.0.0.1", 0)


async def told(client: httpx.AsyncClient, url: str) -> dict[str, dict]:
    """The last message of each kind, to the end of the run."""
    text = (await client.get(f"{url}api/events")).text
    return {kind: data for kind, _, data in map(read, text.encode().split(b"\n\n")[:-1])}


async def order(client: httpx.AsyncClient, url: str, verb: str) -> int:
    word = (await client.get(f"{url}api/me")).json()["word"]
    headers = {"x-fedactors-word": word, "origin": url.rstrip("/")}
    return (await client.post(f"{url}api/order", content=json.dumps({"verb": verb}), headers=headers)).status_code


async def test_a_federation_of_this_process_is_shown_and_stopped():
    async with (
        Federation({"name": "here", "stop": {"rounds": 3}}) as federation,
        of_federation(federation, ANYWHERE) as url,
        httpx.AsyncClient() as client,
    ):
        assert await order(client, url, "pause") == 204
        assert (await federation.admin.status())["paused"] is True
        assert await order(client, url, "stop") == 204
        state = (await told(client, url))["state"]
        assert (state["name"], state["rounds_total"], state["note"]) == ("here", 3, "finished: stop on the dashboard")
        assert 'name = "here"' in (await client.get(f"{url}api/configuration")).text
        assert "fedactors_finished 1.0" in (await client.get(f"{url}metrics")).text


async def test_a_federation_is_shown_by_its_controller_s_address():
    async with Federation({"name": "there", "stop": {"rounds": 7}}) as federation:
        (address,) = (await federation.admin.status())["addresses"]
        async with at_address(Reach(address), ANYWHERE) as url, httpx.AsyncClient() as client:
            await federation.admin.order(Verb.STOP, "enough")
            state = (await told(client, url))["state"]
            assert (state["name"], state["rounds_total"], state["note"]) == ("there", 7, "finished: enough")
            assert (await client.get(f"{url}api/configuration")).text == ""


async def test_a_finished_run_is_shown_by_its_directory_and_takes_no_orders(tmp_path):
    run = write(tmp_path / "run", *whole_run())
    async with of_run(run, Reach(), ANYWHERE) as url, httpx.AsyncClient() as client:
        shown = await told(client, url)
        assert [point["round"] for point in shown["rounds"]] == [1, 2]
        assert shown["versions"]["why"].startswith(f"run {run} has no version")
        assert (await client.get(f"{url}api/me")).json()["may_order"] is False
        assert await order(client, url, "stop") == 409
