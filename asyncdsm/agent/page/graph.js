// The drawing. It is kept and brought up to date, not made anew: what has the focus, or is looked at, stays.

import { svg, set } from "./dom.js";
import { arrow, clock, count, presentText, rate, width } from "./format.js";
import { warnings } from "./model.js";
import { cutToWidth, namesOf, plain } from "./names.js";
import { View } from "./view.js";

const LABELLED_LINKS = 60;
const ROOM = { service: 14, queue: 22 }; // pixels of a box that are left free beside its name
// As in layout.py: from a line of a label to the next one, and from a link to its label, in pixels.
const LINE = 13;
const BESIDE = 5;
const MARKS = { slower: "▲", faster: "▼", idle: "since", steady: "" };

export class Graph {
  // `choose` hears of `{ node: id }` or `{ edge: id }`.
  constructor(drawing, choose) {
    this.drawing = drawing;
    this.choose = choose;
    this.nodes = new Map();
    this.links = new Map();
    this.lines = svg("g", { class: "links" });
    this.boxes = svg("g", { class: "nodes" });
    this.content = svg("g", {}, this.lines, this.boxes);
    drawing.append(svg("defs", {}, [0, 1, 2, 3, 4, 5, "carried"].map(arrowhead)), this.content);
    this.view = new View(drawing, this.content);
  }

  draw(map) {
    this.drawing.classList.toggle("many", map.links.length > LABELLED_LINKS);
    keep(this.links, this.lines, map.links, (link) => this.newLink(link));
    for (const link of map.links) updateLink(this.links.get(link.id), link, map);
    keep(this.nodes, this.boxes, [...map.nodes.values()], (node) => this.newNode(node));
    for (const node of map.nodes.values()) updateNode(this.nodes.get(node.id), node, map);
    this.view.resize(map.width, map.height, `${map.flow} ${[...map.nodes.keys()].sort().join()}`);
  }

  // Shows what is chosen, and what belongs to it; the rest steps back. `through`: the edges of all pathways through
  // a node; `edges`: those of one that is pointed at.
  mark({ node, edge, through, edges }, map) {
    const wanted = edges ?? through;
    const touches = (link) => node && (link.from === node || link.to === node);
    const links = map.links.filter((link) => wanted?.has(link.id) || (!edges && (link.id === edge || touches(link))));
    const near = new Set([node, ...links.flatMap((link) => [link.from, link.to])]);
    const carried = map.links.filter((link) => wanted && !link.about && near.has(link.from) && near.has(link.to));
    const lit = new Set([...links, ...carried].map((link) => link.id));
    const chosen = Boolean(node || edge || edges);
    this.drawing.classList.toggle("chosen", chosen);
    this.drawing.classList.toggle("traced", Boolean(edges));
    for (const [id, element] of this.links) {
      element.classList.toggle("lit", lit.has(id));
      set(element, "aria-current", id === edge && "true");
    }
    for (const [id, element] of this.nodes) {
      element.classList.toggle("lit", near.has(id));
      set(element, "aria-current", id === node && "true");
    }
  }

  focus(id) {
    (this.nodes.get(id) ?? this.links.get(id))?.focus({ preventScroll: true });
  }

  newNode(node) {
    const choose = () => this.choose({ node: node.id });
    return svg(
      "g",
      {
        tabindex: 0,
        role: "button",
        class: `node ${node.kind}`,
        "data-id": node.id,
        click: choose,
        keydown: onEnter(choose),
      },
      svg("title"),
      svg("rect", { rx: node.kind === "queue" ? node.height / 2 : 10 }),
      svg("text", { class: "name", "text-anchor": "middle", y: node.kind === "queue" ? 0 : -3 }),
      svg("text", { class: "about", "text-anchor": "middle", y: node.kind === "queue" ? 12 : 14 }),
    );
  }

  newLink(link) {
    if (!link.edge)
      return svg(
        "g",
        { class: "link carried" },
        svg("title"),
        svg("path", { class: "line", "marker-end": "url(#arrow-carried)" }),
      );
    const choose = () => this.choose({ edge: link.edge });
    return svg(
      "g",
      { tabindex: 0, role: "button", "data-id": link.edge, click: choose, keydown: onEnter(choose) },
      svg("title"),
      svg("path", { class: "hit" }),
      svg("path", { class: "line" }),
      svg("text", { class: "label" }),
      svg("text", { class: "label tail" }),
      svg("text", { class: "label since" }),
    );
  }
}

// Makes what is new and drops what is gone, in a map by id and on the page.
function keep(known, parent, wanted, make) {
  const ids = new Set(wanted.map((item) => item.id));
  for (const [id, element] of known) {
    if (ids.has(id)) continue;
    element.remove();
    known.delete(id);
  }
  for (const item of wanted) {
    if (known.has(item.id)) continue;
    const element = make(item);
    known.set(item.id, element);
    parent.append(element);
  }
}

