// The texts of the map: how large they are, which of them have room, and where names are cut.

import { FreePlaces } from "./free_places.js";
import { titleBox } from "./graph_groups.js";
import { labelBox, listLabelLines, updateLabel } from "./graph_link.js";
import { fitNodeTexts, nameFont } from "./graph_node.js";
import { measureText } from "./names.js";
import { findTextSizes, toCssVariables } from "./text_sizes.js";

/** @import { Box } from "./free_places.js" */
/** @import { LabelSizes, Link, LinkedNode, MapModel } from "./map_model.js" */
/** @import { TextSizes } from "./text_sizes.js" */

/**
 * @typedef {object} Drawn What is drawn: the items and their elements, by id. `lit` are the ids that are highlighted.
 * @property {MapModel} map
 * @property {Map<string, LinkedNode>} nodes
 * @property {Map<string, Link>} links
 * @property {Map<string, SVGElement>} nodeElements
 * @property {Map<string, SVGElement>} labelElements
 * @property {Set<string>} lit
 * @property {boolean} hasMany Whether there are so many links that only some of them have labels.
 */

// Names that are smaller than this, in pixels of the map, are within their boxes, so they never meet.
const MAX_SIZE_IN_BOX = 40;
const BOLD_LEVEL = 3;
// More than any latency takes.
const MOST_SECONDS = 1e12;

export class GraphTexts {
  /** @param {SVGSVGElement} drawing */
  constructor(drawing) {
    this.drawing = drawing;
    this.fontFamily = getComputedStyle(drawing).fontFamily;
    this.sizes = findTextSizes(1);
    this.useSizes();
  }

  /**
   * @param {number} scale
   * @returns {boolean} Whether texts have to be fitted again.
   */
  setScale(scale) {
    const sizes = findTextSizes(scale);
    if (sizes.least === this.sizes.least) return false;
    this.sizes = sizes;
    this.useSizes();
    return true;
  }

  useSizes() {
    // Through the DOM: the page's security policy allows no style attributes in the markup.
    for (const [name, value] of toCssVariables(this.sizes)) this.drawing.style.setProperty(name, value);
    this.drawing.classList.toggle("dense", !this.sizes.withDetails.queue);
    this.drawing.classList.toggle("far", this.sizes.least > MAX_SIZE_IN_BOX);
  }

  /** @param {Drawn} drawn */
  fit(drawn) {
    for (const [id, node] of drawn.nodes) {
      const element = drawn.nodeElements.get(id);
      if (element) fitNodeTexts(element, node, drawn.map, this.sizes, this.fontFamily);
    }
    this.chooseLabels(drawn, this.chooseNames(drawn));
  }

  /**
   * Hide names that would be over others.
   * @param {Drawn} drawn
   * @returns {Box[]} The places of names that are not within their boxes.
   */
  chooseNames({ nodes, nodeElements, lit }) {
    const free = new FreePlaces([]);
    const taken = [];
    const { least } = this.sizes;
    for (const node of sortByInterest(nodes, lit, ({ incoming, outgoing }) => incoming.length + outgoing.length)) {
      const name = nodeElements.get(node.id)?.querySelector(".name");
      if (!name) continue;
      const width = measureText(name.textContent ?? "", nameFont(node, this.sizes, this.fontFamily)) + least / 2;
      const place = { x: node.x, y: node.y, width, height: 1.2 * least };
      const isOutside = least > MAX_SIZE_IN_BOX;
      const fits = !isOutside || free.take(place);
      if (isOutside && fits) taken.push(place);
      nodeElements.get(node.id)?.classList.toggle("unnamed", !fits);
    }
    return taken;
  }

  /**
   * Write the labels that have room: those of hops that became slower first, then those of the slowest ones.
   * @param {Drawn} drawn
   * @param {Box[]} taken
   */
  chooseLabels({ map, nodes, links, labelElements, lit, hasMany }, taken) {
    const withLabels = hasMany ? this.sizes.withManyLabels : this.sizes.withLabels;
    const sizes = growLabels(map.labelSizes, this.sizes);
    const free = new FreePlaces([...nodes.values(), ...taken, ...map.groups.map(titleBox)]);
    for (const link of sortByInterest(links, lit, needOfLabel)) {
      const element = labelElements.get(link.id);
      if (!element || !link.edge) continue;
      const isLit = lit.has(link.id);
      const lines = withLabels || isLit ? listLabelLines(link, isLit || hasSlowed(link) ? 1 : 0) : [];
      const widths = lines.map(({ text, index }) => this.measureLine(text, index, link));
      while (widths.length && !free.take(labelBox(link.label, widths, sizes))) widths.pop();
      const box = labelBox(link.label, widths, sizes);
      updateLabel(element, lines.slice(0, widths.length), box, { ...link, edge: link.edge }, sizes);
      element.classList.toggle("lit", isLit);
    }
  }

  /**
   * @param {string} text
   * @param {number} index Which line of a label it is.
   * @param {Link} link
   */
  measureLine(text, index, { edge }) {
    const isBold = index > 0 || (edge?.present.level ?? 0) >= BOLD_LEVEL;
    return measureText(
      text,
      `${isBold ? 600 : 400} ${index ? this.sizes.small : this.sizes.label}px ${this.fontFamily}`,
    );
  }
}

/** @param {Link} link */
const hasSlowed = ({ edge }) => edge?.present.state === "slower";

/** @param {Link} link */
const needOfLabel = (link) => (hasSlowed(link) ? MOST_SECONDS : 0) + (link.edge?.present.slowness ?? 0);

/**
 * @param {LabelSizes} usual
 * @param {TextSizes} sizes
 * @returns {LabelSizes}
 */
function growLabels(usual, { least, label }) {
  return { ...usual, lineHeight: Math.max(usual.lineHeight, 1.05 * least), textSize: label };
}

/**
 * Return items, the highlighted ones first, then the most interesting ones.
 * @template {{ id: string }} Item
 * @param {Map<string, Item>} items
 * @param {Set<string>} lit
 * @param {(item: Item) => number} interest
 */
function sortByInterest(items, lit, interest) {
  const rank = (/** @type {Item} */ item) => Number(lit.has(item.id));
  return [...items.values()].sort((one, other) => rank(other) - rank(one) || interest(other) - interest(one));
}
