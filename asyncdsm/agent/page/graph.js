// The drawing of the map. Elements are kept and updated, so that what has the focus or is looked at stays the same.

import { createSvg, setAttribute } from "./dom.js";
import { createGroup, updateGroup } from "./graph_groups.js";
import { GraphKeys } from "./graph_keys.js";
import { createArrowhead, createLabel, createLink, updateLink } from "./graph_link.js";
import { createNode, updateNode } from "./graph_node.js";
import { GraphTexts } from "./graph_texts.js";
import { findGroups } from "./groups.js";
import { findStart } from "./roving.js";
import { View } from "./view.js";

/** @import { Selection } from "./address.js" */
/** @import { Drawn } from "./graph_texts.js" */
/** @import { Link, LinkedNode, MapModel } from "./map_model.js" */

const MAX_LABELLED_LINKS = 60;
const FIT_INTERVAL_MS = 150;

/**
 * What is highlighted: the selection, with the edges of all pathways through the selected node, or the edges of the one
 * pathway under the pointer.
 * @typedef {Selection & { through?: Set<string>, pathway?: Set<string> }} Highlight
 */

export class Graph {
  /**
   * @param {SVGSVGElement} drawing
   * @param {(selection: Selection) => void} select
   */
  constructor(drawing, select) {
    this.drawing = drawing;
    this.select = select;
    /** @type {Map<string, SVGElement>} */
    this.nodes = new Map();
    /** @type {Map<string, SVGElement>} */
    this.links = new Map();
    /** @type {Map<string, SVGElement>} */
    this.labels = new Map();
    /** @type {Drawn | null} */
    this.drawn = null;
    this.scale = 1;
    this.isFitting = false;
    /** @type {Map<string, SVGElement>} */
    this.groups = new Map();
    this.groupLayer = createSvg("g", { class: "groups" });
    this.linkLayer = createSvg("g", { class: "links" });
    this.litLayer = createSvg("g", { class: "links" });
    // Above all lines, so that none crosses a label. Links say the same by their names.
    this.labelLayer = createSvg("g", { class: "labels", "aria-hidden": "true" });
    this.nodeLayer = createSvg("g", { class: "nodes" });
    const lines = [this.groupLayer, this.linkLayer, this.litLayer];
    const content = createSvg("g", {}, ...lines, this.labelLayer, this.nodeLayer);
    this.arrowheads = createSvg("defs");
    drawing.append(this.arrowheads, content);
    this.texts = new GraphTexts(drawing);
    this.view = new View(drawing, content, (scale) => this.handleScale(scale));
    const findElement = (/** @type {string} */ id) => this.nodes.get(id) ?? this.links.get(id);
    this.keys = new GraphKeys(drawing, findElement, (id) => this.reveal(id));
  }

  /** @param {MapModel} map */
  draw(map) {
    if (!this.arrowheads.childElementCount) this.drawArrowheads(map.levelCount);
    const nodes = new Map([...map.nodes].filter(([, node]) => node.shown));
    const links = new Map([...map.links].filter(([, link]) => link.points.length > 0));
    this.drawGroups(map);
    this.drawLinks(links, map);
    this.drawNodes(nodes, map);
    const hasMany = links.size > MAX_LABELLED_LINKS;
    this.drawing.classList.toggle("many", hasMany);
    const elements = { nodeElements: this.nodes, labelElements: this.labels };
    this.drawn = { map, nodes, links, ...elements, lit: this.drawn?.lit ?? new Set(), hasMany };
    const { width, height } = map;
    this.view.resize({ width, height, start: map.groups[0] ?? findStart(map) }, nameShape(map, nodes));
    // `highlight`, which follows, fits the texts to this scale. Without it, the next frame would fit them again.
    this.scale = this.view.viewport.scale;
    this.texts.setScale(this.scale);
    this.keys.useMap(map);
  }

  /** @param {MapModel} map */
  drawGroups({ groups }) {
    syncElements(this.groups, new Map(groups.map((group) => [group.key, group])), this.groupLayer, createGroup);
    for (const group of groups) {
      const element = this.groups.get(group.key);
      if (element) updateGroup(element, group);
    }
  }

  /**
   * @param {Map<string, Link>} links
   * @param {MapModel} map
   */
  drawLinks(links, map) {
    syncElements(this.links, links, this.linkLayer, (link) =>
      createLink(link, this.buttonAttributes({ edge: link.id })),
    );
    const hops = new Map([...links].filter(([, link]) => link.edge));
    syncElements(this.labels, hops, this.labelLayer, createLabel);
    for (const [id, link] of links) {
      const element = this.links.get(id);
      if (element) updateLink(element, link, map);
    }
  }

  /**
   * @param {Map<string, LinkedNode>} nodes
   * @param {MapModel} map
   */
  drawNodes(nodes, map) {
    const groups = findGroups(map);
    syncElements(this.nodes, nodes, this.nodeLayer, (node) =>
      createNode(node, this.buttonAttributes({ node: node.id })),
    );
    for (const [id, node] of nodes) {
      const element = this.nodes.get(id);
      if (element) updateNode(element, node, map, groups);
    }
  }

