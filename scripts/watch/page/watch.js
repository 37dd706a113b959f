"use strict";
// Values come from requests that anybody may send: they become text, never HTML.

const MOST = 1000;
const POLL = 700;
const known = { log: "", end: 0, lines: [], open: null };
const element = (id) => document.getElementById(id);

function made(name, text, className) {
  const one = document.createElement(name);
  if (text !== undefined) one.textContent = text;
  if (className) one.className = className;
  return one;
}

async function ask(question, values) {
  const answer = await fetch(question + "?" + new URLSearchParams(values || {}), { cache: "no-store" });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error || String(answer.status));
  return content;
}

function decidedBy(line) {
  const name = (line.statement || "").replace(/^#/, "statement #");
  if (name) return name + " of " + line.policy;
  return line.reason + (line.policy ? " (" + line.policy + ")" : "");
}

function shown(line) {
  if (element("denied").checked && line.allowed) return false;
  if (!element("administrator").checked && line.administrator) return false;
  if (!element("probes").checked && line.probe) return false;
  const wanted = element("search").value.trim().toLowerCase();
  return !wanted || line.text.includes(wanted);
}

function row(line) {
  const tr = made("tr", undefined, "line " + (line.allowed ? "allow" : "deny"));
  tr.tabIndex = 0;
  tr.dataset.at = line.at;
  const time = new Date(line.time * 1000);
  tr.append(made("td", time.toTimeString().slice(0, 8)));
  const who = made("td", line.who);
  who.title = line.principal;
  tr.append(who, made("td", line.action), made("td", line.resource));
  const reason = line.allowed ? "allowed" : "denied";
  tr.append(made("td", reason, "answer"), made("td", decidedBy(line)));
  const open = () => explain(line, tr);
  tr.addEventListener("click", open);
  tr.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
  return tr;
}

function redraw() {
  const body = element("lines");
  body.replaceChildren();
  known.open = null;
  for (const line of known.lines) if (shown(line)) body.prepend(row(line));
}

function take(found) {
  if (found.fresh) {
    known.lines = [];
    redraw();
  }
  known.log = found.log;
  known.end = found.end;
  for (const line of found.lines) {
    line.text = [line.who, line.action, line.resource, decidedBy(line), line.request_id].join(" ").toLowerCase();
    known.lines.push(line);
    if (shown(line)) element("lines").prepend(row(line));
  }
  while (known.lines.length > MOST) known.lines.shift();
  const rows = element("lines").querySelectorAll("tr.line");
  for (let last = rows.length - 1; last >= MOST; last--) {
    if (rows[last].nextSibling) rows[last].nextSibling.remove();
    rows[last].remove();
  }
}

// The address may name a request by the id that AWS's error shows: .../#5c0f1e9a-...
function openNamed() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const of = known.lines.filter((line) => line.request_id === wanted);
  const line = of.find((one) => !one.allowed) || of[0];
  if (!line) return;
  location.hash = "";
  const at = '[data-at="' + line.at + '"]';
  if (!shown(line)) for (const id of ["administrator", "probes"]) element(id).checked = true;
  if (!element("lines").querySelector(at)) redraw();
  const tr = element("lines").querySelector(at);
  if (tr) explain(line, tr);
}

function tell(found) {
  const hidden = known.lines.filter((line) => !shown(line)).length;
  const parts = [known.lines.length + " decisions" + (hidden ? ", " + hidden + " of them hidden by the choices above" : "")];
  if (found.unreadable) parts.push(found.unreadable + " unreadable lines left out");
  if (!found.running) parts.push("the local cloud does not run");
  element("state").textContent = parts.join("; ");
}

async function poll() {
  try {
    if (!element("pause").checked) {
      const found = await ask("decisions", { log: known.log, after: known.end });
      take(found);
      tell(found);
      if (location.hash.length > 1) openNamed();
    }
  } catch (failure) {
    element("state").textContent = "no answer: the page's server ended, or " + failure.message;
  }
  setTimeout(poll, POLL);
}

async function explain(line, tr) {
  const before = known.open;
  if (before) before.remove();
  known.open = null;
  if (before && before.dataset.of === String(line.at)) return;
  const detail = made("tr", undefined, "detail");
  detail.dataset.of = line.at;
  const cell = made("td", "asking the policies");
  cell.colSpan = 6;
  detail.append(cell);
  tr.after(detail);
  known.open = detail;
  try {
    fill(cell, line, await ask("explain", { log: known.log, at: line.at }));
  } catch (failure) {
    cell.replaceChildren(made("p", failure.message, "bad"));
  }
}

function fill(cell, line, found) {
  cell.replaceChildren(
    made("p", (line.allowed ? "allowed: " : "denied: ") + found.decided, line.allowed ? "good" : "bad"),
    made("p", line.principal + ", request " + line.request_id));
  for (const note of found.notes) cell.append(made("p", note, "note"));
  cell.append(made("h2", "statements considered, by the policies as they are now"), statements(line, found.considered));
  if (found.changes.length) {
    cell.append(made("h2", found.title));
    for (const change of found.changes) cell.append(...changed(change));
  }
  const keys = made("details");
  keys.append(made("summary", "what the request said of itself"));
  const list = made("table");
  for (const [name, values] of Object.entries(found.keys)) {
    const one = made("tr");
    one.append(made("td", name), made("td", values.join(", ")));
    list.append(one);
  }
  keys.append(list);
  cell.append(keys);
}

function statements(line, considered) {
  const near = considered.filter((one) => one.near);
  const table = made("table");
  for (const one of near) {
    const decided = one.applies && one.statement === line.statement && one.policy === line.policy;
    const tr = made("tr", undefined, decided ? "decided" : "");
    tr.append(made("td", one.effect), made("td", one.kind), made("td", one.policy + " / " + one.statement), made("td", one.why));
    table.append(tr);
  }
  const far = considered.length - near.length;
  const last = made("tr");
  const cell = made("td", near.length ? "and " + far + " statements about other actions" : far + " statements, none about this action");
  cell.colSpan = 4;
  last.append(cell);
  if (far || !near.length) table.append(last);
  return table;
}

function changed(change) {
  const parts = [made("p", change.what + (change.answer ? ": " + change.answer : ""))];
  if (change.statement) parts.push(made("pre", JSON.stringify(change.statement, null, 2)));
  return parts;
}

async function tellStory() {
  try {
    const lab = (await ask("story")).lab;
    if (lab) {
      element("title").textContent = "Lab " + lab.number + ": " + lab.title;
      document.title = "Keyless lab " + lab.number;
      element("score").textContent = lab.score;
      element("score").hidden = false;
      if (element("story").hidden) {
        element("text").innerHTML = lab.story; // the kit's own text; the server escapes HTML in it
        element("story").hidden = false;
        element("story").open = true;
      }
    }
  } catch (failure) {
    element("score").textContent = failure.message;
  }
  setTimeout(tellStory, 3000);
}

for (const id of ["denied", "administrator", "probes"]) element(id).addEventListener("change", redraw);
element("search").addEventListener("input", redraw);
element("filters").addEventListener("submit", (event) => event.preventDefault());
poll();
tellStory();
