// The panel beside the map: the details of what is selected, or an overview.

import { AgentError } from "./api.js";
import { createHint, createHtml, replaceContent } from "./dom.js";
import { createEdgeDetails } from "./edge_details.js";
import { joinTexts } from "./format.js";
import { joinEnds } from "./hop_names.js";
import { timePlace } from "./hops.js";
import { cleanName, createName } from "./names.js";
import { createNodeDetails } from "./node_details.js";
import { createOverview } from "./overview.js";
import { createStoreSection } from "./store_size.js";
import { createLateSection, createTransactionDetails } from "./transactions.js";

/** @import { Selection } from "./address.js" */
/** @import { RangeQuery } from "./api.js" */
/** @import { Edge } from "./api_types.d.ts" */
/** @import { Child } from "./dom.js" */
/** @import { Link, LinkedNode, MapModel } from "./map_model.js" */

/**
 * What the panel does to the rest of the page.
 * @typedef {object} PanelActions
 * @property {(selection: Selection) => void} select
 * @property {(edges: Set<string> | null) => void} highlightPathway Highlight the edges of a pathway; with null, the
 *   selection again.
 * @property {(node: string, edges: Set<string>) => void} highlightPathwaysThrough Highlight the edges of all pathways
 *   through a node, or those that a transaction took, while it is selected.
 * @property {(selection: Selection, moment: number) => void} lookBackTo Show a range that begins before a moment, in
 *   seconds since the epoch, and ends as the present one does.
 * @property {() => void} openRules Show the rules of alerts.
 * @property {(selection: Selection, moment: number) => void} lookAt Show the time around a moment, in seconds since the
 *   epoch.
 */

const NOTHING_SELECTED = "{}";

export class Panel {
  /**
   * @param {HTMLElement} element
   * @param {PanelActions} actions
   */
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
    this.requests = 0;
    this.shown = "";
  }

  /**
   * Show the details of a selection. Of several calls, only the last one shows its answer.
   * @param {Selection} selection
   * @param {MapModel} map
   * @param {RangeQuery} range
   * @throws {AgentError} If the agent cannot be reached.
   */
  async show(selection, map, range) {
    const request = ++this.requests;
    const key = JSON.stringify(selection);
    const head = () => this.createHead(selection, map);
    if (key !== this.shown && key !== NOTHING_SELECTED) this.showContent(key, head(), createHint("Loading …"));
    const body = await this.createBody(selection, map, range).catch(explainRejection);
    if (request === this.requests) this.showContent(key, head(), body);
  }

  /**
   * @param {string} key
   * @param {...Child} children
   */
  showContent(key, ...children) {
    const scrollTop = key === this.shown ? this.element.scrollTop : 0;
    replaceContent(this.element, ...children);
    this.element.scrollTop = scrollTop;
    this.element.classList.toggle("open", key !== NOTHING_SELECTED);
    this.shown = key;
  }

  /**
   * @param {Selection} selection
   * @param {MapModel} map
   * @param {RangeQuery} range
   * @returns {Promise<Child[]>}
   */
  async createBody(selection, map, range) {
    const edge = map.links.get(selection.edge ?? "")?.edge;
    const node = map.nodes.get(selection.node ?? "");
    if (edge) return createEdgeDetails(edge, map, range);
    if (node) return createNodeDetails(node, map, range, this.actions);
    if (selection.transaction) return createTransactionDetails(selection.transaction, map, this.actions);
    if (!selection.edge && !selection.node) {
      const overview = await createOverview(map, range, this.actions);
      const store = await createStoreSection();
      // Which transactions are late is known of the present only.
      return map.isPast ? [...overview, store] : [...overview, await createLateSection(map, this.actions), store];
    }
    return [createHtml("p", {}, "No message passed here in the selected time range.")];
  }

  /**
   * @param {Selection} selection
   * @param {MapModel} map
   */
  createHead(selection, map) {
    const node = map.nodes.get(selection.node ?? "");
    const link = map.links.get(selection.edge ?? "");
    if (node) return this.wrapHead(describeNodeKind(node), createName(node.label));
    if (link?.edge) return this.wrapHead(describeHopKind(link.edge), this.createEnds(link, map));
    if (selection.transaction) return this.wrapHead("Transaction", createName(selection.transaction));
    return selection.node || selection.edge ? this.wrapHead("", "Not found") : null;
  }

  /**
   * @param {string} kind
   * @param {...Child} title
   */
  wrapHead(kind, ...title) {
    const close = createHtml(
      "button",
      {
        type: "button",
        class: "close",
        "aria-label": "Close",
        "data-key": "close",
        click: () => this.actions.select({}),
      },
      "✕",
    );
    const kindLine = kind !== "" && createHtml("p", { class: "kind" }, kind);
    return createHtml("div", { class: "head" }, kindLine, createHtml("h2", {}, ...title), close);
  }

  /**
   * Create the buttons that select the ends of a hop.
   * @param {Link} link
   * @param {MapModel} map
   */
  createEnds(link, map) {
    const createEnd = (/** @type {string} */ id) =>
      createHtml(
        "button",
        { type: "button", class: "name", "data-key": `end ${id}`, click: () => this.actions.select({ node: id }) },
        createName(map.nodes.get(id)?.label ?? ""),
      );
    return joinEnds(createEnd(link.from), createEnd(link.to));
  }
}

/**
 * @param {unknown} error
 * @returns {Child[]}
 */
function explainRejection(error) {
  if (!(error instanceof AgentError) || !error.rejected) throw error;
  return [createHint(`${error.message}.`)];
}

/** @param {LinkedNode} node */
function describeNodeKind(node) {
  const kind = node.kind === "service" ? "Service" : "Queue";
  return joinTexts(" · ", [kind, cleanName(node.where), node.cluster && `cluster ${cleanName(node.cluster)}`]);
}

/** @param {Edge} edge */
function describeHopKind(edge) {
  return joinTexts(" · ", [
    `Time ${timePlace(edge)}`,
    cleanName(edge.type),
    edge.group && `group ${cleanName(edge.group)}`,
  ]);
}
