// The tree of tags, of which the page holds only what is looked at.
//
//   branches   prefix -> { total, pages: page number -> rows, where: tag -> number in the branch }
//   layout     [{ prefix, from, to, level, start }]: rows from..to of a branch begin at line `start`
//
// A line is ROW pixels; those in view are elements, the others are height. The focus stays on the
// tree itself, which names the line that is meant (aria-activedescendant), so that it is never lost
// when lines come and go.
import { get } from "./server.js";
import { count, fill, make, visible } from "./text.js";

const ROW = 30;
const PAGE = 200;
const AROUND = 6;  // lines beside those in view
const MOST_LINES = 500_000;  // browsers end a box at some 17 million pixels
const MOST_OPEN = 100;
const SEARCH = "\0";  // the branch of what was found; no tag has it

export class Tree {
  constructor(root, { selected, trouble, note }) {
    this.root = root;
    this.told = { selected, trouble, note };
    this.order = "name";
    this.text = "";
    this.branches = new Map();
    this.open = new Set();
    this.running = new Map();
    this.layout = [];
    this.lines = 0;
    this.active = { tag: null, line: 0 };
    this.selectedTag = null;
    this.era = 0;
    this.space = make("div", { className: "space", attributes: { role: "presentation" } });
    root.append(this.space);
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("click", (event) => this.click(event));
    root.addEventListener("dblclick", (event) => this.toggle(this.lineOf(event)));
    root.addEventListener("focus", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(root);
  }

  get top() {
    return this.text === "" ? "" : SEARCH;
  }

  // Another order or search: nothing of what is there holds.
  show({ order = this.order, text = this.text }) {
    this.order = order;
    this.text = text;
    this.era += 1;
    this.branches.clear();
    this.running.clear();
    this.layout = [];
    this.lines = 0;
    this.root.scrollTop = 0;
    this.active = { tag: null, line: 0 };
    return this.refresh();
  }

  // Asks again for what is in view and for what holds it in its place.
  async refresh() {
    const wanted = new Set([`0 ${this.top}`]);
    if (this.text === "") {
      for (const tag of this.open) {
        wanted.add(`0 ${tag}`);
        const index = this.branches.get(parentOf(tag))?.where.get(tag);
        if (index !== undefined) wanted.add(`${Math.floor(index / PAGE)} ${parentOf(tag)}`);
      }
    }
    for (const line of this.inView()) {
      const place = this.placeOf(line);
      if (place) wanted.add(`${Math.floor(place.index / PAGE)} ${place.prefix}`);
    }
    const era = this.era;
    await Promise.all([...wanted].map((one) => {
      const cut = one.indexOf(" ");
      return this.load(one.slice(cut + 1), Number(one.slice(0, cut)), wanted);
    }));
    if (era === this.era) this.arrange();
  }

  async load(prefix, page, kept = null) {
    const name = `${page} ${prefix}`;
    if (this.running.has(name)) return this.running.get(name);
    const era = this.era;
    const stretch = { offset: page * PAGE, limit: PAGE };
    const asked = prefix === SEARCH
      ? get("search", { text: this.text, ...stretch })
      : get("tags", { below: prefix, order: this.order, ...stretch });
    const work = asked.then(({ value }) => {
      if (era === this.era) this.take(prefix, page, value, kept);
    }).catch((error) => this.told.trouble(error)).finally(() => this.running.delete(name));
    this.running.set(name, work);
    return work;
  }

  take(prefix, page, { total, rows }, kept) {
    const before = this.branches.get(prefix);
    const branch = before ?? { total: 0, pages: new Map(), where: new Map() };
    if (kept !== null || branch.total !== total) {
      // What is not asked for again may have moved: it is asked for when it comes into view.
      for (const known of [...branch.pages.keys()]) {
        if (known !== page && !kept?.has(`${known} ${prefix}`)) this.drop(branch, known);
      }
    }
    this.drop(branch, page);
    branch.total = total;
    branch.pages.set(page, rows);
    rows.forEach((row, index) => branch.where.set(row.tag, page * PAGE + index));
    this.branches.set(prefix, branch);
  }

  drop(branch, page) {
    for (const row of branch.pages.get(page) ?? []) {
      if (Math.floor(branch.where.get(row.tag) / PAGE) === page && !this.open.has(row.tag)) {
        branch.where.delete(row.tag);
      }
    }
    branch.pages.delete(page);
  }

  arrange() {
    this.layout = [];
    this.lines = 0;
    this.place(this.top, 1);
    const all = this.lines;
    this.lines = Math.min(all, MOST_LINES);
    const active = this.active.tag === null ? -1 : this.lineOfTag(this.active.tag);
    this.active.line = Math.max(0, Math.min(active >= 0 ? active : this.active.line, this.lines - 1));
    this.space.style.height = `${this.lines * ROW}px`;
    const top = this.branches.get(this.top);
    this.told.note({ total: top?.total ?? 0, text: this.text, hidden: all - this.lines });
    this.draw();
  }

  place(prefix, level) {
    const branch = this.branches.get(prefix);
    if (branch === undefined) return;
    const opened = prefix === SEARCH ? [] : [...this.open]
      .filter((tag) => parentOf(tag) === prefix && (branch.where.get(tag) ?? Infinity) < branch.total)
      .map((tag) => [branch.where.get(tag), tag])
      .sort((left, right) => left[0] - right[0]);
    let from = 0;
    const add = (to) => {
      if (to > from) this.layout.push({ prefix, from, to, level, start: this.lines });
      this.lines += to - from;
      from = to;
    };
    for (const [index, tag] of opened) {
      add(index + 1);
      this.place(tag, level + 1);
    }
    add(branch.total);
  }

  // { prefix, index, level, row } of a line; `row` is missing while it is on its way.
  placeOf(line) {
    let low = 0;
    let high = this.layout.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.layout[middle].start <= line) low = middle; else high = middle - 1;
    }
    const part = this.layout[low];
    if (part === undefined || line < 0 || line >= this.lines) return null;
    const index = part.from + line - part.start;
    const branch = this.branches.get(part.prefix);
    const row = branch.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
    return { prefix: part.prefix, index, level: part.level, row, total: branch.total };
  }

  lineOfTag(tag) {
    const prefix = this.text === "" ? parentOf(tag) : SEARCH;
    const index = this.branches.get(prefix)?.where.get(tag);
    if (index === undefined) return -1;
    const part = this.layout.find((one) => one.prefix === prefix && one.from <= index && index < one.to);
    return part === undefined ? -1 : part.start + index - part.from;
  }

  inView() {
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW) - AROUND);
    const many = Math.ceil(this.root.clientHeight / ROW) + 2 * AROUND;
    return Array.from({ length: Math.max(0, Math.min(many, this.lines - first)) }, (_, at) => first + at);
  }

  draw() {
    fill(this.space, ...this.inView().map((line) => this.element(line)));
    const active = document.getElementById(`line-${this.active.line}`);
    if (active === null) this.root.removeAttribute("aria-activedescendant");
    else this.root.setAttribute("aria-activedescendant", active.id);
  }

  element(line) {
    const { prefix, index, level, row, total } = this.placeOf(line);
    const isOpen = row !== undefined && this.isOpen(row);
    const attributes = {
      role: "treeitem", "aria-level": level, "aria-setsize": total, "aria-posinset": index + 1,
      "aria-selected": row !== undefined && row.tag === this.selectedTag,
    };
    const element = make("div", { className: "row", id: `line-${line}`, attributes });
    element.style.transform = `translateY(${line * ROW}px)`;
    element.style.paddingInlineStart = `${Math.min(level - 1, 12) * 16 + 4}px`;
    element.classList.toggle("active", line === this.active.line);
    if (row === undefined) {
      element.append(make("span", { className: "name dim" }, "…"));
      this.load(prefix, Math.floor(index / PAGE)).then(() => this.later());
      return element;
    }
    const opens = row.children && this.text === "";
    if (opens) element.setAttribute("aria-expanded", isOpen);
    const name = visible(row.segment);
    const depend = `${count(row.entries)} ${row.entries === 1 ? "entry depends" : "entries depend"} on it`;
    element.setAttribute("aria-label", `${name.slice(0, 200)}, ${depend}`);
    element.append(
      make("span", { className: "twisty", attributes: { "aria-hidden": "true" } }, opens ? (isOpen ? "▾" : "▸") : ""),
      make("bdi", { className: "name" }, name.slice(0, 300)),
      make("span", { className: "count" }, count(row.entries)),
    );
    return element;
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.arrange();
    });
  }

  isOpen(row) {
    return this.text === "" && row.children && this.open.has(row.tag);
  }

  move(line, selects = false) {
    const place = this.placeOf(Math.max(0, Math.min(line, this.lines - 1)));
    if (place === null) return;
    line = Math.max(0, Math.min(line, this.lines - 1));
    this.active = { tag: place.row?.tag ?? null, line };
    const above = line * ROW;
    const below = above + ROW - this.root.clientHeight;
    if (this.root.scrollTop > above) this.root.scrollTop = above;
    if (this.root.scrollTop < below) this.root.scrollTop = below;
    if (selects && place.row !== undefined) {
      this.selectedTag = place.row.tag;
      this.told.selected(place.row);
    }
    this.draw();
  }

  async toggle(line) {
    const row = this.placeOf(line)?.row;
    if (row === undefined || !row.children || this.text !== "") return;
    if (this.open.delete(row.tag)) {
      this.arrange();
      return;
    }
    if (this.open.size >= MOST_OPEN) this.open.delete(this.open.values().next().value);
    this.open.add(row.tag);
    this.active = { tag: row.tag, line };
    await this.load(row.tag, 0);
    this.arrange();
  }

  lineOf(event) {
    const element = event.target.closest(".row");
    return element === null ? -1 : Number(element.id.slice("line-".length));
  }

  click(event) {
    const line = this.lineOf(event);
    if (line < 0) return;
    if (event.target.closest(".twisty")) {
      this.move(line);
      this.toggle(line);
    } else {
      this.move(line, true);
    }
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { line } = this.active;
    const row = this.placeOf(line)?.row;
    const isOpen = row !== undefined && this.isOpen(row);
    const page = Math.max(1, Math.floor(this.root.clientHeight / ROW) - 1);
    const keys = {
      ArrowDown: () => this.move(line + 1),
      ArrowUp: () => this.move(line - 1),
      PageDown: () => this.move(line + page),
      PageUp: () => this.move(line - page),
      Home: () => this.move(0),
      End: () => this.move(this.lines - 1),
      ArrowRight: () => (isOpen ? this.move(line + 1) : this.toggle(line)),
      ArrowLeft: () => (isOpen ? this.toggle(line) : this.move(row ? this.lineOfTag(parentOf(row.tag)) : -1)),
      Enter: () => this.move(line, true),
      " ": () => this.move(line, true),
    };
    const action = keys[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }
}

function parentOf(tag) {
  const cut = tag.lastIndexOf(":");
  return cut < 0 ? "" : tag.slice(0, cut);
}
