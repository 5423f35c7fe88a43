// How large the texts of the map are: they shrink with the map, but never below a size at which they can be read.

const LEAST_PIXELS = 10;
// Sizes change in steps, so that most frames of a zoom change nothing.
const STEP = 1.12;
// Where texts would need to be larger than this, there is no room for them.
const MAX_SIZE_OF_DETAILS = { service: 22, queue: 18.5 };
const [MAX_SIZE_OF_LABELS, MAX_SIZE_OF_MANY_LABELS] = [24, 13];

/**
 * @typedef {object} TextSizes Pixels of the map.
 * @property {number} least
 * @property {{ service: number, queue: number }} name
 * @property {{ service: number, queue: number }} about
 * @property {number} label
 * @property {number} small The other lines of a label.
 * @property {{ service: boolean, queue: boolean }} withDetails Whether boxes have room for a line about a node.
 * @property {boolean} withLabels Whether links have labels.
 * @property {boolean} withManyLabels Whether they have them even if there are many links.
 */

/**
 * @param {number} scale How many pixels of the screen are one of the map.
 * @returns {TextSizes}
 */
export function findTextSizes(scale) {
  const least = scale >= 1 ? 0 : STEP ** Math.ceil(Math.log(LEAST_PIXELS / scale) / Math.log(STEP) - 1e-9);
  const atLeast = (/** @type {number} */ size) => Math.max(size, least);
  return {
    least,
    name: { service: atLeast(14.5), queue: atLeast(13.5) },
    about: { service: atLeast(11.5), queue: atLeast(10.5) },
    label: atLeast(12.5),
    small: atLeast(11),
    withDetails: { service: least <= MAX_SIZE_OF_DETAILS.service, queue: least <= MAX_SIZE_OF_DETAILS.queue },
    withLabels: least <= MAX_SIZE_OF_LABELS,
    withManyLabels: least <= MAX_SIZE_OF_MANY_LABELS,
  };
}

/**
 * Return the sizes as variables of CSS.
 * @param {TextSizes} sizes
 * @returns {[name: string, value: string][]}
 */
export function toCssVariables({ name, about, label, small }) {
  const sizes = {
    "--service-name": name.service,
    "--queue-name": name.queue,
    "--service-about": about.service,
    "--queue-about": about.queue,
    "--label": label,
    "--small-label": small,
  };
  return Object.entries(sizes).map(([variable, size]) => [variable, `${size.toFixed(2)}px`]);
}
