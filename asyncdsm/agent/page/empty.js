// Nothing has come yet: what to do.

import { html } from "./dom.js";

export function firstSteps() {
  const here = location.origin;
  return html(
    "div",
    { class: "card" },
    html("h2", {}, "Nothing has passed yet"),
    html(
      "p",
      {},
      "This agent waits for what your services report. The map draws itself as soon as the first of them does.",
    ),
    step("See something move: the demo has a map of its own", "asyncdsm demo"),
    step(
      "Follow a program of yours, without changing it",
      `DD_SERVICE=shop DD_TRACE_AGENT_URL=${here} asyncdsm run python shop.py`,
    ),
    step("Or follow one client, in code", "async with asyncdsm.DataStreams():\n    client = asyncdsm.wrap(client)"),
    html(
      "p",
      { class: "muted" },
      "Services that Datadog's own tracers follow show up too: DD_DATA_STREAMS_ENABLED=true, and the same address. Each reports every ten seconds.",
    ),
  );
}

function step(what, how) {
  return html("div", { class: "step" }, html("p", {}, what), html("pre", { tabindex: 0 }, how));
}
