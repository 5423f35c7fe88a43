// Updates of the map: when the agent announces a change, and in regular intervals if it cannot.

import { AgentError } from "./api.js";

const [SHORTEST_INTERVAL_MS, LONGEST_RETRY_MS] = [1_000, 8_000];
const [INTERVAL_WITH_EVENTS_MS, INTERVAL_WITHOUT_EVENTS_MS] = [5_000, 2_000];
// A request that takes a second is repeated every four seconds at most.
const MAX_SHARE_OF_TIME = 1 / 4;
// If an answer takes longer, the map is no longer called live.
const SLOW_MS = 3_000;
// Neither is one that is older than this, after the computer slept or the page was hidden.
const OLD_MS = 30_000;
const FIRST_RETRY_MS = 500;
const REOPEN_EVENTS_MS = 3_000;

/**
 * @typedef {"live" | "polling" | "slow" | "paused" | "past" | "away"} LiveState
 * `polling` is live without the agent's events; `past` is paused because the page shows a range of the past; `away` is
 * a request that failed.
 */

/** @param {unknown} error */
const isRejection = (error) => error instanceof AgentError && error.rejected;

export class LiveUpdates {
  /**
   * @param {(isWanted: () => boolean) => Promise<void>} refresh Request everything and show it, unless `isWanted` says
   *   that a later request has begun meanwhile.
   * @param {(state: LiveState, error?: unknown) => void} report Show the state; `away` comes with an error.
   */
  constructor(refresh, report) {
    this.refresh = refresh;
    this.report = report;
    this.running = false;
    this.requesting = false;
    this.changed = false;
    this.failures = 0;
    this.turn = 0;
    this.earliest = 0;
    this.due = 0;
    this.answeredAt = Number.POSITIVE_INFINITY;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.reopenTimer = undefined;
    /** @type {EventSource | undefined} */
    this.events = undefined;
    // Timers are late, or do not run, while the page is hidden or frozen.
    document.addEventListener("visibilitychange", () => this.handleWake());
    document.addEventListener("resume", () => this.handleWake());
    addEventListener("online", () => this.handleWake());
  }

  handleWake() {
    if (!document.hidden && this.running) this.requestNow();
  }

  start() {
    this.running = true;
    this.openEvents();
    return this.requestNow();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
    clearTimeout(this.reopenTimer);
    this.events?.close();
    this.turn += 1; // the answer to a request that is under way is not shown
    this.requesting = false;
    this.report("paused");
  }

  /** Request at once, even while the updates are stopped: for another time range, for example. */
  async requestNow() {
    clearTimeout(this.timer);
    const turn = ++this.turn;
    const began = performance.now();
    this.requesting = true;
    this.changed = false;
    if (this.isOld()) this.report("slow");
    const error = await this.refreshInTurn(turn);
    if (turn !== this.turn) return;
    this.requesting = false;
    const ended = performance.now();
    this.earliest = began + Math.max(SHORTEST_INTERVAL_MS, (ended - began) / MAX_SHARE_OF_TIME);
    this.report(error ? "away" : this.findState(), error);
    // A range of the past is requested once, but until there is an answer.
    if (this.running || (error && !isRejection(error))) this.schedule(this.nextInterval());
  }

  /**
   * @param {number} turn
   * @returns {Promise<unknown>} The error, if the request failed.
   */
  async refreshInTurn(turn) {
    const slow = setTimeout(() => turn === this.turn && this.report("slow"), SLOW_MS);
    try {
      await this.refresh(() => turn === this.turn);
      this.failures = 0;
      this.answeredAt = Date.now();
    } catch (error) {
      this.failures += 1;
      return error;
    } finally {
      clearTimeout(slow);
    }
  }

  /** Whether the page says that its map is live, although it has not been updated for long. */
  isOld() {
    // By the clock: `performance.now` may stand still while the computer sleeps.
    return this.running && !this.failures && Date.now() - this.answeredAt > OLD_MS;
  }

  /** @returns {LiveState} */
  findState() {
    if (!this.running) return "paused";
    return this.hasEvents() ? "live" : "polling";
  }

  nextInterval() {
    if (this.failures) return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.failures);
    if (this.changed) return this.earliest - performance.now();
    return this.hasEvents() ? INTERVAL_WITH_EVENTS_MS : INTERVAL_WITHOUT_EVENTS_MS;
  }

  /** @param {number} milliseconds */
  schedule(milliseconds) {
    clearTimeout(this.timer);
    this.due = performance.now() + Math.max(0, milliseconds);
    this.timer = setTimeout(() => {
      if (document.hidden) this.schedule(INTERVAL_WITH_EVENTS_MS);
      else this.requestNow();
    }, milliseconds);
  }

  /** Request again soon, since something could not be requested. */
  retry() {
    this.failures = Math.max(1, this.failures);
    this.schedule(this.nextInterval());
  }

  handleChange() {
    this.changed = true;
    const waiting = this.running && !this.requesting;
    if (waiting && this.due > this.earliest) this.schedule(this.earliest - performance.now());
  }

  hasEvents() {
    return this.events?.readyState === EventSource.OPEN;
  }

  openEvents() {
    this.events?.close();
    const events = new EventSource("api/live");
    this.events = events;
    events.addEventListener("open", () => this.handleChange());
    events.addEventListener("change", () => this.handleChange());
    events.addEventListener("error", () => this.handleLostEvents(events));
  }

  /** @param {EventSource} events */
  handleLostEvents(events) {
    // Find out at once whether the agent still answers.
    if (this.running && !this.requesting && !this.failures) this.schedule(0);
    // The browser reopens the events by itself, except after an answer that is not a stream of events.
    if (events.readyState !== EventSource.CLOSED) return;
    clearTimeout(this.reopenTimer);
    this.reopenTimer = setTimeout(() => this.running && this.openEvents(), REOPEN_EVENTS_MS);
  }
}
