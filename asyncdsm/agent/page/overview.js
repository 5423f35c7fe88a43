// Nothing chosen: where most of the time goes, and what is wrong.

import { html } from "./dom.js";
import { median, warnings } from "./model.js";
import { hopRow, section, warning } from "./parts.js";

const MOST = 8;

export function overview(map, act) {
  if (!map.edges.size) return [];
  const slowest = [...map.edges.values()].sort((one, other) => (median(other) ?? 0) - (median(one) ?? 0)).slice(0, MOST);
  const wrong = [...map.nodes.values()].filter((node) => warnings(node, map).length);
  return [
    section(
      "Where the time goes",
      html("p", { class: "muted" }, "The slowest hops, by their median. Choose a service or a queue to see whole pathways."),
      slowest.map((edge) => hopRow(edge, median(slowest[0]), act)),
    ),
    wrong.length && section("Worth a look", wrong.slice(0, MOST).map((node) => notice(node, map, act))),
    html("p", { class: "muted" }, counted(map)),
  ].filter(Boolean);
}

function notice(node, map, act) {
  const choose = html("button", { type: "button", class: "name", "data-key": `wrong ${node.id}`, click: () => act.choose({ node: node.id }) }, node.label);
  return html("div", {}, choose, warnings(node, map).map(warning));
}

function counted(map) {
  const leftOut = map.left_out ? ` ${map.left_out} quieter hops are not drawn.` : "";
  return `${map.services.length} services, ${map.queues.length} queues, ${map.edges.size} hops.${leftOut}`;
}
