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
}

// A click on the timeline plays from there; dragging over a part of it marks what is said in it.
const DRAG_PIXELS = 6;
const timeAt = (event) => {
  const box = timeline.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * timeline.dataset.length;
};
let pressed = null;
timeline?.addEventListener("pointerdown", (event) => {
  if (event.button === 0) pressed = event;
});
document.addEventListener("pointerup", (event) => {
  if (!pressed) return;
  const [from, to] = [timeAt(pressed), timeAt(event)];
  const dragged = Math.abs(event.clientX - pressed.clientX) >= DRAG_PIXELS;
  pressed = null;
  if (dragged) markSpan(Math.min(from, to), Math.max(from, to)); else if (audio) seek(to);
});
document.addEventListener("pointercancel", () => { pressed = null; });

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

// Marks words `first` to `last` of a turn (counted from 0), and names them in the form.
function mark(item, first, last) {
  if (!item || !byId("missed-form")) return;
  const words = [...item.querySelectorAll(".w")];
  const marked = words.slice(first, last + 1);
  document.querySelectorAll(".w.picked").forEach((w) => w.classList.remove("picked"));
  marked.forEach((w) => w.classList.add("picked"));
  byId("missed").open = true;
  byId("missed-turn").value = item.dataset.turn;
  byId("missed-first").value = words.length ? first + 1 : "";
  byId("missed-last").value = words.length ? last + 1 : "";
  byId("missed-quote").textContent = `Turn ${item.dataset.turn}: “${marked.map((w) => w.textContent).join(" ")}”`;
}

function pickTurn(item) {
  mark(item, 0, Math.max(0, (item?.querySelectorAll(".w").length ?? 0) - 1));
  byId("missed-form")?.querySelector("select[name=missed]").focus();
}

byId("turns")?.addEventListener("mouseup", () => {
  const selection = getSelection();
  if (!selection || selection.isCollapsed) return;
  const range = selection.getRangeAt(0);
  const picked = [...document.querySelectorAll("#turns .w")].filter((w) => range.intersectsNode(w));
  const item = picked[0]?.closest(".turn");
  const own = picked.filter((w) => w.closest(".turn") === item);
  if (own.length) mark(item, +own[0].dataset.w, +own.at(-1).dataset.w);
});

// A span of the timeline marks what is said in it: of the turn that has most of it.
function markSpan(from, to) {
  let best = null;
  for (const turn of turns) {
    const inside = turn.words.flatMap((w, at) => (w.start + w.end) / 2 >= from && (w.start + w.end) / 2 <= to ? [at] : []);
    if (inside.length > (best?.inside.length ?? 0)) best = { turn, inside };
  }
  if (!best) {
    // Without times of words it is the turn that lies there.
    const there = (turn) => Math.min(to, turn.end) - Math.max(from, turn.start);
    const turn = turns.filter((turn) => there(turn) > 0).sort((a, b) => there(b) - there(a))[0];
    if (turn) pickTurn(turn.item); else announce("Nobody says anything there");
    turn?.item.scrollIntoView({ block: "nearest" });
    return;
  }
  mark(best.turn.item, best.inside[0], best.inside.at(-1));
  best.turn.item.scrollIntoView({ block: "nearest" });
}

// Numbers that are typed mark as well.
document.addEventListener("input", (event) => {
  if (!["missed-turn", "missed-first", "missed-last"].includes(event.target.id)) return;
  const item = byId(`t${byId("missed-turn").value}`);
  if (!item) return;
  if (event.target.id === "missed-turn") { mark(item, 0, Math.max(0, item.querySelectorAll(".w").length - 1)); return; }
  const [first, last] = ["missed-first", "missed-last"].map((id) => byId(id).valueAsNumber - 1);
  if (!(first >= 0 && last >= first)) return;
  const [typedFirst, typedLast] = [byId("missed-first").value, byId("missed-last").value];
  mark(item, first, last);
  byId("missed-first").value = typedFirst;
  byId("missed-last").value = typedLast;
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
const WRITTEN = "input:not([type=hidden]), textarea, select";
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
  if (writing) {
    if (event.key === "Escape") (event.target.closest("[data-finding]") ?? event.target.ownerDocument.querySelector("main")).focus();
    return;
  }
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
