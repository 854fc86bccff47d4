// A run on a page: told by server-sent events, drawn when the browser has time for it.

import { drawEpsilon, drawMetrics, drawTimeline } from "./charts.js";
import { clock, counted, duration, metrics, size } from "./figures.js";

const SYMBOLS = {
  waiting: "○", training: "▶", uploaded: "✓", evaluating: "▶", evaluated: "✓",
  refused: "✗", failed: "✗", left: "–", lost: "✗", displaced: "✗",
};

const at = (id) => document.getElementById(id);
const rounds = new Map();
let state = null;
let receivedMs = 0;
let over = false;
let me = { may_order: false, word: "" };
let drawn = false;
const changed = new Set();

// ------------------------------------------------------------------------------------------------------------------ what is told

function listen() {
  const events = new EventSource("/api/events");
  events.addEventListener("rounds", (event) => {
    for (const round of JSON.parse(event.data)) rounds.set(round.round, round);
    draw("charts");
  });
  events.addEventListener("state", (event) => {
    state = JSON.parse(event.data);
    receivedMs = performance.now();
    document.title = `${state.name || "fedactors"}: ${stateWord()}`; // a hidden page is not drawn, but has its title
    draw("state");
  });
  events.addEventListener("over", (event) => {
    over = true;
    events.close();
    const { why } = JSON.parse(event.data);
    if (why) notice(`The run cannot be followed any more: ${why}`, true);
    draw("state");
  });
  events.addEventListener("versions", (event) => showVersions(JSON.parse(event.data)));
  events.addEventListener("open", () => notice(""));
  events.addEventListener("error", () => {
    if (over) return;
    if (state?.finished) { // the server has gone with the run, before it could say so
      over = true;
      events.close();
      draw("state");
      return;
    }
    notice("The connection is lost; what you see is the last that was heard. Trying again.");
    if (events.readyState === EventSource.CLOSED) setTimeout(listenAgain, 2000);
  });
}

async function listenAgain() {
  const answer = await fetch("/api/me").catch(() => null);
  if (answer?.status === 401) location.assign("/login"); // the session is over, or its token was revoked
  else listen();
}

function draw(what) {
  changed.add(what);
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    if (changed.delete("state")) showState();
    if (changed.delete("charts")) showCharts();
  });
}

// ------------------------------------------------------------------------------------------------------------------ what is shown

function showState() {
  text("name", state.name || "A federation");
  const badge = at("state");
  badge.textContent = stateWord();
  badge.className = `badge ${state.failed || state.lost ? "bad" : state.finished ? "good" : state.paused ? "warn" : ""}`;
  const progress = at("progress");
  if (state.rounds_total) {
    progress.max = state.rounds_total;
    progress.value = state.rounds_ended;
  } else if (state.finished) {
    progress.max = progress.value = 1;
  } else {
    progress.removeAttribute("value");
  }
  text("rounds", state.rounds_total ? `${state.rounds_ended} of ${state.rounds_total} rounds` : counted(state.rounds_ended, "round"));
  at("controls").hidden = !me.may_order || state.finished || over;
  at("pause").textContent = state.paused ? "Resume" : "Pause";
  showFacts();
  showLearners();
  showPrivacy();
  showNews();
  text("live", over ? "- this is the end of the run" : "- live");
}

function stateWord() {
  if (state.finished) return state.note;
  if (state.paused) return "paused";
  return state.note || `training round ${state.round}`;
}

function elapsedSeconds() {
  const told = state.began_s === null ? 0 : state.latest_s - state.began_s;
  return told + (state.finished || over ? 0 : (performance.now() - receivedMs) / 1000);
}

function showFacts() {
  const facts = [["time", duration(elapsedSeconds())], ["version", state.version], ["learners", here()]];
  if (state.model.num_parameters !== undefined) {
    facts.push(["parameters", state.model.num_parameters.toLocaleString("en")], ["model", size(state.model.bytes)]);
  }
  at("facts").replaceChildren(...facts.map(([name, figure]) => tag("div", {}, tag("dt", {}, name), tag("dd", {}, String(figure)))));
}

function here() {
  const gone = ["left", "lost", "displaced"].reduce((sum, name) => sum + (state.counts[name] ?? 0), 0);
  return state.learners_total - gone;
}

function showLearners() {
  at("learners-empty").hidden = state.learners.length > 0;
  at("learners").hidden = state.learners.length === 0;
  const counts = Object.entries(state.counts).map(([name, number]) => `${number.toLocaleString("en")} ${name}`).join(", ");
  const rest = state.learners_total - state.learners.length;
  text("counts", rest > 0 ? `${counts}; ${state.learners.length} of ${state.learners_total.toLocaleString("en")} are shown` : counts);
  at("learners").tBodies[0].replaceChildren(...state.learners.map(learnerRow));
}

