// The status in the header, and the notice below the header while the agent does not answer.

import { AgentError } from "./api.js";
import { createHtml, replaceContent, setText } from "./dom.js";
import { formatSince } from "./format.js";

/** @import { LiveState } from "./live.js" */

// While the page waits for an answer, it says how old its map is if it is older.
const OLD_SECONDS = 30;

/**
 * @param {LiveState} state
 * @param {string | null} time When the map was as it is shown; null if there is no map yet.
 * @param {unknown} [error]
 * @param {string | null} [oldTime] The same time if that is long ago.
 */
export function describeState(state, time, error, oldTime = null) {
  const texts = {
    live: "Live",
    polling: "Live, every 2 seconds",
    slow: oldTime ? `Waiting, map of ${oldTime} …` : "Waiting for the agent …",
    past: "The past",
    paused: time ? `Paused at ${time}` : "Paused",
    away: describeAway(error),
  };
  return texts[state];
}

/** @param {unknown} error */
function describeAway(error) {
  if (!(error instanceof AgentError) || error.unreachable) return "Agent unreachable";
  return error.rejected ? "Request rejected" : "Error of the agent";
}

/**
 * @param {unknown} error
 * @param {string | null} time When the map was as it is shown; null if there is no map yet.
 */
export function describeError(error, time) {
  const problem = error instanceof Error ? error.message : String(error);
  const age = time ? ` The map is from ${time}.` : "";
  return `${problem}.${age} Trying again …`;
}

export class Status {
  /**
   * @param {HTMLElement} line
   * @param {HTMLElement} notice
   */
  constructor(line, notice) {
    this.line = line;
    this.notice = notice;
  }

  /**
   * @param {LiveState} state
   * @param {number | undefined} mapTime Until when the map shows data, in seconds since the epoch.
   * @param {unknown} [error]
   */
  show(state, mapTime, error) {
    const time = mapTime === undefined ? null : formatSince(mapTime, { withSeconds: true });
    this.line.dataset.state = document.body.dataset.state = state;
    const isOld = mapTime !== undefined && Date.now() / 1000 - mapTime > OLD_SECONDS;
    setText(this.line, describeState(state, time, error, isOld ? time : null));
    this.notice.hidden = state !== "away";
    if (state === "away") this.showNotice(describeError(error, time), error);
  }

  /**
   * Show a notice, unless it is shown already: a screen reader would read it out again.
   * @param {string} text
   * @param {unknown} error
   */
  showNotice(text, error) {
    if (this.notice.dataset.text === text) return;
    this.notice.dataset.text = text;
    const needsLogin = error instanceof AgentError && error.status === 401;
    const login = createHtml("button", { type: "button", click: () => location.reload() }, "Log in");
    replaceContent(this.notice, createHtml("span", {}, text), needsLogin && login);
  }
}
