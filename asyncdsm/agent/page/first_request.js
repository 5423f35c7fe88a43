// Requests the map before the rest of the page is loaded, since the agent needs most of the time to compute it.

import { readAddress } from "./address.js";
import { mapAddress, requestAnswer } from "./api.js";
import { NARROW, toMapParameters } from "./map_request.js";

const address = mapAddress(toMapParameters(readAddress(), matchMedia(NARROW).matches));
/** @type {Promise<Response> | undefined} */
let first = requestAnswer(address);
first.catch(() => {}); // whoever takes it, handles it

/**
 * Return the answer to the first request, once, if it was for this address.
 * @param {string} wanted
 */
export function takeFirstAnswer(wanted) {
  const taken = wanted === address ? first : undefined;
  first = undefined;
  return taken;
}
