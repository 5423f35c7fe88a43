// Names from outside, as words.py shows them: in one line, and with no say over what stands beside them.

import { html } from "./dom.js";

// Neither control and format characters, which include those of writing direction, nor other spaces than the usual one.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Samaritan}\p{Script=Mandaic}\p{Script=Adlam}]/u;
const [ISOLATE, END] = ["\u2068", "\u2069"];
const LONGEST = 200;

export function plain(name, longest = LONGEST) {
  const characters = [...name];
  const cut = characters.slice(0, longest).join("").replace(UNPRINTABLE, "\ufffd");
  const shown = cut && !cut.trim() ? `"${cut}"` : cut;
  return isolated(characters.length > longest ? `${shown}…` : shown);
}

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

// A name, cut to what has room in a box: Chinese, Japanese and Korean characters take twice as much as others.
export function cutToCells(name, cells) {
  const characters = [...name];
  let used = 0;
  const over = characters.findIndex((character) => (used += WIDE.test(character) ? 2 : 1) > cells);
  return over < 0 ? plain(name) : plain(name, Math.max(1, over - 1));
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
  const label = (kind) => [ends?.from, ends?.to].map((id) => map.nodes.get(id)).find((node) => node?.kind === kind)?.label;
  return { service: label("service") ?? plain(edge.service), queue: label("queue") ?? (plain(edge.queue || edge.type) || "?") };
}
