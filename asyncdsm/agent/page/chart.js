// A small line chart: values over time, from zero up, with a gap where nothing was counted.

import { createHtml, createSvg, setText } from "./dom.js";
import { formatMoment, formatSince } from "./format.js";

/**
 * @typedef {[time: number, value: number | null]} ChartPoint The time is in seconds since the epoch.
 * @typedef {{ name: string, shade: number, points: ChartPoint[] }} ChartLine The shade is a color, from 0 to 2.
 *
 * @typedef {{ time: number, label: string }} ChartMarker Something that happened at a time: a new version.
 *
 * @typedef {object} Chart
 * @property {string} title
 * @property {ChartLine[]} lines
 * @property {(value: number | null | undefined) => string} format
 * @property {number} from Seconds since the epoch.
 * @property {number} to Seconds since the epoch.
 * @property {number} step Seconds from one point of a line to the next.
 * @property {ChartMarker[]} [markers]
 *
 * @typedef {{ x: (time: number) => number, y: (value: number) => number, highest: number }} Scales
 */

const [WIDTH, HEIGHT] = [380, 132];
const [LEFT, RIGHT, TOP, BOTTOM] = [54, 8, 10, 20];
// A line is broken where the next point is more steps away than this.
const MAX_STEPS_BETWEEN_POINTS = 1.5;
// How many labels of markers stand below each other before the first place is used again.
const MARKER_ROWS = 3;
const MARKER_ROW_HEIGHT = 10;
// A shorter chart shows seconds on its time axis.
const SECONDS_SHOWN_BELOW = 900;
// How the texts of the time axis are aligned: at its beginning, in its middle, and at its end.
const TIME_ANCHORS = ["start", "middle", "end"];

/** @param {Chart} chart */
export function createChart(chart) {
  const { title, lines, format, step } = chart;
  const scales = computeScales(chart);
  const drawing = createSvg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": describeChart(chart) },
    createValueAxis(scales, format),
    createTimeAxis(scales, chart),
    createMarkers(scales, chart),
    lines.map(({ shade, points }) =>
      createSvg("path", { class: `curve shade-${shade}`, d: formatLine(points, step, scales) }),
    ),
  );
  const keys = lines.map((line) => createKey(line, format));
  const legend = createHtml("figcaption", {}, keys);
  followPointer(chart, scales, drawing, legend);
  return createHtml("figure", { class: "chart" }, createHtml("h4", {}, title), drawing, legend);
}

/**
 * @param {{ lines: ChartLine[], from: number, to: number }} chart
 * @returns {Scales}
 */
function computeScales({ lines, from, to }) {
  const values = lines.flatMap((line) => line.points.map(([, value]) => value ?? 0));
  const highest = roundUpForAxis(values.reduce((most, value) => Math.max(most, value), 0));
  return {
    highest,
    x: (time) => LEFT + ((time - from) / Math.max(1, to - from)) * (WIDTH - LEFT - RIGHT),
    y: (value) => HEIGHT - BOTTOM - (value / highest) * (HEIGHT - TOP - BOTTOM),
  };
}

/**
 * Round a value up to 1, 2, 4, 6 or 8 times a power of ten.
 * @param {number} value
 */
export function roundUpForAxis(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 4, 6, 8].find((each) => each * power >= value * 0.999) ?? 10;
  return factor * power;
}

/**
 * @param {Scales} scales
 * @param {Chart["format"]} format
 */
