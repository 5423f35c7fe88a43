// The fragment of the page's address: what is selected, and the time range. So a view can be shared and bookmarked, and
// the browser's back button works.

/**
 * @typedef {{ node?: string, edge?: string }} Selection The id of a node or of an edge; neither if nothing is selected.
 * @typedef {{ minutes?: string, from?: string, to?: string }} RangeFields The last minutes, or from and to in seconds
 *   since the epoch.
 * @typedef {Selection & RangeFields} Address
 */

const NO_RANGE = { minutes: undefined, from: undefined, to: undefined };
const NAMES = /** @type {(keyof Address)[]} */ (["node", "edge", ...Object.keys(NO_RANGE)]);

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
  const { node, edge } = readAddress();
  if (node) return { node };
  return edge ? { edge } : {};
}

/**
 * Select a node, an edge or, with an empty selection, nothing.
 * @param {Selection} selection
 */
export function select({ node, edge }) {
  location.hash = formatFragment({ ...readAddress(), node, edge });
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
