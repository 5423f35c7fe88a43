// The fragment of the page's address: what is selected, the time range, and what is displayed. So a view can be shared
// and bookmarked, and the browser's back button works.

/**
 * @typedef {{ node?: string, edge?: string, transaction?: string }} Selection The id of a node, of an edge or of a
 *   business transaction; none of them if nothing is selected.
 * @typedef {{ minutes?: string, from?: string, to?: string }} RangeFields The last minutes, or from and to in seconds
 *   since the epoch.
 * @typedef {{ view?: string, focus?: string, steps?: string, find?: string, hide?: string, sort?: string,
 *   whole?: string, group?: string, fold?: string }} ViewFields
 * What `display.js` reads.
 * @typedef {Selection & RangeFields & ViewFields} Address
 */

const NO_RANGE = { minutes: undefined, from: undefined, to: undefined };
const VIEW = ["view", "focus", "steps", "find", "hide", "sort", "whole", "group", "fold"];
const NAMES = /** @type {(keyof Address)[]} */ (["node", "edge", "transaction", ...Object.keys(NO_RANGE), ...VIEW]);

/**
 * @param {string} fragment A fragment with its "#", or an empty string.
 * @returns {Address} What it names, unchecked.
 */
export function parseFragment(fragment) {
  /** @type {Record<string, string | undefined>} */
  const named = Object.fromEntries(new URLSearchParams(fragment.slice(1)));
  return Object.fromEntries(NAMES.map((name) => [name, named[name]]));
}

/**
 * @param {Address} address
 * @returns {string} The fragment with its "#".
 */
export function formatFragment(address) {
  const named = NAMES.flatMap((name) => (address[name] ? [[name, address[name]]] : []));
  return `#${new URLSearchParams(named)}`;
}

/** @returns {Address} */
export function readAddress() {
  return parseFragment(location.hash);
}

/** @returns {Selection} */
export function readSelection() {
  const { node, edge, transaction } = readAddress();
  if (node) return { node };
  if (edge) return { edge };
  return transaction ? { transaction } : {};
}

/**
 * Select a node, an edge, a transaction or, with an empty selection, nothing.
 * @param {Selection} selection
 */
export function select({ node, edge, transaction }) {
  location.hash = formatFragment({ ...readAddress(), node, edge, transaction });
}

/**
 * Show another time range, and another selection if one is given.
 * @param {RangeFields} range
 * @param {Selection} [selection]
 */
export function writeRange(range, selection = {}) {
  location.hash = formatFragment({ ...readAddress(), ...NO_RANGE, ...range, ...selection });
}

/** Remove the time range from the address, without a new entry in the browser's history. */
export function removeRange() {
  history.replaceState(null, "", formatFragment({ ...readAddress(), ...NO_RANGE }));
}

/**
 * Change what is displayed. Changes that follow each other quickly, as of a word that is being typed, can replace the
 * entry in the browser's history.
 * @param {ViewFields} fields Those that are undefined are removed from the address.
 * @param {{ replace?: boolean }} [options]
 */
export function writeView(fields, { replace = false } = {}) {
  const fragment = formatFragment({ ...readAddress(), ...fields });
  if (replace) location.replace(fragment);
  else location.hash = fragment;
}
