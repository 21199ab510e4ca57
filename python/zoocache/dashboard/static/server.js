// What the page asks of its server. The token stays in this tab.

const STORE = "zoocache-token";
const TIMEOUT_MS = 15_000;
let token = "";
try {
  token = sessionStorage.getItem(STORE) ?? "";
} catch {
  // a browser that keeps nothing: the token is asked for anew
}
if (location.hash.startsWith("#token=")) {
  setToken(decodeURIComponent(location.hash.slice("#token=".length)));
  history.replaceState(null, "", location.pathname + location.search);
}

export function setToken(text) {
  token = text;
  try {
    sessionStorage.setItem(STORE, text);
  } catch {
    // as above
  }
}

export function hasToken() {
  return token !== "";
}

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function ask(path, options, more = {}) {
  const headers = { ...options.headers };
  if (token !== "") headers.authorization = `Bearer ${token}`;
  const response = await fetch(`api/${path}`, {
    ...options,
    headers,
    cache: "no-store",
    credentials: "same-origin",
    redirect: "error",
    signal: AbortSignal.timeout(more.timeoutMs ?? TIMEOUT_MS),
  });
  if (response.status === 304) return response;
  if (!response.ok) {
    const told = await response.json().catch(() => null);
    const error = told?.error ?? { code: "failed", message: `the server answered ${response.status}` };
    throw new Refused(response.status, error.code, error.message);
  }
  return response;
}

const known = new Map();  // path -> { etag, value }
const MOST_KNOWN = 100;

// The value, and whether it is the same as the last time; `time`: seconds since 1970 at the server.
export async function get(path, query = {}) {
  const text = new URLSearchParams(query).toString();
  const place = text === "" ? path : `${path}?${text}`;
  const before = known.get(place);
  const headers = before === undefined ? {} : { "if-none-match": before.etag };
  const response = await ask(place, { headers });
  const time = Number(response.headers.get("x-zoocache-time"));
  if (response.status === 304) return { value: before.value, same: true, time };
  const value = await response.json();
  known.delete(place);
  known.set(place, { etag: response.headers.get("etag"), value });
  if (known.size > MOST_KNOWN) known.delete(known.keys().next().value);
  return { value, same: false, time };
}

export async function invalidate(tag) {
  const response = await ask("invalidate", {
    method: "POST",
    headers: { "content-type": "application/json", "x-zoocache": "1" },
    body: JSON.stringify({ tag }),
  });
  return response.json();
}
