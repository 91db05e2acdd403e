// What a person does with the console, in real Chromium: node browse.mjs FEW MANY PICTURES PROFILE
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import net from "node:net";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core");
const [few, many, pictures, profile] = process.argv.slice(2);

// A way to the console that can be cut, and that sees from where a browser goes on.
const sockets = new Set();
const resumed = [];
let refusing = false;
const target = new URL(few);
const proxy = net.createServer((client) => {
  if (refusing) return client.destroy();
  const server = net.connect(Number(target.port), target.hostname);
  for (const each of [client, server]) { sockets.add(each); each.on("close", () => sockets.delete(each)); each.on("error", () => each.destroy()); }
  client.on("data", (data) => { const found = /last-event-id: (\S+)/i.exec(data.toString("latin1")); if (found) resumed.push(found[1]); });
  client.pipe(server); server.pipe(client);
  client.on("close", () => server.destroy()); server.on("close", () => client.destroy());
});
await new Promise((ready) => proxy.listen(0, "127.0.0.1", ready));
const home = `http://127.0.0.1:${proxy.address().port}/`;

const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const context = await chromium.launchPersistentContext(profile, { executablePath: "/usr/bin/chromium", args, viewport: { width: 1280, height: 900 }, colorScheme: "light" });
context.setDefaultTimeout(30_000);
const page = context.pages()[0] ?? (await context.newPage());
const faults = [];
let cutting = false; // of the connection: errors are what is asked for
let refused = false; // of a form, which Chromium notes as an error
page.on("pageerror", (error) => faults.push(error.message));
page.on("console", (message) => { if (message.type() === "error" && !cutting && !refused) faults.push(`${message.text()} (${page.url()})`); });
page.on("request", (request) => { if (!["127.0.0.1"].includes(new URL(request.url()).hostname)) faults.push(`asked elsewhere: ${request.url()}`); });

const step = (text) => console.log(`▶ ${text}`);
const words = (selector) => page.locator(selector).innerText();

async function accessible(what) {
  // The policy allows no script in a page: axe comes in as the browser's own.
  await page.evaluate(await (await import("node:fs/promises")).readFile(axe, "utf8"));
  const { violations } = await page.evaluate(() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(violations.map((each) => [each.id, each.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3)]), [], what);
}

