// SPDX-FileCopyrightText: The Mailroom authors
// SPDX-License-Identifier: Apache-2.0
// Draws one phone an address and keeps it fresh. Everything shown is quoted from mail: set as text, never as HTML.
"use strict";

const words = document.body.dataset;
const phones = document.querySelector("#phones");
const nothing = document.querySelector("#empty");
const away = document.querySelector("#away");

function make(tag, kind, ...children) {
  const element = document.createElement(tag);
  element.className = kind;
  element.append(...children);
  return element;
}

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

function notice(one) {
  const push = one.push;
  const time = make("time", "", new Date(one.at).toLocaleTimeString(document.documentElement.lang));
  time.dateTime = new Date(one.at).toISOString();
  const raw = make("details", "", make("summary", "", words.raw), make("pre", "", one.body));
  return make(
    "article",
    "notice",
    make("div", "line", make("strong", "from", push ? push.from : words.odd), time),
    make("p", "subject", push ? push.subject || words.subjectless : one.problem),
    make("p", "body", push ? push.body : ""),
    make("div", "badges", ...badges(one)),
    raw,
  );
}

function draw(received) {
  const owners = new Map();
  for (const one of received) {
    const owner = one.push ? one.push.to : one.receiver;
    owners.set(owner, [one, ...(owners.get(owner) ?? [])]);
  }
  nothing.hidden = owners.size > 0;
  phones.replaceChildren(
    ...[...owners].map(([owner, notices]) => {
      const screen = make("div", "screen", ...notices.slice(0, 50).map(notice));
      screen.tabIndex = 0;
      const phone = make("section", "phone", make("h2", "owner", owner), screen);
      phone.setAttribute("aria-label", owner);
      return phone;
    }),
  );
}

async function follow() {
  let version = "";
  for (;;) {
    try {
      const answer = await fetch(`/sandbox/received?unlike=${version}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const said = await answer.json();
      if (said.version !== version) draw(said.received);
      version = said.version;
      away.hidden = true;
    } catch {
      version = "";
      away.hidden = false;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

document.querySelector("#clear").addEventListener("click", () => fetch("/sandbox/received", { method: "DELETE" }));
follow();
