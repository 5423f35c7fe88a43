// Requests the map and the alerts before the rest of the page is loaded, since the agent needs most of the time to
// compute them.

import { readAddress } from "./address.js";
import { ALERTS_ADDRESS, mapAddress, requestAnswer } from "./api.js";
import { NARROW, toMapParameters } from "./map_request.js";

/** @typedef {(wanted: string) => Promise<Response> | undefined} TakeAnswer */

/**
 * Request an address, and return a function that returns the answer, once, if it was for the address that is wanted.
 * @param {string} address
 * @returns {TakeAnswer}
 */
function requestAtOnce(address) {
  /** @type {Promise<Response> | undefined} */
  let first = requestAnswer(address);
  first.catch(() => {}); // whoever takes it, handles it
  return (wanted) => {
    const taken = wanted === address ? first : undefined;
    first = undefined;
    return taken;
  };
}

const parameters = toMapParameters(readAddress(), matchMedia(NARROW).matches);
export const takeFirstMap = requestAtOnce(mapAddress(parameters));
/** @type {TakeAnswer} Of the past, there are no alerts. */
export const takeFirstAlerts = "from" in parameters ? () => undefined : requestAtOnce(ALERTS_ADDRESS);
