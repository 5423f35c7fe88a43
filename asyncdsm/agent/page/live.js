// Keeps the map fresh: when the agent says that something changed, and by an interval where it cannot.

const AT_MOST_EVERY = 1_000;
const SHARE_OF_TIME = 4; // an answer that takes a second is not asked for more often than every four
const WITH_EVENTS = 5_000;
const SLOW = 3_000; // after so long without an answer, what is shown is not called live
const WITHOUT_EVENTS = 2_000;
const LONGEST_WAIT = 8_000;
const REOPEN = 3_000;

export class Live {
  // `refresh` asks for everything; `tell` hears of `live`, `polling`, `slow`, `paused`, and of `away` with the error.
  constructor(refresh, tell) {
    this.refresh = refresh;
    this.tell = tell;
    this.running = false;
    this.failures = 0;
    this.turn = 0;
    this.soonest = 0;
    document.addEventListener("visibilitychange", () => !document.hidden && this.running && this.now());
  }

  start() {
    this.running = true;
    this.listen();
    return this.now();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
    clearTimeout(this.reopening);
    this.events?.close();
    this.turn += 1; // what is still under way is not shown any more
    this.asking = false;
    this.tell("paused");
  }

  // Asks at once, even while paused: for another range, say.
  async now() {
    clearTimeout(this.timer);
    const turn = ++this.turn;
    const began = performance.now();
    this.asking = true;
    this.changedMeanwhile = false;
    const slow = setTimeout(() => turn === this.turn && this.tell("slow"), SLOW);
    let state = "away";
    let problem;
    try {
      await this.refresh(() => turn === this.turn);
      this.failures = 0;
      state = !this.running ? "paused" : this.hears() ? "live" : "polling";
    } catch (error) {
      this.failures += 1;
      problem = error;
    } finally {
      clearTimeout(slow);
    }
    if (turn !== this.turn) return;
    this.asking = false;
    this.soonest = began + Math.max(AT_MOST_EVERY, SHARE_OF_TIME * (performance.now() - began));
    this.tell(state, problem);
    if (this.running) this.again(this.wait());
  }

  wait() {
    if (this.failures) return Math.min(LONGEST_WAIT, 500 * 2 ** this.failures);
    if (this.changedMeanwhile) return this.soonest - performance.now();
    return this.hears() ? WITH_EVENTS : WITHOUT_EVENTS;
  }

  again(milliseconds) {
    clearTimeout(this.timer);
    this.due = performance.now() + Math.max(0, milliseconds);
    this.timer = setTimeout(() => (document.hidden ? this.again(WITH_EVENTS) : this.now()), milliseconds);
  }

  changed() {
    this.changedMeanwhile = true;
    if (this.running && !this.asking && this.due > this.soonest) this.again(this.soonest - performance.now());
  }

  hears() {
    return this.events?.readyState === EventSource.OPEN;
  }

  listen() {
    this.events?.close();
    this.events = new EventSource("/api/live");
    this.events.addEventListener("open", () => this.changed());
    this.events.addEventListener("change", () => this.changed());
    this.events.addEventListener("error", () => {
      if (this.running && !this.asking && !this.failures) this.again(0); // is anybody there?
      // The browser tries again by itself, but gives up after an answer that it did not like.
      if (this.events.readyState !== EventSource.CLOSED) return;
      clearTimeout(this.reopening);
      this.reopening = setTimeout(() => this.running && this.listen(), REOPEN);
    });
  }
}
