// The hit rate over time: a line, the calls behind it as an area, axes, and a sentence that says it.
import { ago, count, make, share } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 200;
const LEAST_WIDTH = 240;
const LEFT = 44;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 24;
const MOST_POINTS = 240;
const LEAST_SPAN_S = 30;

function draw(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Between samples: [from, to, hits, misses].
export function steps(samples) {
  const found = [];
  for (let index = 1; index < samples.length; index += 1) {
    const [from, hits, misses] = samples[index - 1];
    const [to, laterHits, laterMisses] = samples[index];
    const step = [from, to, laterHits - hits, laterMisses - misses];
    if (step[2] >= 0 && step[3] >= 0 && to > from) found.push(step);
  }
  return found;
}

// At most MOST_POINTS of them, neighbours added up; what was still stays a gap.
function merged(all) {
  const wanted = Math.ceil(all.length / MOST_POINTS);
  if (wanted <= 1) return all;
  const found = [];
  for (let index = 0; index < all.length; index += wanted) {
    const group = all.slice(index, index + wanted);
    const sum = (at) => group.reduce((total, one) => total + one[at], 0);
    found.push([group[0][0], group[group.length - 1][1], sum(2), sum(3)]);
  }
  return found;
}

function summary(found) {
  const hits = found.reduce((sum, one) => sum + one[2], 0);
  const misses = found.reduce((sum, one) => sum + one[3], 0);
  if (hits + misses === 0) return "No calls since somebody looked.";
  const rates = found.filter((one) => one[2] + one[3] > 0).map((one) => one[2] / (one[2] + one[3]));
  const low = share(Math.min(...rates) * 1000, 1000);
  return `${share(hits, hits + misses)} of ${count(hits + misses)} calls were hits; the lowest point is ${low}.`;
}

function axes(svg, x, start, end, width) {
  for (const rate of [0, 0.5, 1]) {
    const y = TOP + (1 - rate) * (HEIGHT - TOP - BOTTOM);
    svg.append(
      draw("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      draw("text", { class: "label", x: LEFT - 6, y: y + 4, "text-anchor": "end" }, `${rate * 100} %`),
    );
  }
  for (const part of [0, 0.5, 1]) {
    const time = start + part * (end - start);
    const anchor = ["start", "middle", "end"][part * 2];
    const text = part === 1 ? "now" : ago(end - time);
    svg.append(draw("text", { class: "label", x: x(time), y: HEIGHT - 6, "text-anchor": anchor }, text));
  }
}

// One line for each stretch without a gap; calls per second as bars below it.
function curves(svg, found, x) {
  const y = (part) => TOP + (1 - part) * (HEIGHT - TOP - BOTTOM);
  const pace = (one) => (one[2] + one[3]) / (one[1] - one[0]);
  const fastest = Math.max(...found.map(pace), 1e-9);
  let line = "";
  let last = null;
  const points = [];
  for (const one of found) {
    const calls = one[2] + one[3];
    if (calls === 0) { last = null; continue; }
    const height = (pace(one) / fastest) * (HEIGHT - TOP - BOTTOM) * 0.4;
    svg.append(draw("rect", {
      class: "pace", x: x(one[0]), width: Math.max(x(one[1]) - x(one[0]), 0.5),
      y: y(0) - height, height,
    }));
    const at = [x((one[0] + one[1]) / 2).toFixed(1), y(one[2] / calls).toFixed(1)];
    line += `${last === one[0] ? "L" : "M"}${at.join(" ")}`;
    points.push(at);
    last = one[1];
  }
  svg.append(draw("path", { class: "line", d: line }));
  if (points.length <= 40) {
    for (const [cx, cy] of points) svg.append(draw("circle", { class: "dot", cx, cy, r: 2.5 }));
  }
}

// As wide as its place, so that letters have their size on a telephone, too.
export function rateChart(samples, now, place) {
  const width = Math.max(Math.floor(place), LEAST_WIDTH);
  const found = merged(steps(samples));
  const calls = found.reduce((sum, one) => sum + one[2] + one[3], 0);
  const text = summary(found);
  if (calls === 0) return [make("p", { className: "empty" }, text)];
  const end = now;
  const start = Math.min(found[0][0], end - LEAST_SPAN_S);
  const x = (time) => LEFT + ((time - start) / (end - start)) * (width - LEFT - RIGHT);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": text });
  axes(svg, x, start, end, width);
  curves(svg, found, x);
  return [svg, make("p", { className: "dim" }, `${text} Bars: calls per second.`)];
}
