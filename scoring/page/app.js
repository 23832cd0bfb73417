// The page: loads the service's own document, sends requests, and shows what comes back.

import { pretty, show } from "./json.js";
import { showSchema } from "./schema.js";
import { curl, python } from "./snippets.js";

const STATE_SECONDS = 3;
const MOST_COLOURED = 500_000;
const MOST_SHOWN = 2_000_000;
const JSON_TYPE = "application/json";

const at = (id) => document.getElementById(id);
const page = { sample: "", takesText: false, loaded: false, sending: null, file: null };
// Relative, for gateways that put something before the path.
const scoreAddress = new URL("score", document.baseURI).href;

function authorization() {
  const key = at("key").value.trim().replace(/^Bearer\s+/i, "");
  return key ? { Authorization: `Bearer ${key}` } : {};
}

function tell(id, text) {
  at(id).textContent = text;
  at(id).hidden = !text;
}

/** What is wrong with a text as JSON; empty where nothing is. */
function jsonError(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return error.message;
  }
}

// --- the document

async function load() {
  let answer;
  try {
    answer = await fetch("swagger.json?version=3.1", { headers: authorization() });
  } catch {
    tell("load-error", "The service cannot be reached. Reload the page when it runs.");
    return;
  }
  if (answer.status === 401 || answer.status === 403) {
    tell("load-error", "The service asks for a key: enter it below, and what it takes will be shown.");
    askForKey();
    return;
  }
  let found;
  try {
    found = await answer.json();
  } catch {
    found = {};
  }
  if (!answer.ok || !found.info) {
    tell("load-error", `What the service takes cannot be shown: ${found.message ?? `/swagger.json answered ${answer.status}`}`);
    return;
  }
  tell("load-error", "");
  page.loaded = true;
  showDocument(found);
}

function showDocument(found) {
  at("name").textContent = found.info.title;
  document.title = `${found.info.title} ${found.info.version}: try it`;
  tell("version", `version ${found.info.version}`);
  const schemas = found.components?.schemas ?? {};
  at("key-field").hidden = !Object.keys(found.components?.securitySchemes ?? {}).length;
  const input = schemas.ServiceInput ?? {};
  const sample = input.example ?? input.examples?.[0];
  if (sample !== undefined) {
    page.takesText = typeof sample === "string";
    page.sample = page.takesText ? sample : pretty(JSON.stringify(sample));
  }
  if (!at("body").value) {
    at("body").value = page.sample;
  }
  at("reset").hidden = !page.sample;
  showSchema(at("input-schema"), input, found, "What it takes");
  showSchema(at("output-schema"), schemas.ServiceOutput, found, "What it answers");
  edited();
}

// --- the state

async function showState() {
  let state = "unreachable";
  let error = "";
  try {
    const answer = await fetch("status", { headers: authorization() });
    const told = answer.ok ? await answer.json() : {};
    state = told.state ?? (answer.status === 401 ? "known with a key only" : "unknown");
    error = told.error ? String(told.error) : "";
  } catch {
    // What cannot be reached has no state to tell.
  }
  if (at("state").textContent !== state) {
    at("state").textContent = state;
    at("dot").className = `dot ${state}`;
  }
  tell("state-error", error);
}

async function watchState() {
  for (;;) {
    if (!document.hidden) {
      await showState();
    }
    await new Promise((resolve) => setTimeout(resolve, STATE_SECONDS * 1000));
  }
}

// --- the request

function edited() {
  const body = at("body").value;
  const type = page.takesText ? "text/plain" : JSON_TYPE;
  const wrong = page.takesText || !body ? "" : jsonError(body);
  at("body-hint").textContent = wrong && `This is not JSON, and is sent as it is: ${wrong}`;
  const hasKey = Boolean(at("key").value.trim());
  at("curl").textContent = curl(scoreAddress, type, body, hasKey);
  at("python").textContent = python(scoreAddress, type, body, hasKey);
  return type;
}

function askForKey() {
  at("key-field").hidden = false;
  at("key").setAttribute("aria-invalid", "true");
  at("key").focus();
}

