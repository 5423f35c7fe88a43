// Names from outside, made safe to show: on one line, and without characters that change the text around them.

import { createHtml } from "./dom.js";

// Control and format characters, which include those of the writing direction, and every space except the usual one.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;
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
 * @param {number} [maxCharacters] A longer name is cut.
 */
export function cleanName(name, maxCharacters = MAX_CHARACTERS) {
  const characters = [...name];
  const cut = characters.slice(0, maxCharacters).join("").replace(UNPRINTABLE, "\ufffd");
  const shown = cut && !cut.trim() ? `"${cut}"` : cut;
  return isolateDirection(characters.length > maxCharacters ? `${shown}…` : shown);
}

/** @param {string} text */
function isolateDirection(text) {
  return RIGHT_TO_LEFT.test(text) ? `${ISOLATE}${text}${END_OF_ISOLATE}` : text;
}

/**
 * Cut a name to the longest beginning that fits.
 * @param {string} name
 * @param {(text: string) => boolean} fits
 */
export function cutName(name, fits) {
  if (fits(cleanName(name))) return cleanName(name);
  const length = Math.min([...name].length, MAX_CHARACTERS);
  let [shortest, longest] = [1, length];
  while (shortest < longest) {
    const middle = Math.ceil((shortest + longest) / 2);
    if (fits(cleanName(name, middle))) shortest = middle;
    else longest = middle - 1;
  }
  return cleanName(name, Math.max(1, Math.min(shortest, length - 1)));
}

/** @type {CanvasRenderingContext2D | null} */
let canvas = null;

/**
 * Measure how wide a string is in pixels. This depends on its letters and on the fonts that the browser has.
 * @param {string} text
 * @param {string} font A CSS font.
 */
export function measureText(text, font) {
  canvas ??= document.createElement("canvas").getContext("2d");
  if (!canvas) return 0;
  canvas.font = font;
  return canvas.measureText(text).width;
}

/**
 * Create an element for a name in the middle of other text.
 * @param {string} name
 */
export function createName(name) {
  return createHtml("bdi", {}, name);
}
