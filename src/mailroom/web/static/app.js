// SPDX-FileCopyrightText: The Mailroom authors
// SPDX-License-Identifier: Apache-2.0
// What pages need beyond htmx: times in the reader's own zone, and news of the mailbox.

// The reader's own kind of the page's language: British English writes its times otherwise than American does.
const page = document.documentElement.lang;
const language = navigator.languages.find((each) => each.split("-")[0] === page.split("-")[0]) ?? page;
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
const date = new Intl.DateTimeFormat(language, { year: "numeric", month: "short", day: "numeric" });

function short(time, now) {
  if (time.toDateString() === now.toDateString()) return clock.format(time);
  return (time.getFullYear() === now.getFullYear() ? day : date).format(time);
}

function localise() {
  const now = new Date();
  for (const element of document.querySelectorAll("time[data-form]")) {
    const time = new Date(element.dateTime);
    const text = element.dataset.form === "short" ? short(time, now) : moment.format(time);
    if (element.textContent !== text) element.textContent = text;
    element.title = moment.format(time);
  }
}

localise();
document.addEventListener("htmx:after:swap", localise);

// A browser opens only six connections to a site (HTTP/1.1), and each page could hold one for ever. So of all pages that
// show one mailbox, one listens, whichever holds the lock, and tells the others.
function listen(url) {
  const mailbox = new URL(url, location.href).searchParams.get("mailbox");
  const others = new BroadcastChannel(`mailroom:${mailbox}`);
  const tell = (news) => {
    if (news === "end") location.reload();
    else document.body.dispatchEvent(new CustomEvent("mail-changed"));
  };
  others.onmessage = (message) => tell(message.data);
  const connect = () => {
    const source = new EventSource(url);
    for (const news of ["change", "end"]) {
      source.addEventListener(news, () => {
        if (news === "end") source.close();
        others.postMessage(news);
        tell(news);
      });
    }
    source.onerror = () => {
      // The browser itself tries again after a break, but not after an answer that is no stream.
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 10_000);
    };
    addEventListener("pagehide", () => source.close(), { once: true });
  };
  if (navigator.locks) navigator.locks.request(`mailroom:${mailbox}`, () => (connect(), new Promise(() => {})));
  else connect();
}

if (document.body.dataset.events) listen(document.body.dataset.events);
// A page that comes back from the browser's memory has missed what happened meanwhile.
addEventListener("pageshow", (event) => event.persisted && location.reload());