  /**
   * Fit the texts to a scale, but not in each frame of a zoom: on a large map that takes longer than a frame.
   * @param {number} scale
   */
  handleScale(scale) {
    this.scale = scale;
    if (this.isFitting || !this.texts.setScale(scale)) return;
    if (this.drawn) this.texts.fit(this.drawn);
    this.isFitting = true;
    setTimeout(() => {
      this.isFitting = false;
      this.handleScale(this.scale);
    }, FIT_INTERVAL_MS);
  }

  /** @param {number} levels How many levels of slowness there are. */
  drawArrowheads(levels) {
    const numbers = Array.from({ length: levels }, (_, level) => level);
    this.arrowheads.replaceChildren(...[...numbers, /** @type {const} */ ("carried")].map(createArrowhead));
  }

  /**
   * Return the attributes of an element that selects a node or an edge.
   * @param {Selection} selection
   */
  buttonAttributes(selection) {
    const select = () => this.select(selection);
    const selectByKey = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      select();
    };
    const id = selection.node ?? selection.edge;
    return { tabindex: -1, role: "button", "data-id": id, click: select, keydown: selectByKey };
  }

  /**
   * Highlight a selection and what belongs to it; everything else is dimmed, and below it. To be called after each
   * `draw`: it also writes the texts.
   * @param {Highlight} highlight
   * @param {MapModel} map
   */
  highlight(highlight, map) {
    const { node, edge, pathway } = highlight;
    const { links, nodes } = findHighlighted(highlight, map);
    this.drawing.classList.toggle("chosen", Boolean(node || edge || pathway));
    this.drawing.classList.toggle("traced", Boolean(pathway));
    markElements(this.links, links, edge);
    markElements(this.nodes, nodes, node);
    for (const [id, element] of this.links) moveElement(element, links.has(id) ? this.litLayer : this.linkLayer);
    if (!this.drawn) return;
    this.drawn.lit = new Set([...links, ...nodes]);
    this.texts.fit(this.drawn);
  }

  /**
   * Move a node, or the middle of a link, into sight.
   * @param {string} id
   */
  reveal(id) {
    const place = this.drawn?.nodes.get(id) ?? this.drawn?.links.get(id)?.label;
    if (place) this.view.reveal(place);
  }

  /** @param {string} id The id of a node or an edge. */
  focus(id) {
    this.keys.focus(id);
  }
}

/**
 * Return what the shape of a drawing depends on: a drawing of another shape is fitted into the screen.
 * @param {MapModel} map
 * @param {Map<string, LinkedNode>} nodes
 */
function nameShape({ flow, groups }, nodes) {
  return [flow, ...groups.map(({ key }) => key), ...[...nodes.keys()].sort()].join();
}

/**
 * Return the ids of the links and the nodes that a highlight shows.
 * @param {Highlight} highlight
 * @param {Pick<MapModel, "links">} map
 */
export function findHighlighted({ node, edge, through, pathway }, map) {
  const edges = pathway ?? through;
  const touches = (/** @type {Link} */ link) => node !== undefined && (link.from === node || link.to === node);
  const all = [...map.links.values()];
  const hops = all.filter((link) => edges?.has(link.id) || (!pathway && (link.id === edge || touches(link))));
  const nodes = new Set([...(node ? [node] : []), ...hops.flatMap((link) => [link.from, link.to])]);
  // Between two hops of a pathway, the broker may forward the message itself.
  const forwarded = all.filter((link) => edges && !link.edge && nodes.has(link.from) && nodes.has(link.to));
  return { links: new Set([...hops, ...forwarded].map((link) => link.id)), nodes };
}

/**
 * @param {Map<string, SVGElement>} elements
 * @param {Set<string>} highlighted
 * @param {string | undefined} selected
 */
function markElements(elements, highlighted, selected) {
  for (const [id, element] of elements) {
    element.classList.toggle("lit", highlighted.has(id));
    setAttribute(element, "aria-current", id === selected && "true");
  }
}

/**
 * Create the elements of new items, and remove those of items that are gone.
 * @template Item
 * @param {Map<string, SVGElement>} elements
 * @param {Map<string, Item>} items
 * @param {SVGElement} parent
 * @param {(item: Item) => SVGElement} create
 */
function syncElements(elements, items, parent, create) {
  for (const [id, element] of elements) {
    if (items.has(id)) continue;
    element.remove();
    elements.delete(id);
  }
  for (const [id, item] of items) {
    if (elements.has(id)) continue;
    const element = create(item);
    elements.set(id, element);
    parent.append(element);
  }
}

/**
 * Move an element to the end of a layer, unless it is in it.
 * @param {SVGElement} element
 * @param {SVGElement} layer
 */
function moveElement(element, layer) {
  if (element.parentNode === layer) return;
  const isFocused = document.activeElement === element;
  layer.append(element);
  if (isFocused) element.focus({ preventScroll: true });
}
