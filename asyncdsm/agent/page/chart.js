// A small line chart: values over time, from zero up, with a gap where nothing was counted.

import { html, svg } from "./dom.js";
import { clock } from "./format.js";

const [WIDTH, HEIGHT] = [380, 132];
const [LEFT, RIGHT, TOP, BOTTOM] = [54, 8, 10, 20];
const GAP = 1.5; // steps without a point that break the line

// `lines`: [{ name, shade, points: [[time, value or null], …] }]; `format` writes a value; times in seconds.
export function lineChart({ title, lines, format, from, to, step }) {
  const highest = niceAbove(Math.max(0, ...lines.flatMap((line) => line.points.map(([, value]) => value ?? 0))));
  const x = (time) => LEFT + ((time - from) / Math.max(1, to - from)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value / highest) * (HEIGHT - TOP - BOTTOM);
  const drawing = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": summary(title, lines, format),
  });
  drawing.append(...axes(highest, format, from, to, x, y));
  for (const line of lines) {
    drawing.append(svg("path", { class: `curve shade-${line.shade}`, d: pathOf(line.points, step * GAP, x, y) }));
  }
  const legend = html(
    "figcaption",
    {},
    lines.map((line) => legendOf(line, format)),
  );
  follow(drawing, legend, { lines, format, x, y });
  return html("figure", { class: "chart" }, html("h4", {}, title), drawing, legend);
}

function axes(highest, format, from, to, x, y) {
  const levels = [0, highest / 2, highest].flatMap((value) => [
    svg("path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}` }),
    svg("text", { x: LEFT - 6, y: y(value) + 3.5, "text-anchor": "end" }, format(value)),
  ]);
  const anchors = [
    [from, "start"],
    [(from + to) / 2, "middle"],
    [to, "end"],
  ];
  return [
    ...levels,
    ...anchors.map(([time, anchor]) =>
      svg("text", { x: x(time), y: HEIGHT - 5, "text-anchor": anchor }, clock(time, to - from < 900)),
    ),
  ];
}

function pathOf(points, longest, x, y) {
  let path = "";
  let last = -Infinity;
  for (const [time, value] of points) {
    if (value === null || value === undefined) continue;
    // A point by itself is a dot: a line of no length with round ends.
    path +=
      time - last > longest
        ? `M${x(time).toFixed(1)} ${y(value).toFixed(1)}h0`
        : `L${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    last = time;
  }
  return path;
}

function legendOf(line, format) {
  return html(
    "span",
    { class: `key shade-${line.shade}` },
    html("i"),
    `${line.name} `,
    html("b", {}, format(latest(line)?.[1])),
  );
}

function latest(line) {
  return line.points.findLast(([, value]) => value !== null && value !== undefined);
}

function summary(title, lines, format) {
  const parts = lines.map((line) => {
    const values = line.points.map(([, value]) => value).filter((value) => value !== null && value !== undefined);
    return values.length
      ? `${line.name} ${format(values.at(-1))}, at most ${format(Math.max(...values))}`
      : `${line.name}: nothing`;
  });
  return `${title}: ${parts.join("; ")}`;
}

// Under the pointer, the legend tells the values of that moment.
function follow(drawing, legend, { lines, format, x, y }) {
  const times = [...new Set(lines.flatMap((line) => line.points.map(([time]) => time)))];
  if (!times.length) return;
  const cross = svg("path", { class: "cross" });
  drawing.append(cross);
  const tell = (time) => {
    lines.forEach((line, index) => {
      const point = time === null ? latest(line) : line.points.find(([each]) => each === time);
      legend.children[index].querySelector("b").textContent = format(point?.[1]);
    });
    drawing.classList.toggle("followed", time !== null);
    if (time !== null) cross.setAttribute("d", `M${x(time)} ${y(0)}V${TOP}`);
    legend.dataset.at = time === null ? "" : clock(time);
  };
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    tell(times.reduce((best, time) => (Math.abs(x(time) - at) < Math.abs(x(best) - at) ? time : best)));
  });
  drawing.addEventListener("pointerleave", () => tell(null));
}

// The next of 1, 2, 5 times a power of ten.
function niceAbove(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 4, 6, 8, 10].find((nice) => nice * power >= value * 0.999);
}
