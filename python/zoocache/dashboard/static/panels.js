// Every panel but the tree: what the overview says, as elements.
import { ago, bytes, count, make, plural, quoted, seconds, share, visible } from "./text.js";

export function numbers(stats) {
  const calls = stats.hits + stats.misses;
  const shown = [
    ["Hit rate", share(stats.hits, calls)],
    ["Calls", count(calls)],
    ["Entries", count(stats.entries)],
    ["Memory", bytes(stats.bytes)],
    ["Tags", count(stats.tags)],
    ["Invalidations", count(stats.invalidations)],
    ["Loads now", count(stats.flights)],
    ["Load errors", count(stats.load_errors)],
  ];
  return shown.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
}

// The sentence in place of what only the memory of processes knows; null: it is known.
export function unseen({ stats, cannot_see: why }) {
  return stats.hits === null ? [make("p", { className: "empty" }, why)] : null;
}

function known(value, shown = count) {
  return value === null || value === undefined ? "–" : shown(value);
}

export function storedNumbers({ stats, values, home }) {
  const shown = [
    ["Stored values", known(values?.entries)],
    ["Valid", known(values?.valid)],
    ["Stored bytes", known(values?.bytes, bytes)],
    ["Tags", known(values?.tags)],
    ["Clock", known(home.clock)],
    ["Nodes", known(home.nodes?.length)],
  ];
  if (stats.hits !== null) {
    const calls = stats.hits + stats.misses;
    shown.unshift(["Hit rate", share(stats.hits, calls)], ["Calls", count(calls)],
      ["In memory", count(stats.entries)], ["Memory", bytes(stats.bytes)]);
  }
  return shown.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
}

// Of when the numbers of stored values are, and what is missing in them.
export function stored({ where, values, storage, processes, cannot_see: memory }, now) {
  if (where === null) return [];
  const parts = (processes?.answered ?? 0) > 0 ? [memory] : [];
  if (storage === null) parts.push("There are no values beside this log.");
  else if (values === null) parts.push("The stored values have not been looked at yet.");
  else parts.push(...storedNotes(values, now));
  return [make("p", { className: "dim" }, parts.join(" "))];
}

function storedNotes(values, now) {
  const parts = [`Stored values and tags as of ${ago(Math.max(now - values.as_of, 0))}.`];
  if (!values.complete) parts.push(`Only ${count(values.entries)} stored values were looked at (--most).`);
  if (!values.log_complete) parts.push("Only the newest invalidations were looked at (--most).");
  if (values.unreadable > 0) parts.push(`${plural(values.unreadable, "entry", "entries")} cannot be read.`);
  return parts;
}

export function storedFunctions({ functions: list, functions_total: total, values }) {
  if (list.length === 0) {
    return [make("p", { className: "empty" }, values === null ? "Not known yet." : "No values are stored.")];
  }
  const isTold = list.some((one) => one.loads !== null);
  const rows = list.map((one) => [
    quoted(shortName(one.name), "code"),
    count(one.valid),
    count(one.entries),
    bytes(one.bytes),
    count(one.versions),
    ...(isTold ? [
      known(one.in_memory),
      known(one.load_mean_s, seconds),
      known(one.loads),
      one.hits === null ? "–" : share(one.hits, one.hits + one.misses),
    ] : []),
  ]);
  const heads = ["Function", "Valid", "Stored", "Size", "Versions", ...(isTold ? ["In memory", "Mean load", "Loads", "Hit rate"] : [])];
  const more = total > list.length ? [make("p", { className: "dim" }, `${count(total)} functions in all.`)] : [];
  return [table(heads, rows), ...more];
}

// The log knows what was invalidated, and neither where nor what died of it.
export function logged(list, now) {
  if (list === null) return [make("p", { className: "empty" }, "Not known yet.")];
  if (list.length === 0) return [make("p", { className: "empty" }, "Nothing was invalidated so far.")];
  const rows = list.map((one) => [
    whatWasInvalidated(one),
    one.at === null ? "before this page was served" : ago(now - one.at),
    count(one.epoch),
  ]);
  return [
    table(["What", "First seen", "Epoch"], rows, [1]),
    make("p", { className: "dim" }, "The log keeps the newest invalidation of each tag. Where it came from and how many entries died of it is known to processes alone."),
  ];
}

