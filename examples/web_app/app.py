"""Federations inside a web application: started, watched and cancelled over HTTP, any number of them in one event loop."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from clinic import Clinic
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fedactors import Federation
from fedactors.errors import FedactorsError

CONFIG = {"seed": 7, "learners": {"count": 3}, "train": {"epochs": 5}, "stop": {"rounds": 10}}


@dataclass
class Run:
    """One federation: its task, how it stands, and the metrics of its rounds so far."""

    task: asyncio.Task | None = None
    state: str = "running"
    rounds: list = field(default_factory=list)
    sha256: str | None = None

    def as_map(self):
        return {"state": self.state, "rounds": self.rounds, "sha256": self.sha256}

    async def train(self, config):
        """From beginning to end; a cancellation leaves nothing of the federation behind."""
        try:
            async with Federation(config) as federation, asyncio.TaskGroup() as group:
                for _ in range(federation.config.learners.count):
                    federation.add_learner(Clinic)
                group.create_task(self.watch(federation))
                results = await federation.run()
            self.state, self.sha256 = "finished", results.final.sha256
        except (FedactorsError, ExceptionGroup) as error:
            self.state = f"failed: {error}"

    async def watch(self, federation):
        async for event in federation.events():
            if event.kind == "round_ended":
                self.rounds.append(event.body["record"]["metrics"])


@asynccontextmanager
async def lifespan(app):
    app.state.runs = {}
    yield
    for run in app.state.runs.values():
        run.task.cancel()
    await asyncio.gather(*(run.task for run in app.state.runs.values()), return_exceptions=True)


async def start(request):
    """POST /federations/NAME, with configuration tables of its own as JSON."""
    runs, name = request.app.state.runs, request.path_params["name"]
    if name in runs:
        return JSONResponse({"error": f"there is a federation {name!r} already"}, 409)
    run = runs[name] = Run()
    own = await request.json() if await request.body() else {}
    run.task = asyncio.create_task(run.train({**CONFIG, "name": name, **own}), name=f"federation {name}")
    return JSONResponse(run.as_map(), 201)


async def show(request):
    """GET /federations/NAME."""
    run = request.app.state.runs.get(request.path_params["name"])
    return Response(status_code=404) if run is None else JSONResponse(run.as_map())


async def cancel(request):
    """DELETE /federations/NAME: at once, in the middle of a round."""
    run = request.app.state.runs.pop(request.path_params["name"], None)
    if run is None:
        return Response(status_code=404)
    run.task.cancel()
    await asyncio.gather(run.task, return_exceptions=True)
    if run.task.cancelled():
        run.state = "cancelled"
    return JSONResponse(run.as_map())


PATH = "/federations/{name}"
app = Starlette(
    lifespan=lifespan,
    routes=[
        Route(PATH, start, methods=["POST"]),
        Route(PATH, show, methods=["GET"]),
        Route(PATH, cancel, methods=["DELETE"]),
    ],
)

if __name__ == "__main__":
    uvicorn.run(app, port=8000)
