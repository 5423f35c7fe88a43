// Names from outside, made safe to show: on one line, and without characters that change the text around them.

import { createHtml } from "./dom.js";

// Control and format characters, which include those of the writing direction, and every space except the usual one;
// but not a joiner between two symbols, which then are one emoji.
const UNPRINTABLE = /(?<=\p{So}[\uFE0F\p{Emoji_Modifier}]?)\u200D(?=\p{So})|([\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs})/gu;
const ASCII = /^[\x20-\x7e]*$/;
/** Characters of a cluster at most: a letter may have any number of accents. */
const LONGEST_CLUSTER = 32;
const RIGHT_TO_LEFT = new RegExp(
  `[${["Hebrew", "Arabic", "Syriac", "Thaana", "Nko", "Samaritan", "Mandaic", "Adlam"]
    .map((script) => `\\p{Script=${script}}`)
    .join("")}]`,
  "u",
);
const ISOLATE = "\u2068";
const END_OF_ISOLATE = "\u2069";
const MAX_CHARACTERS = 200;

/**
 * Return a name as the page shows it, like `plain_text` in Python. A name of spaces only is quoted. A name that is
 * written from right to left is isolated, so that it does not change the order of the text beside it.
 * @param {string} name
 * @param {number} [maxCharacters] A longer name is cut, but not within what a person sees as one character.
 */
export function cleanName(name, maxCharacters = MAX_CHARACTERS) {
  const whole = cutClusters(name, maxCharacters);
  const cut = whole.replace(UNPRINTABLE, (match, unprintable) => (unprintable ? "\ufffd" : match));
  const shown = cut && !cut.trim() ? `"${cut}"` : cut;
  return isolateDirection(whole === name ? shown : `${shown}…`);
}

/**
 * Return whole clusters from the beginning of a name, with at most `maxCharacters`; if the first has more, part of it.
 * @param {string} name
 * @param {number} maxCharacters
 */
function cutClusters(name, maxCharacters) {
  const characters = [...name];
  if (characters.length <= maxCharacters) return name;
  let [kept, room] = ["", maxCharacters];
  for (const cluster of splitClusters(characters.slice(0, maxCharacters + LONGEST_CLUSTER).join(""))) {
    room -= [...cluster].length;
    if (room < 0) break;
    kept += cluster;
  }
  return kept || characters.slice(0, maxCharacters).join("");
}

/** @type {Intl.Segmenter | null} */
let segmenter = null;

/**
 * Split a text into what a person sees as one character: a letter with its accents, a flag, an emoji of several.
 * @param {string} text
 * @returns {string[]}
 */
export function splitClusters(text) {
  if (ASCII.test(text)) return [...text];
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return [...segmenter.segment(text)].flatMap(({ segment }) => splitLong([...segment]));
}

/**
 * @param {string[]} characters Those of one cluster.
 * @returns {string[]}
 */
function splitLong(characters) {
  const [first, rest] = [characters.slice(0, LONGEST_CLUSTER).join(""), characters.slice(LONGEST_CLUSTER)];
  return rest.length ? [first, ...splitLong(rest)] : [first];
}

/** @param {string} text */
function isolateDirection(text) {
  return RIGHT_TO_LEFT.test(text) ? `${ISOLATE}${text}${END_OF_ISOLATE}` : text;
}

/**
 * Cut a name in its middle, so that as much as fits is left: names that begin alike often end differently.
 * @param {string} name
 * @param {(text: string) => boolean} fits
 */
export function cutName(name, fits) {
  if (fits(cleanName(name))) return cleanName(name);
  const characters = splitClusters(cleanName(name)).filter((each) => each !== ISOLATE && each !== END_OF_ISOLATE);
  let [shortest, longest] = [1, Math.max(1, characters.length - 1)];
  while (shortest < longest) {
    const middle = Math.ceil((shortest + longest) / 2);
    if (fits(cutMiddle(characters, middle))) shortest = middle;
    else longest = middle - 1;
  }
  return cutMiddle(characters, shortest);
}

/**
 * @param {string[]} characters
 * @param {number} length How many characters are left, besides the ellipsis.
 */
function cutMiddle(characters, length) {
  const [start, end] = [Math.ceil(length / 2), Math.floor(length / 2)];
  return isolateDirection(`${characters.slice(0, start).join("")}…${end ? characters.slice(-end).join("") : ""}`);
}

/** @type {CanvasRenderingContext2D | null} */
let canvas = null;
const MAX_MEASURED = 10_000;
/** @type {Map<string, number>} Widths by font and text. */
const measured = new Map();

/**
 * Measure how wide a string is in pixels. This depends on its letters and on the fonts that the browser has.
 * @param {string} text
 * @param {string} font A CSS font.
 */
export function measureText(text, font) {
  const key = `${font} ${text}`;
  const known = measured.get(key);
  if (known !== undefined) return known;
  canvas ??= document.createElement("canvas").getContext("2d");
  if (!canvas) return 0;
  canvas.font = font;
  const { width } = canvas.measureText(text);
  if (measured.size >= MAX_MEASURED) measured.clear();
  measured.set(key, width);
  return width;
}

/**
 * Create an element for a name in the middle of other text.
 * @param {string} name
 */
export function createName(name) {
  return createHtml("bdi", {}, name);
}
