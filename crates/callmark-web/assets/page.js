// What a page does beyond links and forms: follow the sound, answer keys, send forms without losing one's place.
// Every form works without it.
"use strict";

const byId = (id) => document.getElementById(id);
const audio = byId("audio");
const announce = (text) => { byId("announce").textContent = text; };

// --- Sound, transcript and timeline -------------------------------------------------------------------------------

const timeline = byId("timeline");
const playhead = byId("playhead");
const turns = [...document.querySelectorAll(".turn[data-start]")].map((item) => ({
  item, start: +item.dataset.start, end: +item.dataset.end,
  words: [...item.querySelectorAll(".w[data-s]")].map((word) => ({ word, start: +word.dataset.s, end: +word.dataset.e })),
}));
let playing = null;
let word = null;

function seek(ms, play = true) {
  if (!audio) { scrollToTime(ms); return; }
  audio.currentTime = Math.max(0, ms / 1000);
  if (play) audio.play().catch(() => announce("The browser does not play the sound"));
}

function turnAt(ms) {
  let found = null;
  for (const turn of turns) if (turn.start <= ms && ms < turn.end) found = turn;
  return found;
}

function scrollToTime(ms) {
  const turn = turnAt(ms) || turns.findLast((turn) => turn.start <= ms);
  turn?.item.scrollIntoView({ block: "center" });
}

function follow() {
  const ms = audio.currentTime * 1000;
  if (timeline && playhead) {
    const x = Math.min(1, ms / timeline.dataset.length) * 1000;
    playhead.setAttribute("x1", x);
    playhead.setAttribute("x2", x);
  }
  const turn = turnAt(ms);
  if (turn !== playing) {
    playing?.item.classList.remove("playing");
    turn?.item.classList.add("playing");
    if (turn && !audio.paused) turn.item.scrollIntoView({ block: "nearest" });
    playing = turn;
  }
  const said = turn?.words.find((w) => w.start <= ms && ms < w.end)?.word ?? null;
  if (said !== word) {
    word?.classList.remove("now");
    said?.classList.add("now");
    word = said;
  }
}

if (audio) {
  const step = () => { follow(); if (!audio.paused) requestAnimationFrame(step); };
  audio.addEventListener("play", step);
  audio.addEventListener("timeupdate", follow);
  audio.addEventListener("seeked", follow);
  byId("speed")?.addEventListener("change", (event) => { audio.playbackRate = +event.target.value; });
  timeline?.addEventListener("click", (event) => {
    const box = timeline.getBoundingClientRect();
    seek((event.clientX - box.left) / box.width * timeline.dataset.length);
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-seek]");
  if (button) seek(+button.dataset.seek);
  const spoken = event.target.closest(".w[data-s]");
  if (spoken && getSelection().isCollapsed) seek(+spoken.dataset.s);
  const pick = event.target.closest("button[data-pick]");
  if (pick) pickTurn(pick.closest(".turn"));
});

function step(direction) {
  const now = audio ? audio.currentTime * 1000 : 0;
  const marks = [...document.querySelectorAll("[data-finding][data-seek]")].map((f) => +f.dataset.seek).sort((a, b) => a - b);
  const next = direction > 0 ? marks.find((ms) => ms > now + 300) : marks.findLast((ms) => ms < now - 1500);
  if (next !== undefined) seek(next);
}

// --- Marking words -------------------------------------------------------------------------------------------------

function fillMissed(turn, first, last, quote) {
  const form = byId("missed-form");
  if (!form) return;
  byId("missed").open = true;
  byId("missed-turn").value = turn;
  byId("missed-words").value = `${first}-${last}`;
  byId("missed-quote").textContent = `Turn ${turn}: “${quote}”`;
}

function pickTurn(item) {
  if (!item) return;
  const words = [...item.querySelectorAll(".w")];
  fillMissed(item.dataset.turn, 0, Math.max(0, words.length - 1), words.map((w) => w.textContent).join(" "));
  byId("missed-form")?.querySelector("select[name=missed]").focus();
}

byId("turns")?.addEventListener("mouseup", () => {
  const selection = getSelection();
  if (!selection || selection.isCollapsed) return;
  const range = selection.getRangeAt(0);
  const picked = [...document.querySelectorAll("#turns .w")].filter((w) => range.intersectsNode(w));
  const item = picked[0]?.closest(".turn");
  const own = picked.filter((w) => w.closest(".turn") === item);
  if (!own.length) return;
  document.querySelectorAll(".w.picked").forEach((w) => w.classList.remove("picked"));
  own.forEach((w) => w.classList.add("picked"));
  fillMissed(item.dataset.turn, own[0].dataset.w, own.at(-1).dataset.w, own.map((w) => w.textContent).join(" "));
});

// Words that were marked belong to their turn.
document.addEventListener("input", (event) => {
  if (event.target.id !== "missed-turn") return;
  byId("missed-words").value = "";
  byId("missed-quote").textContent = `Turn ${event.target.value}`;
  document.querySelectorAll(".w.picked").forEach((w) => w.classList.remove("picked"));
});

