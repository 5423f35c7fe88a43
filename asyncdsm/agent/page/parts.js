// What several panels are made of.

import { html, svg } from "./dom.js";
import { arrow, duration, queueName, rate, warmth } from "./format.js";
import { median } from "./model.js";

export function section(title, ...children) {
  return html("section", {}, html("h3", {}, title), ...children);
}

export function figures(...pairs) {
  return html("dl", { class: "figures" }, pairs.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))));
}

export function warning(text) {
  return html("p", { class: "warning" }, html("span", { "aria-hidden": "true" }, "⚠"), ` ${text}`);
}

// A hop as a row to choose: its two ends, how long, how often, and a bar against the longest of the list.
export function hopRow(edge, longest, act) {
  const share = longest > 0 ? (median(edge) ?? 0) / longest : 0;
  return html(
    "button",
    { type: "button", class: `hop warm-${warmth(median(edge))}`, "data-key": `hop ${edge.id}`, click: () => act.choose({ edge: edge.id }) },
    html("span", { class: "what" }, `${edge.service} ${arrow(edge)} ${queueName(edge)}`),
    html("span", { class: "long" }, duration(median(edge))),
    html("span", { class: "more" }, [rate(edge.rate), `p99 ${duration(edge.edge_latency.p99)}`, edge.lag ? `${edge.lag} behind` : ""].filter(Boolean).join(" · ")),
    bar(share),
  );
}

// Attributes of SVG say how long: the page allows no style in an element.
export function bar(share) {
  return svg("svg", { class: "bar", "aria-hidden": "true" }, svg("rect", { width: `${(100 * Math.min(1, share)).toFixed(1)}%`, height: "100%", rx: 1.5 }));
}