function createValueAxis({ y, highest }, format) {
  return [0, highest / 2, highest].map((value) => [
    createSvg("path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}` }),
    createSvg("text", { x: LEFT - 6, y: y(value) + 3.5, "text-anchor": "end" }, format(value)),
  ]);
}

/**
 * @param {Scales} scales
 * @param {Chart} chart
 */
function createTimeAxis({ x }, { from, to }) {
  const times = [from, (from + to) / 2, to];
  const texts = formatTimes(times, { withSeconds: to - from < SECONDS_SHOWN_BELOW });
  return times.map((time, index) =>
    createSvg("text", { x: x(time), y: HEIGHT - 5, "text-anchor": TIME_ANCHORS[index] ?? "" }, texts[index] ?? ""),
  );
}

/**
 * Format the times of an axis: a day is told where it begins, and the first one unless it is today.
 * @param {number[]} times Seconds since the epoch, in ascending order.
 * @param {{ withSeconds: boolean }} options
 */
export function formatTimes(times, options) {
  return times.map((time, index) => formatMoment(time, times[index - 1] ?? Date.now() / 1000, options));
}

/**
 * Create a thin line with a label for each marker in the time of the chart.
 * @param {Scales} scales
 * @param {Chart} chart
 */
function createMarkers({ x, y }, chart) {
  return listMarkers(chart).map(({ time, label }, index) => {
    const [place, row] = [x(time), TOP + 8 + (index % MARKER_ROWS) * MARKER_ROW_HEIGHT];
    const isRight = place > WIDTH / 2;
    return createSvg(
      "g",
      { class: "marker" },
      createSvg("path", { d: `M${place.toFixed(1)} ${y(0)}V${TOP}` }),
      createSvg("text", { x: place + (isRight ? -4 : 4), y: row, "text-anchor": isRight ? "end" : "start" }, label),
    );
  });
}

/** @param {Pick<Chart, "markers" | "from" | "to">} chart */
function listMarkers({ markers = [], from, to }) {
  return markers.filter(({ time }) => time >= from && time <= to);
}

/**
 * Return the SVG path of a line. A single point becomes a line without length, which is drawn as a dot.
 * @param {ChartPoint[]} points
 * @param {number} step
 * @param {Pick<Scales, "x" | "y">} scales
 */
export function formatLine(points, step, { x, y }) {
  let path = "";
  let last = Number.NEGATIVE_INFINITY;
  for (const [time, value] of points) {
    if (value === null) continue;
    const place = `${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    path += time - last > step * MAX_STEPS_BETWEEN_POINTS ? `M${place}h0` : `L${place}`;
    last = time;
  }
  return path;
}

/**
 * @param {ChartLine} line
 * @param {Chart["format"]} format
 */
function createKey(line, format) {
  const value = createHtml("b", {}, format(findLatest(line)?.[1]));
  return createHtml("span", { class: `key shade-${line.shade}` }, createHtml("i"), `${line.name} `, value);
}

/** @param {ChartLine} line */
function findLatest(line) {
  return line.points.findLast(([, value]) => value !== null);
}

/**
 * Describe a chart for a reader who does not see it.
 * @param {Pick<Chart, "title" | "lines" | "format" | "markers" | "from" | "to">} chart
 */
export function describeChart(chart) {
  const { title, lines, format } = chart;
  const parts = lines.map((line) => {
    const values = line.points.flatMap(([, value]) => value ?? []);
    if (!values.length) return `${line.name}: no data`;
    const highest = values.reduce((most, value) => Math.max(most, value));
    return `${line.name} ${format(values.at(-1))}, at most ${format(highest)}`;
  });
  const marked = listMarkers(chart).map(({ time, label }) => `${label} since ${formatSince(time)}`);
  return `${title}: ${[...parts, ...marked].join("; ")}`;
}

/**
 * While the pointer is over the chart, show the values of that moment in the legend.
 * @param {Chart} chart
 * @param {Scales} scales
 * @param {SVGSVGElement} drawing
 * @param {HTMLElement} legend
 */
function followPointer(chart, scales, drawing, legend) {
  const times = [...new Set(chart.lines.flatMap((line) => line.points.map(([time]) => time)))];
  if (!times.length) return;
  const cross = createSvg("path", { class: "cross" });
  drawing.append(cross);
  const showTime = (/** @type {number | null} */ time) => {
    showValues(chart, legend, time);
    drawing.classList.toggle("followed", time !== null);
    if (time !== null) cross.setAttribute("d", `M${scales.x(time)} ${scales.y(0)}V${TOP}`);
  };
  drawing.addEventListener("pointermove", ({ clientX }) => {
    const box = drawing.getBoundingClientRect();
    showTime(findNearest(times, ((clientX - box.left) / box.width) * WIDTH, scales));
  });
  drawing.addEventListener("pointerleave", () => showTime(null));
}

/**
 * @param {number[]} times At least one.
 * @param {number} x
 * @param {Pick<Scales, "x">} scales
 */
function findNearest(times, x, scales) {
  const distance = (/** @type {number} */ time) => Math.abs(scales.x(time) - x);
  return times.reduce((best, time) => (distance(time) < distance(best) ? time : best));
}

/**
 * @param {Chart} chart
 * @param {HTMLElement} legend
 * @param {number | null} time Null for the latest values.
 */
function showValues({ lines, format }, legend, time) {
  lines.forEach((line, index) => {
    const point = time === null ? findLatest(line) : line.points.find(([each]) => each === time);
    const value = legend.children[index]?.querySelector("b");
    if (value) setText(value, format(point?.[1]));
  });
  legend.dataset.at = time === null ? "" : formatSince(time, { withSeconds: true });
}