async function inBothThemes(what, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await accessible(`${what}, ${colorScheme}`);
    if (name) await page.screenshot({ path: `${pictures}/console-${name}-${colorScheme}.png`, clip: name === "fleet" ? undefined : { x: 0, y: 0, width: 1280, height: 1000 }, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
}

step("the fleet is shown, and is live");
await page.goto(home);
await page.locator("#live", { hasText: "live" }).waitFor();
assert.match(await words("#numbers"), /Charge points\s+3/);

step("the keyboard reaches the content first, and every control by Tab");
await page.keyboard.press("Tab");
assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
await page.keyboard.press("Enter");
assert.equal(await page.evaluate(() => document.activeElement.id), "main");

step("a charge point is found by typing, opened by the keyboard, and described in a sentence");
await page.getByRole("searchbox").fill("HOME-1");
await page.waitForFunction(() => document.querySelectorAll("#results tbody tr").length === 1);
assert.match(page.url(), /q=HOME-1/);
assert.equal(await page.locator("#said").textContent(), "One charge point.");
for (let tabs = 0; tabs < 8 && (await page.evaluate(() => document.activeElement.textContent)) !== "HOME-1"; tabs++) await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
await page.waitForURL(/charge-points\/HOME-1/);
assert.match(await words(".sentence"), /Connector 1 has a vehicle plugged in, which does not charge/);

step("what support asks of a charge point is on its page");
for (const part of ["Last messages", "from the charger", "to the charger", "Refused connections", "Deviations from OCPP", "Configuration", "Certificates", "Quirk profile", "Answers pings"]) assert.ok((await words("main")).includes(part), part);

step("an action is carried through: what will happen, stages live, done");
await page.getByRole("link", { name: "Start charging" }).click();
assert.match(await words("main"), /What will happen/);
await inBothThemes("the form of an action", "action");
await page.getByLabel("Tag to charge for").fill("FAMILY");
await page.getByRole("button", { name: "Start charging" }).click();
await page.waitForURL(/\/operations\//);
await page.locator("#stages", { hasText: "Done: it was seen to have happened." }).waitFor();
assert.match(await words("#stages"), /accepted[\s\S]*charger accepted[\s\S]*transaction started[\s\S]*power risen[\s\S]*done/);
await accessible("an operation");
await page.getByRole("link", { name: "To HOME-1" }).click();
await page.locator("#now", { hasText: "is charging with" }).waitFor();
assert.match(await words("#now"), /GBP so far/);

step("a form that can't be says so, and keeps what was typed");
await page.getByRole("link", { name: "Limit charging" }).click();
await page.getByLabel("Limit", { exact: true }).fill("3");
refused = true;
await page.getByRole("button", { name: "Limit charging" }).click();
await page.getByRole("alert").waitFor();
assert.equal(await page.getByLabel("Limit", { exact: true }).inputValue(), "3");
refused = false;
await accessible("a form that was refused");
await page.getByLabel("Limit", { exact: true }).fill("10");
await page.getByRole("button", { name: "Limit charging" }).click();
await page.locator("#stages", { hasText: "charger accepted" }).waitFor();
await page.getByRole("link", { name: "To HOME-1" }).click();
await page.locator("#now", { hasText: "the limit set by hand, 10 A per phase" }).waitFor();

step("a stream that is lost goes on from where it was");
await page.locator("#live", { hasText: "live" }).waitFor();
await page.waitForTimeout(6_000); // its place comes with a fragment, which a meter that runs brings every five seconds
cutting = refusing = true;
for (const each of sockets) each.destroy();
await page.locator("#live", { hasText: "reconnecting" }).waitFor();
assert.equal(resumed.length, 0);
refusing = false;
await page.locator("#live", { hasText: "live" }).waitFor();
assert.ok(resumed.length > 0, "the browser went on without its place");
cutting = false;
await inBothThemes("a charge point", "charge-point");

step("a stream that the gateway refuses for good is not asked for again and again");
let asks = 0;
await page.route("**/charge-points/HOME-2/live", (route) => {
  asks++;
  return route.fulfill({ contentType: "text/event-stream", body: 'retry: 10\n\nevent: lost\ndata: {"code":"NOT_FOUND"}\n\n' });
});
await page.goto(`${home}charge-points/HOME-2`);
await page.locator("#live", { hasText: "gone" }).waitFor();
await page.waitForTimeout(500);
assert.equal(asks, 1);
await page.unroute("**/charge-points/HOME-2/live");

step("sessions, with half-hours, cost and doubts");
await page.getByRole("link", { name: "Sessions", exact: true }).click();
await accessible("sessions");
await page.locator("tbody th a").first().click();
for (const part of ["By half-hour", "Bill", "GBP"]) assert.ok((await words("main")).includes(part), part);
await inBothThemes("a session", "session");

step("operations: rollouts, the gateway with its store, disk, nodes and watchers, certificates, and who did what");
await page.getByRole("link", { name: "Operations", exact: true }).click();
await page.locator("#live", { hasText: "live" }).waitFor();
for (const part of [/Rollouts of keys, certificates and firmware/, /Firmware that was installed charger by charger/, /Takes commits\s+yes/, /free of/, /answers here/, /Watchers of events/, /certificate \(/, /start charging at HOME-1/, /Who did what/]) assert.match(await words("main"), part);
await page.locator("#condition tbody tr", { hasText: "events" }).first().waitFor();
await inBothThemes("operations", "operations");
await page.getByRole("link", { name: "Fleet", exact: true }).first().click();
await page.locator("#live", { hasText: "live" }).waitFor();
await inBothThemes("the fleet", "fleet");

step("the theme is a person's own, and stays");
const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const before = await ground();
await page.getByRole("button", { name: /dark and light/ }).click();
const after = await ground();
assert.notEqual(before, after);
await page.reload();
assert.equal(await ground(), after);
await page.getByRole("button", { name: /dark and light/ }).click();

step("360 pixels are enough");
await page.setViewportSize({ width: 360, height: 740 });
for (const place of ["", "charge-points/HOME-1", "sessions", "operations", "charge-points/HOME-1/actions/plan"]) {
  await page.goto(home + place);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360, `${place} is wider than the screen`);
  await accessible(`${place} at 360 pixels`);
}
await page.setViewportSize({ width: 1280, height: 900 });

step("a fleet of 10,000 is listed, searched and read on");
const timed = async (what, act) => {
  const began = performance.now();
  await act();
  console.log(`  ${what}: ${Math.round(performance.now() - began)} ms`);
};
await page.goto(many);
await timed("the first page, interactive", async () => { await page.goto(many, { waitUntil: "load" }); await page.locator("#results tbody tr").first().waitFor(); });
assert.match(await words("#numbers"), /Charge points\s+10\s000/);
assert.equal(await page.locator("#results tbody tr").count(), 100);
await timed("a search, from the last key to its result", async () => {
  await page.getByRole("searchbox").pressSequentially("CP-07777", { delay: 5 });
  await page.waitForFunction(() => document.querySelectorAll("#results tbody tr").length === 1);
});
await page.getByRole("searchbox").fill("site=site-3");
await page.waitForFunction(() => document.querySelector("#results tbody th").textContent === "CP-01500");
await page.getByRole("searchbox").fill("");
await page.waitForFunction(() => document.querySelector("#results tbody th").textContent === "CP-00000");
step("and scrolled to its end, with a part of the rows in the page");
await page.evaluate(() => {
  window.long = [];
  new PerformanceObserver((list) => { for (const each of list.getEntries()) window.long.push(Math.round(each.duration)); }).observe({ type: "longtask" });
});
const rows = () => page.locator("#results tbody tr:not(.room)").count();
let most = 0;
await timed("scrolled through 10,000 rows, loading them", async () => {
  while (!(await page.locator('#results tr[aria-rowindex="10001"]').count())) {
    await page.mouse.wheel(0, 4_000);
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    most = Math.max(most, await rows());
  }
});
assert.ok(most < 2_000, `${most} rows were in the page at once`);
assert.equal(await page.locator("#results .more").count(), 0);
const loading = await page.evaluate(() => window.long.splice(0));
const frames = await page.evaluate(async () => {
  // Back to the beginning, a screen in each frame: what a person who holds a key does.
  const took = [];
  let before = performance.now();
  while (scrollY > document.getElementById("results").offsetTop) {
    scrollBy(0, -innerHeight);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    took.push(now - before);
    before = now;
  }
  return took.sort((one, other) => one - other);
});
await page.locator('#results tr[aria-rowindex="2"]').waitFor();
console.log(`  ${most} rows in the page at most; ${loading.length} tasks above 50 ms while loading, the longest ${Math.max(0, ...loading)} ms`);
console.log(`  back to the top: ${frames.length} frames, median ${Math.round(frames[frames.length >> 1])} ms, 99 of 100 within ${Math.round(frames[Math.floor(frames.length * 0.99)])} ms`);
await page.getByRole("region", { name: "Charge points, table" }).getByRole("link", { name: "CP-00000", exact: true }).focus();
await page.mouse.wheel(0, 60_000);
await page.locator('#results tr.room').first().waitFor({ state: "attached" });
assert.equal(await page.evaluate(() => document.activeElement.textContent), "CP-00000", "what has the focus stays");
await accessible("a long list");

step("and a row that was followed is where it was, on the way back");
const inList = (name) => page.locator("#results").getByRole("link", { name, exact: true });
const top = async (name) => Math.round((await inList(name).boundingBox()).y);
await page.evaluate(async () => {
  const drawn = () => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
  scrollTo(0, 0);
  for (let turn = 0; turn < 500; turn++) {
    const link = [...document.querySelectorAll("#results th a")].find((each) => each.textContent === "CP-01234");
    if (link && link.getBoundingClientRect().bottom < innerHeight) break;
    scrollBy(0, innerHeight / 2);
    await drawn();
  }
});
const stood = await top("CP-01234");
await inList("CP-01234").click();
await page.getByRole("heading", { name: "CP-01234" }).first().waitFor();
await timed("back at row 1,234 of the list", async () => {
  await page.goBack({ waitUntil: "load" });
  await inList("CP-01234").waitFor();
  await page.waitForFunction(() => document.activeElement.textContent === "CP-01234");
});
assert.ok(Math.abs((await top("CP-01234")) - stood) <= 2, `row 1,234 stood at ${stood}, and stands at ${await top("CP-01234")}`);
await page.mouse.wheel(0, 3_000);
await page.waitForTimeout(400); // the place is noted once the scrolling has ended
const shown = await page.evaluate(() => [...document.querySelectorAll("#results tbody tr:not(.room)")].find((row) => row.getBoundingClientRect().top >= 0).querySelector("a").textContent);
await page.getByRole("link", { name: "Sessions", exact: true }).click();
await page.goBack({ waitUntil: "load" });
await page.waitForFunction((name) => [...document.querySelectorAll("#results a")].some((each) => each.textContent === name && Math.abs(each.getBoundingClientRect().top) < innerHeight), shown);
await page.getByRole("searchbox").fill("site=site-3");
await page.waitForFunction(() => document.querySelector("#results tbody th").textContent === "CP-01500");
await page.reload();
assert.equal(await page.evaluate(() => scrollY < 2_000 && document.querySelector("#results tbody th").textContent), "CP-01500", "another search has no place of the one before");
await page.goto(many);

step("without scripts it is read by pages");
const plain = await context.browser()?.newContext({ javaScriptEnabled: false }) ?? await (await chromium.launch({ executablePath: "/usr/bin/chromium", args })).newContext({ javaScriptEnabled: false });
const paged = await plain.newPage();
const led = async (control) => { // a page that is being read has no rows yet
  const loaded = paged.waitForEvent("load");
  await control.click();
  await loaded;
};
await paged.goto(many);
await led(paged.getByRole("link", { name: "More" }));
assert.equal(await paged.locator("#results tbody tr").count(), 250);
assert.equal(await paged.locator("#results tbody th").first().innerText(), "CP-00100");
await led(paged.getByRole("link", { name: "From the beginning" }));
assert.equal(await paged.locator("#results tbody th").first().innerText(), "CP-00000");
await paged.getByRole("searchbox").fill("CP-07777");
await led(paged.getByRole("button", { name: "Search" }));
assert.match(await paged.locator("#results").innerText(), /One charge point\./);
await plain.close();
await plain.browser()?.close();

assert.deepEqual(faults, []);
await context.close();
proxy.close();
console.log("all of it holds");
