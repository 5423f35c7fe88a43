// Numbers as a person reads them. "–" where nothing was counted.

const NOTHING = "–";
const known = (value) => value !== null && value !== undefined;
const short = (value) => String(Number(value.toPrecision(3)));

export function duration(seconds) {
  if (!known(seconds)) return NOTHING;
  // Below each limit, three digits do not round up to 1000.
  if (seconds < 999.5e-6) return `${short(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${short(seconds * 1e3)} ms`;
  if (seconds < 120) return `${short(seconds)} s`;
  if (seconds < 7200) return `${short(seconds / 60)} min`;
  return `${short(seconds / 3600)} h`;
}

export function rate(perSecond) {
  if (!known(perSecond)) return NOTHING;
  if (perSecond === 0) return "0/s";
  if (perSecond < 0.1) return `${short(perSecond * 60)}/min`;
  return `${count(perSecond)}/s`;
}

export function count(value) {
  if (!known(value)) return NOTHING;
  if (value < 999.5) return short(value);
  if (value < 999.5e3) return `${short(value / 1e3)} k`;
  return value < 999.5e6 ? `${short(value / 1e6)} M` : `${short(value / 1e9)} G`;
}

export function counting(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

export function bytes(value) {
  if (!known(value)) return NOTHING;
  if (value < 1000) return `${short(value)} B`;
  return value < 1e6 ? `${short(value / 1e3)} kB` : `${short(value / 1e6)} MB`;
}

export function percent(share) {
  return known(share) ? `${share > 0 && share < 0.01 ? "<1" : Math.round(share * 100)} %` : NOTHING;
}

export function clock(seconds, withSeconds = true) {
  const parts = { hour: "2-digit", minute: "2-digit", ...(withSeconds && { second: "2-digit" }), hourCycle: "h23" };
  return new Date(seconds * 1000).toLocaleTimeString(undefined, parts);
}

// The levels of a hop, which the agent decides: by its median, or a tenth of its 99th percentile if that is more.
export const LEVELS = ["< 1 ms", "1 ms", "10 ms", "100 ms", "1 s", "≥ 10 s"];

// What a hop is like now, in words.
export function presentText(present) {
  if (present.state === "idle") return change(present) || "idle";
  return [present.label, present.tail && `p99 ${present.tail}`, rate(present.rate), change(present)]
    .filter(Boolean)
    .join(", ");
}

// Since when a hop is as it is now, if it was different within the last minutes.
export function change(present) {
  return present.since === null ? "" : `${present.state} since ${clock(present.since, false)}`;
}

// How wide an edge is drawn, in pixels.
export function width(perSecond) {
  return Math.min(11, 1.5 + 1.6 * Math.log10(1 + 4 * perSecond)).toFixed(1);
}

export function arrow(edge) {
  return edge.direction === "in" ? "←" : "→";
}
