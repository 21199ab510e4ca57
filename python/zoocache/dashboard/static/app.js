// What the page does: asks, shows, and lets one invalidate.
import { rateChart } from "./chart.js";
import * as panels from "./panels.js";
import { get, hasToken, invalidate, Refused, setToken } from "./server.js";
import { count, fill, make, plural, quoted, visible } from "./text.js";
import { Tree } from "./tree.js";

const byId = (id) => document.getElementById(id);
const SLOWEST_MS = 30_000;
const TYPING_MS = 200;

let overview = null;
let clockAhead = 0;  // seconds by which the server's clock is ahead of this one's
let failures = 0;
let timer = 0;
let looking = null;

const tree = new Tree(byId("tree"), {
  selected: (row) => showDetail(row),
  trouble: (error) => failed(error),
  note: ({ total, text, hidden }) => {
    const what = text === "" ? `${count(total)} at the top` : `${plural(total, "tag", "tags")} found`;
    const entries = isOutside() ? "valid stored values" : "entries";
    byId("tree-note").textContent = total === 0
      ? (text === "" ? (isOutside() ? "No tag is known." : "Nothing depends on a tag.") : "No tag has this text in it.")
      : `${what}; each with the ${entries} that depend on it or on something below it.`
        + (hidden > 0 ? ` ${count(hidden)} lines more are not shown: search for them.` : "");
  },
});

// A home that is seen from outside of its processes, and not a process that tells of itself.
function isOutside() {
  return overview !== null && overview.where !== null;
}

function say(text) {
  byId("said").textContent = text;
}

function connection(state, text) {
  const pill = byId("connection");
  if (pill.dataset.state === state && pill.textContent === text) return;
  if (pill.dataset.state !== state && state !== "waiting") say(text);
  pill.dataset.state = state;
  pill.textContent = text;
}

function now() {
  return Date.now() / 1000 + clockAhead;
}

function draw() {
  if (overview === null) return;
  const { stats, home, storage } = overview;
  byId("process").textContent = `${overview.version}, ${isOutside()
    ? `home ${visible(overview.where)}, seen from outside` : `process ${overview.pid}`}`;
  fill(byId("numbers"), ...(isOutside() ? panels.storedNumbers(overview) : panels.numbers(stats)));
  fill(byId("stored"), ...panels.stored(overview, now()));
  fill(byId("rate"), ...(panels.unseen(overview) ?? rateChart(overview.history, now(), byId("rate").clientWidth)));
  fill(byId("misses"), ...(panels.unseen(overview) ?? panels.misses(stats)));
  byId("functions-title").textContent = !isOutside() ? "Slowest loaders"
    : (stats.hits === null ? "Functions with stored values" : "Functions");
  fill(byId("functions"), ...(isOutside() ? panels.storedFunctions(overview)
    : panels.functions(overview.functions, overview.functions_total)));
  fill(byId("invalidations"), ...(isOutside() ? panels.logged : panels.invalidations)(overview.invalidations, now()));
  drawHome(home, storage);
  const lost = [["home", home], ["storage", storage]].filter(([, told]) => told !== null && !told.reachable);
  const text = lost.map(([name, told]) => `The ${name} cannot be reached: ${visible(told.trouble).slice(0, 500)}`).join(" ");
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text;
  byId("trouble").hidden = text === "";
}

// What its reader opened stays open.
function drawHome(home, storage) {
  const before = [...byId("home").querySelectorAll("details")];
  const parts = panels.home(home, storage, now(), overview.processes);
  const after = parts.filter((one) => one.localName === "details");
  after.forEach((one, index) => { one.open = before[index]?.open ?? false; });
  fill(byId("home"), ...parts);
}

async function look() {
  const { value, time } = await get("overview");
  overview = value;
  clockAhead = time - Date.now() / 1000;
  draw();
  await tree.refresh();
  if (selected !== null) updateDetail();
  failures = 0;
  byId("door").hidden = true;
  byId("panels").hidden = false;
  byId("panels").setAttribute("aria-busy", "false");
  connection("live", "live");
}

function failed(error) {
  failures += 1;
  if (error instanceof Refused && error.status === 401) {
    byId("door").hidden = false;
    byId("panels").hidden = true;
    byId("door-why").textContent = hasToken()
      ? "The token is not the right one." : "This dashboard shows itself to who has its token. It is kept by this tab alone.";
    connection("lost", "a token is wanted");
  } else if (error instanceof Refused) {
    connection("lost", error.message);
  } else {
    connection("lost", "no answer; trying again");
  }
}

function pause() {
  const base = (overview?.interval_s ?? 2) * 1000;
  return Math.min(base * 2 ** Math.min(failures, 5), Math.max(base, SLOWEST_MS));
}

// One look at a time; none while nobody sees the page.
function tick() {
  clearTimeout(timer);
  if (document.hidden) {
    connection("paused", "paused");
    return Promise.resolve();
  }
  looking ??= look().catch(failed).finally(() => {
    looking = null;
    clearTimeout(timer);
    timer = setTimeout(tick, pause());
  });
  return looking;
}

let selected = null;

async function showDetail(row) {
  selected = row.tag;
  const detail = byId("detail");
  try {
    const { value } = await get("preview", { tag: row.tag });
    if (selected !== row.tag) return;
    fill(detail, ...detailOf(value));
  } catch (error) {
    if (selected === row.tag) fill(detail, make("p", { className: "bad" }, error.message));
  }
}

let detailEntries = null;

