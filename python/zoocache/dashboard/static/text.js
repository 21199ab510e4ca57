// Texts and elements. Whatever comes from the server becomes text, never markup.

// Characters that change how others look, or cannot be seen at all: their numbers are shown.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

export function visible(text) {
  return text.replace(HIDDEN, (one) => `⟨U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

// An element: its properties (className, title, ...), attributes in `attributes`, children.
export function make(name, properties = {}, ...children) {
  const { attributes = {}, ...plain } = properties;
  const made = Object.assign(document.createElement(name), plain);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A text of somebody else's in an element of its own, so that its direction stays inside.
export function quoted(text, className = "") {
  return make("bdi", { className, title: text.length > 40 ? visible(text.slice(0, 1000)) : "" }, visible(text));
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function count(number) {
  return number >= 1_000_000 ? short.format(number) : whole.format(number);
}

export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  for (; number >= 1024 && power < units.length - 1; power += 1) number /= 1024;
  return `${number >= 100 || power === 0 ? Math.round(number) : number.toFixed(1)} ${units[power]}`;
}

export function share(part, all) {
  if (all === 0) return "–";
  const percent = (100 * part) / all;
  return `${percent >= 99.95 && part < all ? "99.9" : percent.toFixed(percent === 100 ? 0 : 1)} %`;
}

export function seconds(number) {
  if (number === 0) return "0";
  if (number < 1e-3) return `${(number * 1e6).toPrecision(3)} µs`;
  if (number < 1) return `${(number * 1e3).toPrecision(3)} ms`;
  return `${number < 1000 ? number.toPrecision(3) : Math.round(number)} s`;
}

export function ago(age) {
  if (age < 1) return "just now";
  if (age < 60) return `${Math.floor(age)} s ago`;
  if (age < 3600) return `${Math.floor(age / 60)} min ago`;
  if (age < 86400) return `${Math.floor(age / 3600)} h ago`;
  return `${Math.floor(age / 86400)} d ago`;
}

export function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// Makes what an element holds like the children, changing no more than differs: what its reader
// marks, presses or has the focus on must not be taken away under him.
export function fill(element, ...children) {
  follow(element, make("div", {}, ...children));
}

function follow(old, wanted) {
  const after = [...wanted.childNodes];
  after.forEach((node, index) => {
    const before = old.childNodes[index];
    if (before === undefined) old.append(node);
    else if (before.nodeName !== node.nodeName) before.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) { if (before.data !== node.data) before.data = node.data; }
    else become(before, node);
  });
  while (old.childNodes.length > after.length) old.lastChild.remove();
}

// The same for an element itself, its attributes included.
function become(old, wanted) {
  for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) === value) continue;
    if (name === "style") old.style.cssText = value;  // as an attribute the page's policy forbids it
    else old.setAttribute(name, value);
  }
  follow(old, wanted);
}
