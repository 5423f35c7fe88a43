// The fragment of the page's address: what is selected, and the time range. So a view can be shared and bookmarked, and
// the browser's back button works.

/**
 * @typedef {{ node?: string, edge?: string, transaction?: string }} Selection The id of a node, of an edge or of a
 *   business transaction; none of them if nothing is selected.
 * @typedef {Selection & { minutes?: string }} Address
 */

/**
 * @param {string} fragment A fragment with its "#", or an empty string.
 * @returns {Address} What it names, unchecked.
 */
export function parseFragment(fragment) {
  /** @type {Record<string, string | undefined>} */
  const { node, edge, transaction, minutes } = Object.fromEntries(new URLSearchParams(fragment.slice(1)));
  return { node, edge, transaction, minutes };
}

/**
 * @param {Address} address
 * @returns {string} The fragment with its "#".
 */
export function formatFragment({ node, edge, transaction, minutes }) {
  const all = Object.entries({ node, edge, transaction, minutes });
  const named = all.flatMap(([name, value]) => (value ? [[name, value]] : []));
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
  location.hash = formatFragment({ node, edge, transaction, minutes: readAddress().minutes });
}

/** @param {string} minutes */
export function writeMinutes(minutes) {
  location.hash = formatFragment({ ...readAddress(), minutes });
}

/** Remove the time range from the address, without a new entry in the browser's history. */
export function removeMinutes() {
  history.replaceState(null, "", formatFragment({ ...readAddress(), minutes: undefined }));
}
