// A reviewer's hour in a real browser: filter, hear, correct, add, grade, go on; then the same corrections are looked for
// in the export, in kappa and in the comparison. Every page is held against axe-core and the page's own content policy, at
// two widths, light and dark; screenshots stay in OUT.
//
//   node review_hour.mjs CALLMARK DATASET AUDIO OUT
//
// DATASET is the scored demo; it is copied, so nothing is left in it. Prints one line a check, and a sum.

import { chromium } from "playwright-core";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [callmark, dataset, audio, out] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const work = mkdtempSync(join(tmpdir(), "callmark-browser-"));
const copy = join(work, "dataset");
const chrome = process.env.CHROMIUM ?? "/usr/bin/chromium";
const PATIENCE = 20_000;

let passed = 0, failed = 0;
function check(what, holds, detail = "") {
  if (holds) { passed += 1; console.log(`ok    ${what}`); } else { failed += 1; console.log(`WRONG ${what} ${detail}`); }
}

async function serve() {
  const server = spawn(callmark, ["serve", copy, "--audio", audio, "--listen", "127.0.0.1:0"], { stdio: ["ignore", "ignore", "pipe"] });
  const address = await new Promise((resolve, reject) => {
    let said = "";
    const late = setTimeout(() => reject(new Error(`the server does not start: ${said}`)), PATIENCE);
    server.stderr.on("data", (data) => {
      said += data;
      const found = said.match(/http:\/\/[0-9.:]+\//);
      if (found) { clearTimeout(late); resolve(found[0]); }
    });
    server.on("exit", () => reject(new Error(`the server ends: ${said}`)));
  });
  return { server, address: address.replace(/\/$/, "") };
}

const run = (...args) => execFileSync(callmark, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

async function axeFindings(page) {
  // The page's policy lets no foreign script in: it is run from outside, as a person's own tool would be.
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const found = await axe.run(document, { resultTypes: ["violations"] });
    return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 4).join(" | ")}`);
  });
}

cpSync(dataset, copy, { recursive: true });
rmSync(join(copy, "_review"), { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const { server, address } = await serve();
const browser = await chromium.launch({ executablePath: chrome, args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"] });
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(String(error)));

  // Filter to "asked for a person, not honoured".
  await page.goto(`${address}/calls`);
  await page.getByLabel("Asked for a person").selectOption("yes");
  await page.getByLabel("Heard one").selectOption("no");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/honoured=no/);
  const chips = await page.locator("tbody .chip.bad", { hasText: "not honoured" }).count();
  const rows = await page.locator("table.calls tbody tr").count();
  check("the filter shows calls, all of them not honoured", rows > 0 && chips === rows, `${chips} of ${rows}`);
  check("the address is the state", page.url().includes("asked=yes"));

  // Open one; play from an event; the sound really goes on.
  const id = await page.locator("table.calls tbody th a").first().innerText();
  await page.locator("table.calls tbody th a").first().click();
  await page.waitForURL(/\/calls\//);
  check("the call opens", (await page.locator("h1").innerText()) === id);
  const wave = page.locator("img.wave");
  await wave.waitFor();
  await page.waitForFunction(() => document.querySelector("img.wave")?.complete);
  check("the waveform is drawn", await wave.evaluate((image) => image.naturalWidth > 0));
  const event = page.locator("[data-finding] button.time").first();
  const at = +(await event.getAttribute("data-seek")) / 1000;
  await event.click();
  await page.waitForFunction((from) => document.querySelector("audio").currentTime > from + 0.7, at);
  check("the sound advances from the event", true);
  check("the transcript follows", (await page.locator(".turn.playing").count()) === 1);
  await page.locator("body").press("Escape");
  await page.evaluate(() => document.querySelector("audio").pause());

  // Correct a finding with the keyboard alone.
  await page.locator("main").focus();
  await page.keyboard.press("j");
  const first = await page.evaluate(() => document.activeElement.id);
  check("j goes to the first question", first === "f-outcome-", first);
  await page.keyboard.press("d");
  await page.keyboard.press("ArrowDown");
  const wanted = await page.locator("#f-outcome- select").inputValue();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator("#f-outcome- .chip.bad", { hasText: "corrected" }).waitFor();
  check("d corrects the outcome", (await page.locator("#f-outcome- .chip").innerText()).includes(wanted.replaceAll("_", " ")));
  await page.locator("#f-human_request-").focus();
  await page.keyboard.press("a");
  await page.locator("#f-human_request- .chip.good", { hasText: "agreed" }).waitFor();
  check("a agrees, and the place is kept", (await page.evaluate(() => document.activeElement.id)) === "f-human_request-");

  // Add a missed request on words that are selected with the mouse.
  const words = page.locator(".turn.customer .words").first().locator(".w");
  const [from, to] = [await words.first().boundingBox(), await words.nth(Math.min(2, (await words.count()) - 1)).boundingBox()];
  await page.mouse.move(from.x + 1, from.y + from.height / 2);
  await page.mouse.down();
  await page.mouse.move(to.x + to.width - 1, to.y + to.height / 2, { steps: 5 });
  await page.mouse.up();
  check("selected words are marked", (await page.locator(".w.picked").count()) >= 2);
  await page.locator("#missed-form select[name=missed]").selectOption("human_request");
  await page.locator("#missed-form button").click();
  await page.locator(".added li", { hasText: "missed human request" }).waitFor();
  check("a missed request is added", true);

  // The same by keyboard: m marks a turn, numbers narrow it down to words; and it is taken back.
  await page.locator("main").focus();
  await page.keyboard.press("m");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.type("2");
  await page.keyboard.press("Tab");
  await page.keyboard.type("2");
  const second = await page.locator(".w.picked").allInnerTexts();
  check("numbers mark one word", second.length === 1 && (await page.locator("#missed-quote").innerText()).includes(`“${second[0]}”`), second.join(" "));
  await page.keyboard.press("Tab");
  await page.locator("#missed-form select[name=missed]").selectOption("loop");
  await page.locator("#missed-form button").focus();
  await page.keyboard.press("Enter");
  const added = page.locator(".added li", { hasText: "missed loop" });
  await added.waitFor();
  await added.getByRole("button", { name: "Take back" }).click();
  await added.waitFor({ state: "detached" });

  // Dragging over the timeline marks what is said there, and does not seek.
  const before = await page.locator("#audio").evaluate((audio) => { audio.pause(); return audio.currentTime; });
  await page.locator("#timeline").scrollIntoViewIfNeeded();
  const line = await page.locator("#timeline").boundingBox();
  await page.mouse.move(line.x + line.width * 0.05, line.y + 60);
  await page.mouse.down();
  await page.mouse.move(line.x + line.width * 0.6, line.y + 60, { steps: 5 });
  await page.mouse.up();
  check("a part of the timeline marks words", (await page.locator(".w.picked").count()) >= 2);
  check("marking does not seek", (await page.locator("#audio").evaluate((audio) => audio.currentTime)) === before);

  // The scorecard: some of it is filled in beforehand.
  const card = page.locator("#card-service");
  check("the scorecard is filled in beforehand", (await card.locator("input:checked").count()) > 0);
  await card.getByRole("group", { name: /is not asked the same/ }).getByLabel("yes", { exact: true }).check();
  await card.getByRole("group", { name: /Is kind/ }).getByLabel("no", { exact: true }).check();
  await card.getByRole("button", { name: "Save the scorecard" }).click();
  await page.locator("#card-service p strong", { hasText: "%" }).first().waitFor();
  check("the scorecard has points", /\d+ %/.test(await page.locator("#card-service p strong").first().innerText()));

  // A comment and a dispute; what is written stays text.
  const nasty = `<script>alert(1)</script>'; drop table judgements; --`;
  await page.getByLabel("Comment", { exact: true }).fill(nasty);
  await page.getByRole("button", { name: "Add the comment" }).click();
  await page.locator(".talk .body", { hasText: "drop table" }).waitFor();
  check("what is written stays text", (await page.locator(".talk .body").first().innerText()) === nasty);
  await page.getByText("Dispute a judgement").click();
  await page.getByLabel("Why", { exact: true }).fill("The customer did get a person.");
  await page.getByRole("button", { name: "Raise the dispute" }).click();
  await page.locator(".dispute .chip", { hasText: "open" }).waitFor();
  check("a dispute is raised", true);

  // Done, and on to the next.
  await page.goto(`${address}/calls?asked=yes&honoured=no`);
  await page.locator("table.calls tbody th a").first().click();
  await page.waitForURL(/\/calls\//);
  const next = await page.locator("#done").getAttribute("data-next");
  await page.locator("main").focus();
  await page.keyboard.press("x");
  if (next) await page.waitForURL((url) => url.pathname + url.search === next);
  else await page.locator(".done .chip.good").waitFor();
  check("x is done, and the next call of the queue opens", next === null || !page.url().includes(`/calls/${id}?`), page.url());

  // A random sample of all calls, reviewed through the API: what corrections need.
  await page.goto(`${address}/samples`);
  await page.getByLabel("Name").fill("all of them");
  await page.getByRole("button", { name: "Draw" }).click();
  await page.locator("tbody th a", { hasText: "all of them" }).waitFor();
  check("a random sample is by chance alone", (await page.locator(".chip.good", { hasText: "by chance alone" }).count()) === 1);
  const listed = await (await fetch(`${address}/api/v1/calls?sample=all%20of%20them&limit=100`)).json();
  check("the sample has all calls", listed.total === listed.items.length && listed.total >= 8, listed.total);
  for (const call of listed.items.filter((call) => call.call_id !== id)) {
    const agree = (question) => ({ question, verdict: "agree" });
    const judgements = [agree("outcome"), agree("human_request"), agree("done")];
    const answer = await fetch(`${address}/api/v1/calls/${encodeURIComponent(call.call_id)}/judgements`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ judgements }),
    });
    if (answer.status !== 201) check(`judgements on ${call.call_id} are stored`, false, await answer.text());
  }

  // The corrections come out.
  const file = join(work, "reviews.parquet");
  run("export", "reviews", copy, "--out", file, "--judgements", join(work, "judgements.parquet"));
  const trust = JSON.parse(run("trust", copy, "--reviews", file, "--format", "json"));
  const settled = trust.agreement.find((row) => row.question === "settled");
  const asked = trust.agreement.find((row) => row.question === "human_request");
  check("kappa has all reviewed calls", asked?.calls === listed.total && asked.kappa === 1, JSON.stringify(asked));
  check("kappa has the correction", settled !== undefined && (settled.agreed < 1 || !["resolved", "escalated_resolved"].includes(wanted)), JSON.stringify(settled));
  const compared = run("compare", copy, "--reviews", file);
  check("the comparison takes the reviews", /^# AI and people on calls/.test(compared));
  await page.goto(`${address}/agreement`);
  check("reviewer and scores are compared", (await page.locator("tbody tr", { hasText: "human request" }).count()) >= 1);

  check("no script or policy complains", complaints.length === 0, complaints.slice(0, 5).join(" | "));

  // Every page, at two widths, light and dark.
  const pages = {
    calls: "/calls", call: `/calls/${encodeURIComponent(id)}?queue=asked%3Dyes`, nothing: "/calls?q=zebra",
    dashboard: "/dashboard", samples: "/samples", disputes: "/disputes", agreement: "/agreement", api: "/api",
    users: "/users", audit: "/audit", report: "/report", missing: "/calls/nobody",
  };
  await page.goto(`${address}/report`);
  await page.locator("iframe.report, .error").waitFor();
  for (const [width, scheme] of [[1440, "light"], [1440, "dark"], [390, "light"], [390, "dark"]]) {
    await page.setViewportSize({ width, height: width > 1000 ? 900 : 844 });
    await page.emulateMedia({ colorScheme: scheme });
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(`${address}${path}`);
      await page.waitForLoadState("load");
      await page.screenshot({ path: join(out, `${name}-${width}-${scheme}.png`), fullPage: name !== "audit" });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(`${name} fits ${width} px, ${scheme}`, wide <= 0, `${wide} px too wide`);
      const found = await axeFindings(page);
      check(`axe has nothing on ${name}, ${width} px, ${scheme}`, found.length === 0, found.join("; "));
    }
  }

  // Without the script the page still works.
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const still = await plain.newPage();
  await still.goto(`${address}/calls/${encodeURIComponent(listed.items[0].call_id)}`);
  await still.locator("#f-outcome- button", { hasText: "Take back" }).click();
  await still.locator("#f-outcome- button[data-agree]").waitFor();
  check("without the script a judgement can be taken back", true);
} catch (error) {
  check("the hour goes on", false, error.stack);
} finally {
  await browser.close();
  server.kill("SIGTERM");
  rmSync(work, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