async function send() {
  if (page.sending) {
    page.sending.abort();
    return;
  }
  const type = edited();
  page.sending = new AbortController();
  at("send").textContent = "Cancel";
  at("facts").textContent = "waiting …";
  tell("answer-error", "");
  const began = performance.now();
  try {
    const answer = await fetch(scoreAddress, {
      method: "POST",
      headers: { "Content-Type": type, ...authorization() },
      body: at("body").value,
      signal: page.sending.signal,
    });
    const content = await answer.blob();
    await showAnswer(answer, content, performance.now() - began);
  } catch (error) {
    clearAnswer();
    at("facts").textContent = "";
    const told = error.name === "AbortError" ? "Cancelled: no answer was waited for." : `No answer: ${error.message}.`;
    tell("answer-error", told);
    showState();
  } finally {
    page.sending = null;
    at("send").textContent = "Send";
  }
}

// --- the answer

function clearAnswer() {
  for (const id of ["empty", "answer-box", "answer-file", "headers", "answer-error"]) {
    at(id).hidden = true;
  }
  if (page.file) {
    URL.revokeObjectURL(page.file);
    page.file = null;
  }
}

async function showAnswer(answer, content, milliseconds) {
  clearAnswer();
  const status = document.createElement("strong");
  status.className = answer.ok ? "good" : "bad";
  status.textContent = `${answer.status} ${answer.statusText}`.trim();
  const facts = [`${milliseconds.toFixed(milliseconds < 100 ? 1 : 0)} ms`];
  const run = answer.headers.get("x-ms-run-fn-exec-ms");
  if (run) {
    facts.push(`run() ${Number(run).toFixed(1)} ms`);
  }
  facts.push(size(content.size));
  at("facts").replaceChildren(status, ...facts.flatMap((fact) => [" · ", fact]));
  const rows = [...answer.headers].sort(([one], [other]) => one.localeCompare(other)).map(([name, value]) => {
    const row = document.createElement("tr");
    for (const [tag, text] of [["th", name], ["td", value]]) {
      row.appendChild(document.createElement(tag)).textContent = text;
    }
    row.firstChild.scope = "row";
    return row;
  });
  at("header-rows").replaceChildren(...rows);
  at("headers").hidden = false;
  await showContent(answer.headers.get("content-type") ?? "", content);
  if (answer.status === 401) {
    tell("answer-error", "The service asks for a key, and this one is missing or wrong.");
    askForKey();
  } else {
    at("key").removeAttribute("aria-invalid");
  }
}

async function showContent(type, content) {
  if (type.startsWith("image/") || !/json|text|xml|^$/.test(type)) {
    showFile(type, content);
    return;
  }
  const text = await content.slice(0, MOST_SHOWN).text();
  at("answer-box").hidden = !content.size;
  at("answer").textContent = content.size > MOST_SHOWN ? `${text}\n… and more` : text;
  if (/json/.test(type) && content.size <= MOST_SHOWN && !jsonError(text)) {
    if (content.size <= MOST_COLOURED) {
      show(at("answer"), text);
    } else {
      at("answer").textContent = pretty(text);
    }
  }
}

function showFile(type, content) {
  page.file = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = page.file;
  link.download = "answer";
  link.textContent = `Save ${size(content.size)} of ${type}`;
  const shown = [link];
  if (type.startsWith("image/")) {
    const image = document.createElement("img");
    image.src = page.file;
    image.alt = "The answer";
    shown.push(image);
  }
  at("answer-file").replaceChildren(...shown);
  at("answer-file").hidden = false;
}

function size(bytes) {
  if (bytes < 1024) {
    return `${bytes} B`;
  }
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

// --- what the page reacts to

async function copy(button) {
  const text = at(button.dataset.copies).textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Pages without TLS have no clipboard: the text is selected, to be copied by hand.
    getSelection().selectAllChildren(at(button.dataset.copies));
    button.textContent = "Selected";
  }
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1500);
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
at("body").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !page.sending) {
    event.preventDefault();
    send();
  }
});
at("body").addEventListener("input", edited);
at("key").addEventListener("input", edited);
at("key").addEventListener("change", () => {
  if (!page.loaded) {
    load();
  }
});
at("reset").addEventListener("click", () => {
  at("body").value = page.sample;
  edited();
});
at("format").addEventListener("click", () => {
  try {
    at("body").value = pretty(at("body").value);
  } catch (error) {
    at("body-hint").textContent = `This is not JSON, and is left as it is: ${error.message}`;
  }
});
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(button));
}

at("address").textContent = new URL(scoreAddress).pathname;
edited();
load();
watchState();
