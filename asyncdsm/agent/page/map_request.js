// What the page asks the agent for: the parameters of a request for the map, as the address says.

import { parseDisplay, toMapQuery } from "./display.js";
import { parseRange, toRangeQuery } from "./time_range.js";

/** @import { Address, ViewFields } from "./address.js" */
/** @import { Display } from "./display.js" */

export const NARROW = "(max-width: 719px)";

/**
 * Return what is displayed: what the address says, or the list where there is no room for a map.
 * @param {ViewFields} fields
 * @param {boolean} isNarrow
 * @returns {Display & { view: "map" | "list" }}
 */
export function chooseDisplay(fields, isNarrow) {
  const display = parseDisplay(fields);
  return { ...display, view: display.view ?? (isNarrow ? "list" : "map") };
}

/**
 * @param {Address} address
 * @param {boolean} isNarrow
 */
export function toMapParameters(address, isNarrow) {
  /** @type {"down" | "right"} */
  const flow = isNarrow ? "down" : "right";
  return { ...toRangeQuery(parseRange(address)), flow, ...toMapQuery(chooseDisplay(address, isNarrow)) };
}
