// The side of the map: what is known of what was chosen. Shows the newest question's answer, and no older one's.

import { html, replace } from "./dom.js";
import { edgeDetails } from "./edge.js";
import { bdi, plain } from "./names.js";
import { nodeDetails } from "./node.js";
import { overview } from "./overview.js";

export class Panel {
  // `act` has `choose({ node | edge })`, `close()`, `trace(edges or null)`, `through(node, edges)`.
  constructor(element, act) {
    this.element = element;
    this.act = act;
    this.asked = 0;
    this.shown = "";
  }

  // Shows the details of a choice. Raises AgentError where there is nobody to ask.
  async show(chosen, map, range) {
    const asked = ++this.asked;
    const what = JSON.stringify(chosen);
    if (what !== this.shown && (chosen.node || chosen.edge))
      this.put(what, this.head(chosen, map), html("p", { class: "muted" }, "Asking …"));
    const body = await this.body(chosen, map, range).catch(refusal);
    if (asked === this.asked) this.put(what, this.head(chosen, map), ...body);
  }

  put(what, ...children) {
    const top = what === this.shown ? this.element.scrollTop : 0;
    replace(this.element, ...children);
    this.element.scrollTop = top;
    this.element.classList.toggle("open", what !== "{}");
    this.shown = what;
  }

  async body(chosen, map, range) {
    if (chosen.edge && map.linkOf.has(chosen.edge))
      return edgeDetails(map.linkOf.get(chosen.edge), map, range, this.act);
    if (chosen.node && map.nodes.has(chosen.node)) return nodeDetails(map.nodes.get(chosen.node), map, range, this.act);
    if (chosen.edge || chosen.node) return [html("p", {}, "Nothing of this passed in the time that is shown.")];
    return overview(map, this.act);
  }

  head(chosen, map) {
    const node = map.nodes.get(chosen.node);
    const edge = map.linkOf.get(chosen.edge)?.about;
    const close = html(
      "button",
      { type: "button", class: "close", "aria-label": "Close", "data-key": "close", click: () => this.act.close() },
      "✕",
    );
    if (node)
      return html(
        "div",
        { class: "head" },
        html("p", { class: "kind" }, kindOf(node)),
        html("h2", {}, bdi(node.label)),
        close,
      );
    if (!edge)
      return chosen.node || chosen.edge ? html("div", { class: "head" }, html("h2", {}, "Not there"), close) : null;
    const ends = map.linkOf.get(chosen.edge);
    const [from, to] = [map.nodes.get(ends.from), map.nodes.get(ends.to)];
    const end = (each) =>
      html(
        "button",
        {
          type: "button",
          class: "name",
          "data-key": `end ${each.id}`,
          click: () => this.act.choose({ node: each.id }),
        },
        bdi(each.label),
      );
    return html(
      "div",
      { class: "head" },
      html("p", { class: "kind" }, hopOf(edge)),
      html("h2", {}, end(from), " → ", end(to)),
      close,
    );
  }
}

function refusal(error) {
  if (error.away !== false) throw error;
  return [html("p", { class: "muted" }, `The agent says: ${error.message}.`)];
}

function kindOf(node) {
  const parts = [
    node.kind === "service" ? "Service" : "Queue",
    plain(node.where),
    node.cluster && `cluster ${plain(node.cluster)}`,
  ];
  return parts.filter(Boolean).join(" · ");
}

function hopOf(edge) {
  const parts = [
    edge.direction === "in" ? "Hop: from the queue into the service" : "Hop: through the service, into the queue",
    plain(edge.type),
    edge.group && `group ${plain(edge.group)}`,
  ];
  return parts.filter(Boolean).join(" · ");
}
