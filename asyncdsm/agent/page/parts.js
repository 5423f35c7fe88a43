// What several panels are made of.

import { html, svg } from "./dom.js";
import { arrow, change, duration, rate } from "./format.js";
import { slowness } from "./model.js";
import { bdi, namesOf } from "./names.js";

export function section(title, ...children) {
  return html("section", {}, html("h3", {}, title), ...children);
}

export function figures(...pairs) {
  return html(
    "dl",
    { class: "figures" },
    pairs.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))),
  );
}

export function warning(text) {
  return html("p", { class: "warning" }, html("span", { "aria-hidden": "true" }, "⚠"), ` ${text}`);
}

// A hop as a row to choose: its two ends, what it is like now, and a bar against the slowest of the list.
export function hopRow(edge, slowest, map, act) {
  const share = slowest > 0 ? slowness(edge) / slowest : 0;
  const { present } = edge;
  return html(
    "button",
    {
      type: "button",
      class: `hop warm-${present.level} ${present.state}`,
      "data-key": `hop ${edge.id}`,
      click: () => act.choose({ edge: edge.id }),
    },
    html("span", { class: "what" }, hopName(edge, map)),
    html("span", { class: "long" }, present.label),
    html(
      "span",
      { class: "more" },
      [
        rate(present.rate),
        present.edge_latency.p99 !== null && `p99 ${duration(present.edge_latency.p99)}`,
        change(present),
        edge.lag ? `${edge.lag} behind` : "",
      ]
        .filter(Boolean)
        .join(" · "),
    ),
    bar(share),
  );
}

// Both ends of a hop, each apart from the other whichever way it is written.
export function hopName(edge, map) {
  const { service, queue } = namesOf(edge, map);
  return [bdi(service), ` ${arrow(edge)} `, bdi(queue)];
}

// Attributes of SVG say how long: the page allows no style in an element.
export function bar(share) {
  return svg(
    "svg",
    { class: "bar", "aria-hidden": "true" },
    svg("rect", { width: `${(100 * Math.min(1, share)).toFixed(1)}%`, height: "100%", rx: 1.5 }),
  );
}
