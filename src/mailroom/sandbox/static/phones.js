// SPDX-FileCopyrightText: The Mailroom authors
// SPDX-License-Identifier: Apache-2.0
// Draws one phone an owner and keeps it fresh. Everything shown is quoted from mail: set as text, never as HTML.
"use strict";

const words = JSON.parse(document.body.dataset.words);
const phones = document.querySelector("#phones");
const doubles = document.querySelector("#doubles");
const nothing = document.querySelector("#empty");
const away = document.querySelector("#away");
const drawn = new Map(); // what is on the page, by key: redrawn only where something has changed

function make(tag, kind, ...children) {
  const element = document.createElement(tag);
  element.className = kind;
  element.append(...children);
  return element;
}

function button(key, text, press) {
  const element = make("button", "", text);
  element.type = "button";
  element.dataset.key = key;
  element.addEventListener("click", press);
  return element;
}

async function say(method, path, body) {
  const answer = await fetch(path, { method, body: body && JSON.stringify(body) });
  if (!answer.ok) alert(`${path}: ${await answer.text()}`);
}

function once(key, what, draw) {
  const seen = JSON.stringify(what);
  const before = drawn.get(key);
  const element = before?.seen === seen ? before.element : draw(what);
  drawn.set(key, { seen, element });
  return element;
}

function when(at) {
  const time = make("time", "", new Date(at).toLocaleTimeString(document.documentElement.lang));
  time.dateTime = new Date(at).toISOString();
  return time;
}

function raw(text) {
  return make("details", "", make("summary", "", words.raw), make("pre", "", text));
}

// A push

function badges(one) {
  const all = [];
  if (one.push?.attachnum) {
    const clip = make("span", "badge", `${words.attached} ${one.push.attachnum}`);
    clip.title = one.push.attachlist.split("||").join("\n");
    all.push(clip);
  }
  if (one.signed === true) all.push(make("span", "badge good", words.signed));
  if (one.signed === false) all.push(make("span", "badge bad", words.forged));
  if (one.repeat) all.push(make("span", "badge", words.repeat));
  return all;
}

function push(one) {
  const said = one.push;
  return make(
    "article",
    "notice",
    make("div", "line", make("strong", "from", said ? said.from : words.odd), when(one.at)),
    make("p", "subject", said ? said.subject || words.subjectless : one.problem),
    make("p", "body", said ? said.body : ""),
    make("div", "badges", ...badges(one)),
    raw(one.body),
  );
}

// A message that a provider brought

function app(provider) {
  return words[provider.startsWith("sms_") ? "sms" : provider] ?? provider;
}

function link(url) {
  const element = make("a", "more", words.open);
  element.href = url;
  element.rel = "noreferrer noopener";
  element.target = "_blank";
  return element;
}

function table(rows) {
  return make("dl", "rows", ...rows.map(([label, value]) => make("div", "", make("dt", "", label), make("dd", "", value))));
}

function fates(one) {
  const told = make("span", `badge ${{ lost: "bad", sent: "" }[one.fate] ?? "good"}`, words[one.fate]);
  return make(
    "div",
    "badges",
    told,
    ...one.receipts.map((fate) => {
      const element = button(`${one.serial} ${fate}`, words[fate], () =>
        say("POST", `/sandbox/phones/${one.serial}/${fate}`),
      );
      element.setAttribute("aria-label", `${words.report} ${words[fate]}`);
      return element;
    }),
  );
}