const REASONS = [
  ["misses_invalidated", "invalidated"],
  ["misses_expired", "expired"],
  ["misses_evicted", "evicted"],
  ["misses_not_stored", "not stored the last time"],
];

export function misses(stats) {
  if (stats.misses === 0) return [make("p", { className: "empty" }, "No misses so far.")];
  const rows = REASONS.map(([name, text]) => [text, stats[name]]);
  const first = stats.misses - rows.reduce((sum, [, number]) => sum + number, 0);
  rows.unshift(["never loaded, or long ago", Math.max(first, 0)]);
  return [table(["Reason", "Misses", "Share"], rows.map(([text, number]) => {
    const bar = make("progress", { max: stats.misses, value: number, attributes: { "aria-hidden": "true", tabindex: "-1" } });
    return [make("span", {}, text, bar), count(number), share(number, stats.misses)];
  }))];
}

// The first cell of a row is its header; the other ones are numbers, but those of `texts`.
function table(heads, rows, texts = []) {
  const cell = (value, index, name) => {
    const isText = index === 0 || texts.includes(index);
    const scope = name === "th" ? { attributes: { scope: "col" } } : {};
    return make(name, { className: isText ? "" : "number", ...scope }, value);
  };
  return make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head, index) => cell(head, index, "th")))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value, index) => (
      index === 0 ? make("th", { attributes: { scope: "row" } }, value) : cell(value, index, "td")))))));
}

export function functions(list, total) {
  const loaded = list.filter((one) => one.loads > 0).sort((left, right) => right.load_mean_s - left.load_mean_s);
  if (loaded.length === 0) return [make("p", { className: "empty" }, "Nothing was loaded so far.")];
  const rows = loaded.map((one) => [
    quoted(shortName(one.name), "code"),
    seconds(one.load_mean_s),
    one.load_p95_s === null ? "longer" : `≤ ${seconds(one.load_p95_s)}`,
    seconds(one.load_sum_s),
    count(one.loads),
    one.load_errors === 0 ? "0" : make("strong", { className: "bad" }, count(one.load_errors)),
    share(one.hits, one.hits + one.misses),
    count(one.entries),
  ]);
  const heads = ["Function", "Mean", "95 % take", "In all", "Loads", "Errors", "Hit rate", "Entries"];
  const more = total > loaded.length ? [make("p", { className: "dim" }, `${count(total)} functions in all.`)] : [];
  return [table(heads, rows), ...more];
}

export function shortName(name) {
  const parts = name.replaceAll(".<locals>", "").split(".");
  return parts.length > 3 ? `…${parts.slice(-3).join(".")}` : parts.join(".");
}

function whatWasInvalidated(one) {
  const parts = one.everything ? [make("strong", {}, "everything")] : [];
  for (const tag of one.tags) parts.push(quoted(tag, "code tag"));
  for (const name of one.functions) {
    parts.push(name === null ? make("span", {}, "a function, or a call of one")
      : make("span", {}, "calls of ", quoted(name === "" ? "a function that is gone" : shortName(name), "code")));
  }
  if (one.more > 0) parts.push(make("span", { className: "dim" }, `and ${count(one.more)} more`));
  return make("span", { className: "list" }, ...parts);
}

export function invalidations(list, now) {
  if (list.length === 0) return [make("p", { className: "empty" }, "Nothing was invalidated so far.")];
  const most = Math.max(...list.map((one) => one.died), 1);
  const rows = list.map((one) => [
    whatWasInvalidated(one),
    make("span", { className: "blast" },
      make("meter", { max: most, value: one.died, attributes: { "aria-hidden": "true" } }), count(one.died)),
    ago(now - one.at),
    one.origin === null ? "another process" : quoted(one.origin.split("/").slice(-2).join("/"), "code"),
    count(one.epoch),
  ]);
  return [
    table(["What", "Entries that died", "When", "Where", "Epoch"], rows, [2, 3]),
    make("p", { className: "dim" }, "Dead entries are counted when they are found, so the number grows for a while."),
  ];
}

