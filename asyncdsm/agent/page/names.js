// Names from outside, as words.py shows them: in one line, and with no say over what stands beside them.

import { html } from "./dom.js";

// Neither control and format characters, which include those of writing direction, nor other spaces than the usual one.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const RIGHT_TO_LEFT =
  /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Samaritan}\p{Script=Mandaic}\p{Script=Adlam}]/u;
const [ISOLATE, END] = ["\u2068", "\u2069"];
const LONGEST = 200;

export function plain(name, longest = LONGEST) {
  const characters = [...name];
  const cut = characters.slice(0, longest).join("").replace(UNPRINTABLE, "\ufffd");
  const shown = cut && !cut.trim() ? `"${cut}"` : cut;
  return isolated(characters.length > longest ? `${shown}…` : shown);
}

const measuring = document.createElement("canvas").getContext("2d");

// A name, cut to fit a width in pixels, in a font.
export function cutToWidth(name, room, font) {
  measuring.font = font;
  const fits = (text) => measuring.measureText(text).width <= room;
  const characters = [...name].slice(0, LONGEST);
  let [length, most] = [1, characters.length];
  if (fits(plain(name))) return plain(name);
  while (length < most) {
    const middle = Math.ceil((length + most) / 2);
    if (fits(plain(name, middle))) length = middle;
    else most = middle - 1;
  }
  return plain(name, Math.min(length, characters.length - 1) || 1);
}

function isolated(text) {
  return RIGHT_TO_LEFT.test(text) ? `${ISOLATE}${text}${END}` : text;
}

// A name in the middle of other text.
export function bdi(name) {
  return html("bdi", {}, name);
}

// What an edge's ends are called: as the nodes of the map, which are told apart where two have one name.
export function namesOf(edge, map) {
  const ends = map.linkOf.get(edge.edge ?? edge.id);
  const label = (kind) =>
    [ends?.from, ends?.to].map((id) => map.nodes.get(id)).find((node) => node?.kind === kind)?.label;
  return {
    service: label("service") ?? plain(edge.service),
    queue: label("queue") ?? (plain(edge.queue || edge.type) || "?"),
  };
}