function message(one) {
  const chat = !one.provider.startsWith("sms_");
  const shown = [make("div", "line", make("strong", "from", app(one.provider)), when(one.at))];
  if (one.title) shown.push(make("p", "subject", one.title));
  // Some say nothing beside their rows.
  const rows = [([, value]) => value, ([label, value]) => `${label}: ${value}`].map((row) => one.rows.map(row).join("\n"));
  if (one.text && !rows.includes(one.text)) shown.push(make("p", "text", one.text));
  if (one.rows.length) shown.push(table(one.rows));
  if (/^https?:\/\//.test(one.url)) shown.push(link(one.url));
  shown.push(fates(one));
  if (one.raw) shown.push(raw(one.raw));
  return make("article", `notice ${chat ? `card ${one.provider}` : "bubble"}`, ...shown);
}

function draw({ phones: messages, received }) {
  const owners = new Map();
  const all = [
    ...received.map((one) => [one.push ? one.push.to : one.receiver, one.at, `push ${one.serial}`, one, push]),
    ...messages.map((one) => [one.to, one.at, `message ${one.serial}`, one, message]),
  ];
  for (const one of all.sort((a, b) => b[1] - a[1])) owners.set(one[0], [...(owners.get(one[0]) ?? []), one]);
  nothing.hidden = owners.size > 0;
  phones.replaceChildren(
    ...[...owners].map(([owner, notices]) => {
      const screen = make("div", "screen");
      screen.append(...notices.slice(0, 50).map(([, , key, one, how]) => once(key, one, how)));
      screen.tabIndex = 0;
      screen.dataset.key = `screen ${owner}`;
      const phone = make("section", "phone", make("h2", "owner", owner), screen);
      phone.setAttribute("aria-label", owner);
      screen.setAttribute("role", "group");
      screen.setAttribute("aria-label", owner);
      return phone;
    }),
  );
}

// A provider, and what is wrong with it

const FAULTS = {
  hang: { does: "hang" },
  reset: { does: "reset", taken: false },
  reset_taken: { does: "reset", taken: true },
  bad_gateway: { status: 502, body: "<html><h1>502 Bad Gateway</h1></html>" },
  slow: { delay: 3000 },
};

function called(step) {
  const [name] = Object.entries(FAULTS).find(([, one]) => Object.keys(one).every((key) => one[key] === step[key])) ?? [];
  return (words[name] ?? step.does) + (step.times ? "" : ` (${words.all_from_now})`);
}

function named(text, input) {
  return make("label", "", make("span", "", text), input);
}

function knob(double, name, value) {
  const input = make("input", "");
  input.dataset.key = `${double.name} ${name}`;
  const plain = typeof value;
  input.type = { boolean: "checkbox", number: "number" }[plain] ?? "text";
  if (plain === "boolean") input.checked = value;
  else input.value = plain === "string" || plain === "number" ? value : JSON.stringify(value);
  if (plain === "number") input.step = "any";
  input.addEventListener("change", () => {
    let said = input.value;
    if (plain === "boolean") said = input.checked;
    else if (plain !== "string") {
      try {
        said = JSON.parse(said);
      } catch {
        input.setAttribute("aria-invalid", "true");
        return;
      }
    }
    say("PUT", `/sandbox/doubles/${double.name}`, { knobs: { [name]: said } });
  });
  return named(name, input);
}

function scanning(double, scene) {
  const input = make("input", "");
  input.value = "oAlice";
  const scan = button(`${double.name} ${scene}`, words.scan, () =>
    say("POST", `/sandbox/doubles/${double.name}/scan`, { scene, address: input.value }),
  );
  return make("div", "scan", named(`${words.scan_as} ${scene}`, input), scan);
}

function provider(double) {
  const path = `/sandbox/doubles/${double.name}`;
  const times = make("input", "");
  times.type = "checkbox";
  const faults = Object.entries(FAULTS).map(([name, fault]) =>
    button(`${double.name} ${name}`, words[name], () =>
      say("PUT", path, { script: [{ ...fault, times: times.checked ? 0 : 1 }] }),
    ),
  );
  const callback = make("input", "");
  callback.value = double.callback;
  callback.dataset.key = `${double.name} callback`;
  callback.addEventListener("change", () => say("PUT", path, { callback: callback.value }));
  const shown = [
    make("h3", "", app(double.name), " ", make("code", "", double.name)),
    make("p", "where", make("code", "", double.where)),
    ...double.scenes.slice(-3).map((scene) => scanning(double, scene)),
  ];
  if (double.scripted) shown.push(make("div", "faults", ...faults), named(words.all_from_now, times));
  if (double.script.length) shown.push(make("p", "bad", double.script.map(called).join(", ")));
  const knobs = Object.entries(double.knobs).map(([name, value]) => knob(double, name, value));
  shown.push(
    make("details", "knobs", make("summary", "", words.knobs), named(words.callback, callback), ...knobs),
    button(`${double.name} as new`, words.as_new, () => say("DELETE", path)),
  );
  const section = make("section", "provider", ...shown);
  section.setAttribute("aria-label", double.name);
  return section;
}

function drawProviders(all) {
  const typing = document.activeElement?.matches("#doubles input") ? document.activeElement.closest("section") : null;
  all.forEach((one, index) => {
    const before = doubles.children[index];
    if (typing && before === typing) return; // drawn anew once he is done
    const after = once(`double ${one.name}`, one, provider);
    if (!before) doubles.append(after);
    else if (before !== after) {
      after.querySelector(".knobs").open = before.querySelector(".knobs").open;
      before.replaceWith(after);
    }
  });
}

function show(said) {
  const held = document.activeElement?.dataset.key;
  draw(said);
  drawProviders(said.doubles);
  if (held) document.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus();
}

async function follow() {
  let version = "";
  for (;;) {
    try {
      const answer = await fetch(`/sandbox/phones?unlike=${version}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const said = await answer.json();
      if (said.version !== version) show(said);
      version = said.version;
      away.hidden = true;
    } catch {
      version = "";
      away.hidden = false;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

document.querySelector("#clear").addEventListener("click", () => {
  fetch("/sandbox/received", { method: "DELETE" });
  fetch("/sandbox/phones", { method: "DELETE" });
});
follow();
