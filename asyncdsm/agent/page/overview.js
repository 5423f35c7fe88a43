// Nothing chosen: where most of the time goes, and what is wrong.

import { counting } from "./format.js";
import { html } from "./dom.js";
import { slowness, warnings } from "./model.js";
import { bdi } from "./names.js";
import { hopRow, section, warning } from "./parts.js";

const MOST = 8;

export function overview(map, act) {
  if (!map.edges.size) return [];
  const edges = [...map.edges.values()];
  const slowest = edges
    .filter(isBusy)
    .sort((one, other) => slowness(other) - slowness(one))
    .slice(0, MOST);
  const changed = edges
    .filter((edge) => edge.present.since !== null)
    .sort((one, other) => other.present.since - one.present.since)
    .slice(0, MOST);
  const wrong = [...map.nodes.values()].filter((node) => warnings(node, map).length);
  return [
    section(
      "Where the time goes",
      html(
        "p",
        { class: "muted" },
        "The slowest hops of the last minute. Choose a service or a queue to see whole pathways.",
      ),
      slowest.length
        ? slowest.map((edge) => hopRow(edge, slowness(slowest[0]), map, act))
        : html("p", { class: "muted" }, "Nothing passed in the last minute."),
    ),
    changed.length &&
      section(
        "What changed",
        changed.map((edge) => hopRow(edge, 0, map, act)),
      ),
    wrong.length &&
      section(
        "Worth a look",
        wrong.slice(0, MOST).map((node) => notice(node, map, act)),
      ),
    html("p", { class: "muted" }, counted(map)),
  ].filter(Boolean);
}

const isBusy = (edge) => edge.present.state !== "idle";

function notice(node, map, act) {
  const choose = html(
    "button",
    { type: "button", class: "name", "data-key": `wrong ${node.id}`, click: () => act.choose({ node: node.id }) },
    bdi(node.label),
  );
  return html("div", {}, choose, warnings(node, map).map(warning));
}

function counted(map) {
  const leftOut = map.left_out
    ? ` ${counting(map.left_out, "quieter hop")} ${map.left_out === 1 ? "is" : "are"} not drawn.`
    : "";
  return `${counting(map.services.length, "service")}, ${counting(map.queues.length, "queue")}, ${counting(map.edges.size, "hop")}.${leftOut}`;
}
