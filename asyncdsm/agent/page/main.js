// The page: what is chosen stands in the address, so that it can be shared, and the way back works.

import { ask } from "./agent.js";
import { set, html, replace } from "./dom.js";
import { firstSteps } from "./empty.js";
import { clock, LEVELS } from "./format.js";
import { Graph } from "./graph.js";
import { Live } from "./live.js";
import { modelOf } from "./model.js";
import { Panel } from "./panel.js";
import { Range } from "./range.js";
import { Search } from "./search.js";
import { followTheme } from "./theme.js";

const DETAILS_EVERY = 5_000;

const [page, state, notice, pause] = ["map", "state", "notice", "pause"].map((id) => document.getElementById(id));
const range = new Range(document.getElementById("range"));
const narrow = matchMedia("(max-width: 719px)");
const graph = new Graph(document.getElementById("graph"), choose);
const panel = new Panel(document.getElementById("panel"), { choose, close: () => choose({}), trace, through });
const live = new Live(refresh, tell);

let map = null;
let passing = {}; // the edges of all pathways through a node
let detailsSince = -Infinity;

function address() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function chosen() {
  const { node, edge } = address();
  return node ? { node } : edge ? { edge } : {};
}

function choose({ node, edge }) {
  const { minutes } = address();
  const known = Object.entries({ node, edge, minutes }).filter(([, value]) => value);
  location.hash = new URLSearchParams(known);
}

function mark() {
  const now = chosen();
  graph.mark(now.node && now.node === passing.node ? { ...now, through: passing.edges } : now, map);
}

function trace(edges) {
  if (map && edges) graph.mark({ edges }, map);
  else if (map) mark();
}

function through(node, edges) {
  passing = { node, edges };
  mark();
}

async function refresh(stillWanted) {
  const flow = narrow.matches ? "down" : "right";
  const answer = await mapOf(flow);
  if (!stillWanted()) return;
  map = modelOf(answer);
  graph.draw(map);
  mark();
  search.over(map);
  showEmpty();
  await details(!chosen().node && !chosen().edge);
}

// The map of the range. One that the agent does not keep gives way to the usual one.
async function mapOf(flow) {
  try {
    return await ask("/api/map", { ...range.query(), flow });
  } catch (error) {
    if (error.status !== 400 || range.isUsual()) throw error;
    range.show(null);
    const { minutes, ...others } = address();
    history.replaceState(null, "", `#${new URLSearchParams(others)}`);
    return ask("/api/map", { ...range.query(), flow });
  }
}

// The panel. Its charts are asked for less often than the map; `atOnce` for another choice.
async function details(atOnce) {
  if (!map || (!atOnce && performance.now() - detailsSince < DETAILS_EVERY)) return;
  detailsSince = performance.now();
  // What is paused stays what it was: the details are of the time that the map shows.
  const time = live.running ? range.query() : { from: map.from, to: map.to };
  await panel.show(chosen(), map, time);
}

async function moved() {
  range.show(address().minutes);
  if (!map) return;
  const now = chosen();
  mark();
  if (now.node && map.nodes.has(now.node)) graph.view.reveal(map.nodes.get(now.node));
  const held = document.activeElement;
  const asked = details(true).catch((error) => tell("away", error));
  // At once, and not when the answer is there: by then the reader may be somewhere else.
  if (now.node || now.edge) {
    if (!panel.element.contains(document.activeElement)) panel.element.focus({ preventScroll: true });
  } else if (held === document.body || !held.isConnected || panel.element.contains(held))
    graph.focus(before.node ?? before.edge);
  await asked;
}

function showEmpty() {
  const empty = document.getElementById("empty");
  const nothing = map.services.length === 0;
  if (nothing && empty.hidden) replace(empty, firstSteps());
  empty.hidden = !nothing;
  page.classList.toggle("nothing", nothing);
}

function tell(now, error) {
  const at = map ? clock(map.to) : null;
  const words = {
    live: "Live",
    polling: "Live, every two seconds",
    slow: "Waiting for the agent …",
    paused: at ? `Paused at ${at}` : "Paused",
    away: error?.away === false ? "Refused" : "Agent away",
  };
  state.dataset.state = document.body.dataset.state = now;
  if (state.textContent !== words[now]) state.textContent = words[now];
  notice.hidden = now !== "away";
  const problem = error?.message ?? "";
  const told = `${problem.charAt(0).toUpperCase()}${problem.slice(1)}. ${at ? `What you see is of ${at}. ` : ""}Trying again …`;
  if (now === "away" && notice.dataset.told !== told) {
    notice.dataset.told = told;
    const login = error?.status === 401 && html("button", { type: "button", click: () => location.reload() }, "Log in");
    replace(notice, html("span", {}, told), login);
  }
}

const search = new Search(document.getElementById("search"), document.getElementById("found"), choose);
let before = {};

addEventListener("hashchange", (event) => {
  const old = Object.fromEntries(new URLSearchParams(new URL(event.oldURL).hash.slice(1)));
  before = { node: old.node, edge: old.edge };
  const other = Range.minutesOf(old.minutes) !== Range.minutesOf(address().minutes);
  moved();
  if (other) live.now();
});

range.select.addEventListener("change", () => {
  location.hash = new URLSearchParams({ ...address(), minutes: range.select.value });
  detailsSince = -Infinity;
});

pause.addEventListener("click", () => {
  const pausing = live.running;
  set(pause, "aria-pressed", String(pausing));
  pause.textContent = pausing ? "Go on" : "Pause";
  if (pausing) live.stop();
  else live.start();
});

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented) choose({});
  const typing = event.target.closest?.("input, select, textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  search.field.focus();
});

document.querySelector(".zoom").addEventListener("click", (event) => {
  const how = event.target.closest("button")?.dataset.zoom;
  if (how === "fit") graph.view.showAll();
  else if (how) graph.view.zoom(how === "in" ? 1.3 : 1 / 1.3);
});

narrow.addEventListener("change", () => live.now());
followTheme(document.getElementById("theme"));
replace(
  document.getElementById("scale"),
  LEVELS.map((name, warm) => html("li", { class: `warm-${warm}` }, name)),
);
if (location.search) history.replaceState(null, "", `/${location.hash}`);
range.show(address().minutes);
live.start();