function learnerRow(row) {
  const mark = tag("span", { class: row.troubled ? "state-troubled" : "" }, `${SYMBOLS[row.state]} ${row.state}`);
  const number = (label, shown) => tag("td", { class: "number", "data-label": label }, shown);
  return tag("tr", { class: row.gone ? "gone" : "" },
    tag("td", {}, row.learner),
    tag("td", {}, mark),
    number("examples", row.examples ? row.examples.toLocaleString("en") : ""),
    number("update after", row.train_s === null ? "" : duration(row.train_s)),
    number("per batch", row.ms_per_batch ? `${row.ms_per_batch.toPrecision(3)} ms` : ""),
    number("staleness", row.staleness ? String(row.staleness) : ""),
    number("received", row.bytes_up ? size(row.bytes_up) : ""),
    number("sent", row.bytes_down ? size(row.bytes_down) : ""),
    tag("td", { class: "metrics" }, metrics(row.metrics)),
    tag("td", { class: "text trouble" }, row.trouble));
}

function showPrivacy() {
  at("privacy").hidden = state.epsilon === null;
  if (state.epsilon !== null) text("privacy-spent", `ε = ${state.epsilon.toPrecision(4)} is spent so far, at the configuration's δ.`);
}

function showNews() {
  const items = state.lines.toReversed().map((line) => {
    const mark = line.weight === "warning" ? "⚠ " : line.weight === "failure" ? "✗ " : "";
    return tag("li", { class: line.weight }, tag("time", {}, clock(line.at_s)), tag("span", {}, mark + line.text));
  });
  at("news").replaceChildren(...items);
}

function showCharts() {
  const ordered = [...rounds.values()].sort((a, b) => a.round - b.round);
  at("metrics-empty").hidden = drawMetrics(at("metrics"), ordered) > 0;
  if (!at("privacy").hidden) drawEpsilon(at("privacy-spending"), ordered);
  at("timeline-empty").hidden = drawTimeline(at("timeline"), ordered) > 0;
}

function showVersions({ versions, total, why }) {
  const rows = at("versions").tBodies[0];
  if (why && rows.rows.length) return; // the controller has gone: what it told stays
  at("versions-empty").hidden = versions.length > 0;
  if (why) text("versions-empty", why);
  at("versions").hidden = versions.length === 0;
  at("more-versions").hidden = versions.length === total;
  text("more-versions", `Show all ${total}`);
  rows.replaceChildren(...versions.map(versionRow));
}

function versionRow(one) {
  const file = `/api/versions/${one.version}.safetensors`;
  return tag("tr", {},
    tag("td", { class: "number" }, String(one.version)),
    tag("td", {}, tag("a", { href: file, download: "", "aria-label": `download version ${one.version}` }, "safetensors")),
    tag("td", {}, clock(one.created_unix_s)),
    tag("td", { class: "metrics" }, metrics(one.metrics)),
    tag("td", { class: "number" }, one.learners === null ? "" : String(one.learners)),
    tag("td", { class: "number" }, size(one.nbytes)),
    tag("td", {}, tag("code", {}, one.digest.slice(0, 12))));
}

function notice(said, bad = false) {
  const line = at("notice");
  line.textContent = said;
  line.hidden = !said;
  line.classList.toggle("bad", bad);
}

function text(id, said) {
  if (at(id).textContent !== said) at(id).textContent = said;
}

function tag(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, given] of Object.entries(attributes)) if (given !== "" || key === "download") element.setAttribute(key, given);
  element.append(...children);
  return element;
}

// ----------------------------------------------------------------------------------------------------------------- what is asked

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "X-Fedactors-Word": me.word }, body: JSON.stringify(body) });
  if (!answer.ok) notice(await answer.text(), true);
  return answer.ok;
}

async function order(verb) {
  for (const id of ["pause", "stop"]) at(id).disabled = true;
  await post("/api/order", { verb }).catch((error) => notice(`The order was not delivered: ${error.message}`, true));
  for (const id of ["pause", "stop"]) at(id).disabled = false;
}

at("pause").addEventListener("click", () => order(state?.paused ? "resume" : "pause"));
at("stop").addEventListener("click", () => at("confirm").showModal());
at("confirm").addEventListener("close", () => {
  if (at("confirm").returnValue === "yes") order("stop");
  at("confirm").returnValue = "";
});
at("more-versions").addEventListener("click", async () => {
  const answer = await fetch("/api/versions").catch(() => null);
  if (answer?.ok) showVersions(await answer.json());
});
at("logout").addEventListener("click", async () => {
  if (await post("/logout", {})) location.assign("/login");
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw("charts"));
setInterval(() => state && !state.finished && !over && showFacts(), 1000);

// ------------------------------------------------------------------------------------------------------------------ the beginning

me = await (await fetch("/api/me")).json();
at("logout").hidden = !me.may_log_out;
const configuration = await (await fetch("/api/configuration")).text();
at("configuration-section").hidden = !configuration;
text("configuration", configuration);
listen();
