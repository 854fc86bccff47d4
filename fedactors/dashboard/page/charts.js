// The charts, drawn by plotly. Each is drawn anew from all its points, at most a few times a second.

/* global Plotly */

import { duration, value } from "./figures.js";

const PHASES = [
  { name: "dispatch", pattern: "" },
  { name: "train", pattern: "/" },
  { name: "combine", pattern: "x" },
  { name: "evaluate", pattern: "." },
];
const TIMELINE_ROUNDS = 10;
const MARKERS_UP_TO = 60;
const SETTINGS = { displayModeBar: false, responsive: true };

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function layout(more) {
  const axis = { gridcolor: colour("line"), zeroline: false, automargin: true, fixedrange: true };
  return {
    margin: { l: 44, r: 12, t: 30, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("ink"), family: "inherit", size: 12 },
    showlegend: false,
    ...more,
    xaxis: { ...axis, ...more.xaxis },
    yaxis: { ...axis, ...more.yaxis },
  };
}

function place(parent, key, label) {
  let element = parent.querySelector(`[data-chart="${CSS.escape(key)}"]`);
  if (!element) {
    element = document.createElement("div");
    element.className = "chart";
    element.dataset.chart = key;
    element.setAttribute("role", "img");
    parent.append(element);
  }
  element.setAttribute("aria-label", label);
  return element;
}

/** Something over rounds, from those that have it. */
function drawOver(parent, name, rounds, of) {
  const points = rounds.filter((round) => of(round) !== undefined);
  const last = points[points.length - 1];
  const said = `${name} by round; ${value(of(last))} after round ${last.round}`;
  const line = {
    x: points.map((round) => round.round),
    y: points.map(of),
    mode: points.length > MARKERS_UP_TO ? "lines" : "lines+markers",
    line: { color: colour("accent"), width: 2 },
    marker: { size: 5 },
    hovertemplate: "round %{x}: %{y:.4g}<extra></extra>",
  };
  const title = { text: `<b>${name}</b>  ${value(of(last))}`, x: 0, xanchor: "left", font: { size: 13 }, pad: { l: 4 } };
  Plotly.react(place(parent, name, said), [line], layout({ title, xaxis: { title: { text: "round" }, tickformat: "d" } }), SETTINGS);
}

/** One chart for each metric. */
export function drawMetrics(parent, rounds) {
  const names = [...new Set(rounds.flatMap((round) => Object.keys(round.metrics)))];
  const before = parent.childElementCount;
  for (const name of names) place(parent, name, name); // all have their width before the first is drawn
  if (parent.childElementCount > before) [...parent.children].slice(0, before).forEach((chart) => Plotly.Plots.resize(chart));
  for (const name of names) drawOver(parent, name, rounds, (round) => round.metrics[name]);
  return names.length;
}

/** The privacy that rounds have spent. */
export function drawEpsilon(parent, rounds) {
  if (rounds.some((round) => round.epsilon !== null)) drawOver(parent, "epsilon", rounds, (round) => round.epsilon ?? undefined);
}

/** The last rounds as bars over time, one after the other or over one another, each in its phases. */
export function drawTimeline(parent, rounds) {
  const shown = rounds.slice(-TIMELINE_ROUNDS);
  if (!shown.length) return 0;
  const bars = PHASES.map((phase, index) => ({
    type: "bar",
    orientation: "h",
    name: phase.name,
    y: shown.map((round) => round.round),
    x: shown.map((round) => round.phases[index]),
    base: shown.map((round) => round.began_s + round.phases.slice(0, index).reduce((sum, part) => sum + part, 0)),
    marker: { color: colour(phase.name), pattern: { shape: phase.pattern, fillmode: "overlay", size: 6, solidity: 0.2, fgcolor: colour("card") } },
    customdata: shown.map((round) => duration(round.phases[index])),
    hovertemplate: `round %{y}, ${phase.name}: %{customdata}<extra></extra>`,
  }));
  const last = shown[shown.length - 1];
  const said = `The last rounds over time; round ${last.round} took ${duration(last.duration_s)}: `
    + PHASES.map((phase, index) => `${phase.name} ${duration(last.phases[index])}`).join(", ");
  const made = layout({
    barmode: "overlay",
    bargap: 0.3,
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    xaxis: { title: { text: "seconds since the start" } },
    yaxis: { title: { text: "round" }, autorange: "reversed", tickformat: "d", tickmode: "linear", dtick: 1 },
  });
  Plotly.react(place(parent, "timeline", said), bars, made, SETTINGS);
  return shown.length;
}