function facts(rows) {
  return make("dl", { className: "facts" },
    ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function state(told) {
  const good = told.reachable && told.trouble === "";
  const text = told.reachable ? (good ? "reachable" : "reachable, with a warning") : "not reachable";
  return make("span", { className: `pill ${good ? "good" : "bad"}` }, text);
}

function counters(told) {
  const found = Object.entries(told.counters).filter(([, number]) => number > 0);
  if (found.length === 0) return [];
  return [make("details", {}, make("summary", {}, "What happened so far"),
    facts(found.map(([name, number]) => [name.replaceAll("_", " "), count(number)])))];
}

const KINDS = { lmdb: "a folder of this machine", redis: "a server", memory: "this process's memory" };

// `processes`: those that told what is in their memory; null: nobody is asked.
function nodes(list, home, now, processes) {
  if (list === null) return [];
  const told = new Map((processes?.rows ?? []).map((one) => [one.node, one]));
  const rows = list.map((one) => [
    nodeName(one, told.get(one.name)),
    ...(processes ? inMemory(told.get(one.name)) : []),
    one.applied === 0 ? "–" : count(Math.max(home.clock - one.applied, 0)),
    one.heard_at === null ? "lives" : lease(now - one.heard_at, home.lease_s),
  ]);
  return [make("h3", {}, plural(list.length, "node", "nodes")),
    list.length === 0 ? make("p", { className: "empty" }, "Nobody uses it now.")
      : table(["Node", ...(processes ? ["Entries", "Hits"] : []), "Behind", "Lease"], rows, [processes ? 4 : 2])];
}

function nodeName(node, process) {
  if (process === undefined) return make("span", {}, quoted(node.name, "code"), node.is_self ? " (this one)" : "");
  return make("span", { title: visible(node.name) }, `${visible(process.language)} ${process.pid} on `, quoted(process.host, "code"));
}

function inMemory(process) {
  if (process === undefined) return ["–", "–"];
  return [count(process.entries), share(process.hits, process.hits + process.misses)];
}

function lease(silent, span) {
  const good = silent < span;
  return make("span", { className: good ? "" : "bad" }, good ? "holds" : `silent for ${Math.round(silent)} s`);
}

export function home(told, storage, now, processes) {
  const parts = [];
  if (told === null) {
    parts.push(make("p", { className: "empty" }, "No home: invalidations stay in this process."));
  } else {
    parts.push(make("h3", {}, "Home: ", KINDS[told.kind] ?? told.kind, " ", state(told)));
    if (told.trouble) parts.push(make("p", { className: "bad" }, quoted(told.trouble)));
    if (typeof told.clock === "number") {
      const rows = [["Clock", count(told.clock)], ["Remembered from", count(told.floor)]];
      if (told.applied !== null) {
        rows.splice(1, 0, ["Applied here", `${count(told.applied)} (${count(Math.max(told.clock - told.applied, 0))} behind)`]);
        rows.push(["Writes that are open", count(told.intents)]);
      }
      if (told.lease_s !== undefined) {
        const holder = told.applied === null ? "" : `, ${told.reachable ? "held" : "lost"} by this process`;
        rows.push(["Lease", `${told.lease_s} s${holder}`]);
      }
      parts.push(facts(rows));
    }
    parts.push(...nodes(told.nodes ?? null, told, now, processes), ...counters(told));
  }
  if (storage === null) {
    parts.push(make("p", { className: "empty" }, "No storage: values stay in this process."));
  } else {
    parts.push(make("h3", {}, "Storage: ", KINDS[storage.kind] ?? storage.kind, " ", state(storage)));
    if (storage.trouble) parts.push(make("p", { className: "bad" }, quoted(storage.trouble)));
    parts.push(...counters(storage));
  }
  return parts;
}