// --- Forms ---------------------------------------------------------------------------------------------------------

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-fetch]")) return;
  event.preventDefault();
  const button = event.submitter;
  const finding = form.closest("[data-finding]")?.id;
  const done = button?.id === "done" ? button.dataset.next ?? "" : null;
  const body = new URLSearchParams(new FormData(form, button));
  if (button) button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "X-Requested-With": "fetch" } });
    if (!answer.ok) throw new Error(await reason(answer));
    if (done) { location.href = done; return; }
    const drafts = written(form);
    const focused = finding ?? form.closest("[id]")?.id;
    byId("review").innerHTML = await answer.text();
    restore(drafts);
    announce("Stored");
    const place = byId(focused);
    if (finding) place?.focus({ preventScroll: true }); else place?.querySelector("button")?.focus({ preventScroll: true });
  } catch (error) {
    if (button) button.disabled = false;
    announce("");
    complain(form, error.message);
  }
});

// What is typed or chosen in the other forms is still there when the part of the page is made anew.
const WRITTEN = "input:not([type=hidden]), textarea, select, #missed-words";
const place = (field) => `${field.closest("[id]:not(input, textarea, select)")?.id} ${field.name} ${field.type === "radio" ? field.value : ""}`;

function written(sent) {
  const fields = [...byId("review").querySelectorAll(WRITTEN)].filter((field) => field.form !== sent);
  const open = [...byId("review").querySelectorAll("details[open][id]")].map((details) => details.id);
  return { open, fields: fields.map((field) => ({ place: place(field), value: field.value, checked: field.checked })) };
}

function restore({ open, fields }) {
  open.forEach((id) => { const details = byId(id); if (details) details.open = true; });
  const kept = new Map(fields.map((field) => [field.place, field]));
  for (const field of byId("review").querySelectorAll(WRITTEN)) {
    const draft = kept.get(place(field));
    if (!draft) continue;
    if (field.type === "radio" || field.type === "checkbox") field.checked = draft.checked; else field.value = draft.value;
  }
}

async function reason(answer) {
  const text = await answer.text();
  const page = new DOMParser().parseFromString(text, "text/html");
  return page.querySelector(".error")?.textContent ?? `The server answers ${answer.status}`;
}

function complain(form, message) {
  form.querySelector(".error")?.remove();
  const said = document.createElement("p");
  said.className = "error";
  said.setAttribute("role", "alert");
  said.textContent = message;
  form.append(said);
}

// --- Keys ----------------------------------------------------------------------------------------------------------

function findings() { return [...document.querySelectorAll("[data-finding]")]; }

function current() { return document.activeElement?.closest("[data-finding]"); }

function move(direction) {
  const all = findings();
  const at = all.indexOf(current());
  const next = all[at < 0 ? (direction > 0 ? 0 : all.length - 1) : at + direction];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function correct(finding) {
  const value = finding.querySelector("[data-value]");
  if (value) {
    if (value.dataset.now !== undefined && audio && !value.value) {
      const seconds = Math.floor(audio.currentTime);
      value.value = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }
    value.focus();
  } else {
    finding.querySelector("[data-correct]")?.click();
  }
}

document.addEventListener("keydown", (event) => {
  if (!byId("turns") && !byId("review")) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const writing = event.target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select, dialog");
  if (writing) { if (event.key === "Escape") event.target.blur(); return; }
  const finding = current();
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    a: () => finding?.querySelector("[data-agree]")?.click(),
    d: () => finding && correct(finding),
    n: () => step(1),
    p: () => step(-1),
    m: () => pickTurn((playing ?? turns[0])?.item ?? document.querySelector(".turn")),
    c: () => byId("comment")?.focus(),
    x: () => (byId("done") ?? byId("next-call"))?.click(),
    "?": () => byId("help")?.showModal(),
    ArrowLeft: () => audio && seek(audio.currentTime * 1000 - 5000, false),
    ArrowRight: () => audio && seek(audio.currentTime * 1000 + 5000, false),
  };
  if (event.key === " " && audio && !event.target.closest("button, a, summary, audio")) {
    if (audio.paused) audio.play(); else audio.pause();
  } else if (event.key === "Enter" && finding && event.target === finding) {
    if (finding.dataset.seek) seek(+finding.dataset.seek);
  } else if (keys[event.key] && !event.target.closest("audio")) {
    keys[event.key]();
  } else {
    return;
  }
  event.preventDefault();
});

// --- New calls, and pages that wait --------------------------------------------------------------------------------

const newCalls = byId("new-calls");
if (newCalls) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/api/v1/status");
      if (!answer.ok) return;
      const more = (await answer.json()).calls - newCalls.dataset.calls;
      if (more > 0 && newCalls.dataset.told !== String(more)) {
        newCalls.dataset.told = more;
        const link = document.createElement("a");
        link.href = location.href;
        link.textContent = `${more} new ${more === 1 ? "call" : "calls"}: show`;
        const note = document.createElement("p");
        note.className = "note";
        note.append(link);
        newCalls.replaceChildren(note);
      }
    } catch { /* The server is away: the next look will tell. */ }
  }, 10000);
}

const waits = document.querySelector("[data-reload]");
if (waits) setTimeout(() => location.reload(), waits.dataset.reload * 1000);
