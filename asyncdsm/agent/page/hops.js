// Whole pathways: how long each takes from end to end, and which hop has which share of it.

import { html } from "./dom.js";
import { duration, percent, rate } from "./format.js";
import { namesOf } from "./names.js";
import { bar, hopName } from "./parts.js";

const MOST = 30;

export function pathwayList(pathways, map, act) {
  if (!pathways.length) return html("p", { class: "muted" }, "No whole pathway was seen in this time.");
  const more = pathways.length - MOST;
  return [
    html(
      "ol",
      { class: "pathways" },
      pathways.slice(0, MOST).map((pathway) => pathwayItem(pathway, map, act)),
    ),
    more > 0 && html("p", { class: "muted" }, `${more} faster ones are not shown.`),
  ];
}

function pathwayItem(pathway, map, act) {
  const edges = new Set(pathway.hops.map((hop) => hop.edge));
  const trace = () => act.trace(edges);
  const untrace = () => act.trace(null);
  const largest = pathway.hops.reduce((most, hop) => (hop.share > most.share ? hop : most), pathway.hops[0]);
  return html(
    "li",
    { pointerenter: trace, pointerleave: untrace, focusin: trace, focusout: untrace },
    html(
      "p",
      { class: "whole" },
      html("b", {}, duration(pathway.end_to_end.p50)),
      ` end to end · p99 ${duration(pathway.end_to_end.p99)} · ${rate(pathway.rate)}`,
    ),
    html(
      "div",
      { class: "hops" },
      pathway.hops.map((hop, at) => hopButton(hop, `${pathway.hash} ${at}`, hop === largest, map, act)),
    ),
  );
}

function hopButton(hop, key, largest, map, act) {
  const { service, queue } = namesOf(hop, map);
  const verb = hop.direction === "in" ? "reads" : "writes";
  return html(
    "button",
    {
      type: "button",
      class: `hop warm-${hop.level}${largest ? " largest" : ""}`,
      disabled: !map.edges.has(hop.edge),
      "data-key": `pathway ${key}`,
      "aria-label": `${service} ${verb} ${queue}: ${percent(hop.share)} of the time, ${duration(hop.edge_latency.p50)} in the median`,
      click: () => act.choose({ edge: hop.edge }),
    },
    html("span", { class: "what" }, hopName(hop, map)),
    html("span", { class: "long" }, `${percent(hop.share)}`),
    html("span", { class: "more" }, duration(hop.edge_latency.p50)),
    bar(hop.share),
  );
}