// After a look: only if the tree says that it has become another one.
function updateDetail() {
  const line = tree.lineOfTag(selected);
  const row = line < 0 ? undefined : tree.placeOf(line)?.row;
  const entries = `${row?.entries ?? 0} ${row?.version ?? 0} ${overview.writable} ${overview.values?.as_of}`;
  if (entries !== detailEntries) showDetail({ tag: selected });
  detailEntries = entries;
}

function detailOf(told) {
  const facts = [
    [isOutside() ? "Would die with it" : "Would die with it, here", wouldDie(told.would_die)],
    ...(told.in_memory === null ? [] : [["And in the memory of processes", inMemory(told.in_memory)]]),
    ["Dependencies on exactly it", count(told.own)],
    ["On it and below", count(told.entries)],
    ["Last invalidated", told.version === 0 ? "never, as far as is known" : `epoch ${count(told.version)}`],
  ];
  const parts = [
    make("h3", {}, quoted(told.tag, "code")),
    make("dl", { className: "facts" }, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
  ];
  if (Object.keys(told.functions).length > 0) parts.push(functionList(told.functions));
  if (told.as_of !== null) parts.push(make("p", { className: "dim" }, counted(told.as_of)));
  if (overview?.writable) {
    const button = make("button", { type: "button", className: "danger", id: "invalidate" }, "Invalidate …");
    button.dataset.tag = told.tag;
    parts.push(button);
  } else {
    parts.push(make("p", { className: "dim" }, "Read-only: you may look, and not invalidate."));
  }
  return parts;
}

function wouldDie(number) {
  if (number === null) return "not counted yet";
  return isOutside() ? plural(number, "stored value", "stored values") : plural(number, "entry", "entries");
}

function inMemory(functions) {
  return plural(Object.values(functions).reduce((sum, entries) => sum + entries, 0), "entry", "entries");
}

// Of when the picture is that counts come from, and whether it is the whole one.
function counted(asOf) {
  const whole = overview?.values?.complete ?? true;
  const time = new Date(asOf * 1000).toLocaleTimeString();
  return `Counted in what was stored at ${time}${whole ? "" : ", as far as it was looked at"}.`;
}

function functionList(functions) {
  const most = 10;
  const all = Object.entries(functions);
  const items = all.slice(0, most).map(([name, entries]) => make("li", {}, `${count(entries)} of `, quoted(panels.shortName(name), "code")));
  if (all.length > most) items.push(make("li", {}, `and of ${count(all.length - most)} functions more`));
  return make("ul", { className: "plain" }, ...items);
}

async function confirmFor(tag) {
  const dialog = byId("confirm");
  byId("confirm-tag").textContent = visible(tag).slice(0, 1000);
  byId("confirm-trouble").textContent = "";
  byId("confirm-yes").disabled = true;
  fill(byId("confirm-what"), make("p", {}, "Counting what would die …"));
  dialog.dataset.tag = tag;
  dialog.showModal();
  try {
    const { value } = await get("preview", { tag });
    if (dialog.dataset.tag !== tag) return;
    const elsewhere = overview.home === null ? "" : " Entries of other processes and stored values die with it.";
    const [what, more] = isOutside()
      ? [`Would die: ${wouldDie(value.would_die)}.`, value.in_memory === null
        ? " Entries in the memory of processes die with it." : ` In the memory of processes: ${inMemory(value.in_memory)}.`]
      : [`${wouldDie(value.would_die)} of this process would die.`, elsewhere];
    fill(byId("confirm-what"),
      make("p", {}, make("strong", {}, what), more),
      ...(value.would_die > 0 ? [functionList(value.functions)] : []),
      ...(value.as_of === null ? [] : [make("p", { className: "dim" }, counted(value.as_of))]));
    byId("confirm-yes").disabled = false;
  } catch (error) {
    byId("confirm-trouble").textContent = error.message;
  }
}

async function confirmed() {
  const dialog = byId("confirm");
  const { tag } = dialog.dataset;
  byId("confirm-yes").disabled = true;
  try {
    const { epoch } = await invalidate(tag);
    dialog.close();
    say(`${visible(tag).slice(0, 200)} was invalidated at epoch ${epoch}.`);
    await tick();
    if (selected === tag) showDetail({ tag });
  } catch (error) {
    byId("confirm-trouble").textContent = error.message;
    byId("confirm-yes").disabled = false;
  }
}

function colours() {
  const choice = byId("theme");
  const apply = (value) => {
    if (value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
  };
  try {
    choice.value = localStorage.getItem("zoocache-theme") ?? "auto";
  } catch {
    // a browser that keeps nothing
  }
  if (choice.value === "") choice.value = "auto";
  apply(choice.value);
  choice.addEventListener("change", () => {
    apply(choice.value);
    try {
      localStorage.setItem("zoocache-theme", choice.value);
    } catch {
      // as above
    }
  });
}

colours();
let typing = 0;
byId("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => tree.show({ text: byId("search").value.trim() }), TYPING_MS);
});
byId("order").addEventListener("change", () => tree.show({ order: byId("order").value }));
byId("detail").addEventListener("click", (event) => {
  const button = event.target.closest("#invalidate");
  if (button !== null) confirmFor(button.dataset.tag);
});
byId("confirm-no").addEventListener("click", () => byId("confirm").close());
byId("confirm-yes").addEventListener("click", confirmed);
byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(byId("token").value.trim());
  byId("token").value = "";
  tick();
});
document.addEventListener("visibilitychange", tick);
new ResizeObserver(draw).observe(byId("rate"));
tick();
