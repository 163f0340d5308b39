// A small line chart: redrawn to the width it has, coloured by the style sheet.

import { element, svg } from "./dom.js";
import { count, number } from "./format.js";

const HEIGHT = 220;
const MARGIN = { top: 8, right: 12, bottom: 40, left: 52 };
const TICKS = 4;

/**
 * A figure of lines over steps.
 *
 * options: title, unit of the y axis, x (its title), log (a logarithmic y axis), zero (start y at 0), dots (mark points).
 * update(lines, caption): lines are {name, style, points: [[x, y], ...]}; y of null is a gap.
 */
export function chart({ title, unit, x, log = false, zero = false, dots = false }) {
  const heading = element("h2", {}, title);
  const caption = element("p");
  const legend = element("ul", { class: "legend" });
  const place = element("div", { class: "plot" });
  const figure = element("figure", {}, heading, element("figcaption", {}, caption), legend, place);
  let lines = [];

  const draw = () => {
    if (place.clientWidth) place.replaceChildren(picture(lines, place.clientWidth, { title, unit, x, log, zero, dots }));
  };
  new ResizeObserver(draw).observe(place);

  const update = (newest, text) => {
    lines = newest.filter(({ points }) => points.some(([, y]) => drawable(y, log)));
    caption.textContent = text;
    const many = lines.length > 1;
    legend.replaceChildren(...(many ? lines : []).map(({ name, style }) => entry(name, style)));
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `${title}: ${text}`);
    draw();
  };
  return { figure, update };
}

function entry(name, style) {
  const sample = svg("svg", { width: 28, height: 10, "aria-hidden": "true" });
  sample.append(svg("line", { class: `line ${style}`, x1: 0, x2: 28, y1: 5, y2: 5 }));
  return element("li", {}, sample, name);
}

function picture(lines, width, { unit, x: xTitle, log, zero, dots }) {
  const drawn = svg("svg", { width, height: HEIGHT, "aria-hidden": "true" }); // its place says what it shows
  const points = lines.flatMap(({ points }) => points).filter(([, y]) => drawable(y, log));
  if (!points.length) {
    drawn.append(svg("text", { x: MARGIN.left, y: HEIGHT / 2 }, "nothing recorded yet"));
    return drawn;
  }
  const xs = extent(points.map(([value]) => value));
  const ys = extent([...points.map(([, value]) => scaled(value, log)), ...(zero ? [0] : [])], log ? 0.05 : 0.08, zero);
  const toX = (value) => MARGIN.left + ((value - xs[0]) / (xs[1] - xs[0])) * (width - MARGIN.left - MARGIN.right);
  const toY = (value) =>
    HEIGHT - MARGIN.bottom - ((scaled(value, log) - ys[0]) / (ys[1] - ys[0])) * (HEIGHT - MARGIN.top - MARGIN.bottom);

  for (const tick of log ? logTicks(ys) : ticks(ys)) {
    const y = toY(tick);
    drawn.append(
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }),
      svg("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, number(tick, 4)),
    );
  }
  for (const tick of ticks(xs).filter(Number.isInteger)) {
    drawn.append(svg("text", { x: toX(tick), y: HEIGHT - MARGIN.bottom + 16, "text-anchor": "middle" }, count(tick)));
  }
  const middle = (HEIGHT - MARGIN.bottom) / 2;
  drawn.append(
    svg("text", { x: (width + MARGIN.left) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, xTitle),
    svg("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, unit),
  );
  for (const { style, points: line } of lines) {
    drawn.append(svg("path", { class: `line ${style}`, d: path(line, toX, toY, log) }));
    const marked = dots ? line.filter(([, y]) => drawable(y, log)) : [];
    drawn.append(...marked.map(([a, b]) => svg("circle", { class: `dot ${style}`, cx: toX(a), cy: toY(b), r: 4 })));
  }
  return drawn;
}

function path(points, toX, toY, log) {
  let pen = "M";
  let drawn = "";
  for (const [x, y] of points) {
    if (!drawable(y, log)) {
      pen = "M";
      continue;
    }
    drawn += `${pen}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`;
    pen = "L";
  }
  return drawn;
}

const drawable = (y, log) => y !== null && (!log || y > 0);

const scaled = (value, log) => (log ? Math.log10(value) : value);

/** Smallest and largest value with some room around; never an empty interval. */
function extent(values, room = 0, grounded = false) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const margin = (high - low) * room || (high === low ? Math.abs(high) * 0.1 || 1 : 0);
  return [grounded && low === 0 ? 0 : low - margin, high + margin];
}

/** Round numbers in an interval, about TICKS of them. */
function ticks([low, high]) {
  const rough = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, place) => Number(((first + place) * step).toPrecision(12)));
}

/** 1, 2 and 5 times powers of ten in an interval of logarithms; of many decades the powers alone. */
function logTicks([low, high]) {
  const factors = high - low > 3 ? [1] : [1, 2, 5];
  const decades = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, place) => Math.floor(low) + place);
  return decades
    .flatMap((decade) => factors.map((factor) => factor * 10 ** decade))
    .filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high);
}