function updateNode(element, node, map) {
  const [title, box, name, about] = element.children;
  const warned = warnings(node, map).length > 0;
  const says = node.kind === "service" ? aboutService(node, warned) : aboutQueue(node);
  const where = node.kind === "service" && !node.qualifier ? plain(node.where) : "";
  set(element, "transform", `translate(${node.x} ${node.y})`);
  set(element, "aria-label", `${node.kind} ${node.label}${says ? `, ${says}` : ""}`);
  element.classList.toggle("warned", warned);
  element.classList.toggle("quiet", node.incoming.length + node.outgoing.length === 0);
  for (const [attribute, value] of [
    ["x", -node.width / 2],
    ["y", -node.height / 2],
    ["width", node.width],
    ["height", node.height],
  ]) {
    set(box, attribute, value);
  }
  write(title, [node.label, where, says].filter(Boolean).join(" · "));
  const room = node.width - ROOM[node.kind];
  writeFitted(name, node.name || node.where || "?", room);
  writeFitted(about, says, room);
}

function updateLink(element, link, map) {
  const { flow } = map;
  const edge = link.about;
  const [title, ...paths] = element.children;
  const path = curve(link.points, flow);
  for (const drawn of paths) if (drawn.tagName === "path") set(drawn, "d", path);
  if (!edge) return write(title, "carried on by the broker");
  const { present } = edge;
  const [, line, label, tail, since] = paths;
  const { service, queue } = namesOf(edge, map);
  const told = presentText(present);
  const kept = element.classList.contains("lit") ? " lit" : "";
  set(element, "class", `link warm-${present.level} ${present.state}${kept}`);
  set(element, "aria-label", `${service} ${edge.direction === "in" ? "reads" : "writes"} ${queue}: ${told}`);
  set(line, "stroke-width", width(present.rate));
  set(line, "marker-end", `url(#arrow-${present.level})`);
  write(title, `${service} ${arrow(edge)} ${queue}: ${told}`);
  const lines = [
    [label, present.label],
    [tail, present.tail ? `p99 ${present.tail}` : ""],
    [since, present.since === null ? "" : `${MARKS[present.state]} ${clock(present.since, false)}`],
  ];
  writeLabel(link.label, lines);
}

// Writes the lines of a label: as many as have room, the first ones first. The others are in the title.
function writeLabel(place, lines) {
  const shown = lines.filter(([, text]) => text).slice(0, place.lines);
  const [x, y, anchor] = labelOrigin(place, shown.length);
  for (const [element, text] of lines) {
    const at = shown.findIndex(([each]) => each === element);
    write(element, at < 0 ? "" : text);
    set(element, "x", x);
    set(element, "y", y + LINE * Math.max(at, 0));
    set(element, "text-anchor", anchor);
  }
}

// As `label_origin` of layout.py: x and baseline of the first of some lines, and their anchor.
function labelOrigin({ x, y, side }, lines) {
  if (side === "above") return [x, y - BESIDE - 3 - LINE * (lines - 1), "middle"];
  if (side === "below") return [x, y + BESIDE + 11, "middle"];
  const middle = y + 4 - (LINE / 2) * (lines - 1);
  return side === "right" ? [x + BESIDE, middle, "start"] : [x - BESIDE, middle, "end"];
}

function aboutService(node, warned) {
  const total = (links) => links.reduce((sum, link) => sum + (link.about?.present.rate ?? 0), 0);
  const [read, written] = [total(node.incoming), total(node.outgoing)];
  const rates = [read && `${rate(read)} in`, written && `${rate(written)} out`].filter(Boolean).join(", ");
  return `${warned ? "⚠ " : ""}${[node.qualifier, rates || "quiet"].filter(Boolean).join(" · ")}`;
}

function aboutQueue(node) {
  const behind = node.outgoing.reduce((sum, link) => sum + (link.about?.lag ?? 0), 0);
  const where = node.qualifier || plain(node.where);
  // There is no room for all of it: what is in a cluster is Kafka's.
  return behind ? `${where.split(", ").at(-1)}, ${count(behind)} behind` : where;
}

// As `curve` of layout.py: level at each of its points.
function curve(points, flow) {
  let path = `M${points[0]}`;
  for (let at = 1; at < points.length; at += 1) {
    const [[x, y], [toX, toY]] = [points[at - 1], points[at]];
    const [middleX, middleY] = [(x + toX) / 2, (y + toY) / 2];
    path +=
      flow === "down"
        ? `C${x} ${middleY} ${toX} ${middleY} ${toX} ${toY}`
        : `C${middleX} ${y} ${middleX} ${toY} ${toX} ${toY}`;
  }
  return path;
}

function arrowhead(warm) {
  const size = { markerWidth: 9, markerHeight: 9, refX: 8, refY: 5, viewBox: "0 0 10 10" };
  return svg(
    "marker",
    { id: `arrow-${warm}`, orient: "auto", markerUnits: "userSpaceOnUse", ...size },
    svg("path", { d: "M0 0.5L9 5L0 9.5Z", class: `arrow warm-${warm}` }),
  );
}

function onEnter(act) {
  return (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  };
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const whole = new WeakMap(); // what was written, before it was cut

// Cuts by what the browser measures: how wide a name is depends on its letters and on the fonts that there are.
function writeFitted(element, text, room) {
  if (whole.get(element) === text) return;
  whole.set(element, text);
  const style = getComputedStyle(element);
  write(element, cutToWidth(text, room, `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`));
}
