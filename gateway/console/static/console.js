// What pages do in the browser: live parts by server-sent events, curves, search while typing, local times, the theme.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const stamp = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hour12: false });

  // --- times in the browser's own zone
  function localise(root) {
    for (const each of root.querySelectorAll("time[datetime]")) {
      if (each.title) continue;
      each.title = each.textContent;
      each.textContent = stamp.format(new Date(each.dateTime));
    }
  }

  // --- curves
  const charts = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function axes(left, right) {
    const look = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const made = [{ ...look }, { ...look, label: left, labelSize: 16, size: 56 }];
    if (right) made.push({ ...look, grid: { show: false }, scale: "kwh", side: 1, label: right, labelSize: 16, size: 56 });
    return made;
  }

  function fleetChart(place, data) {
    const shown = { label: "kW", stroke: colour("--accent"), fill: colour("--accent-soft"), width: 2, points: { show: false } };
    return new uPlot({ ...size(place), series: [{}, shown], axes: axes("kW"), scales: { y: { range: fromZero } } }, data, place);
  }

  const fromZero = (chart, low, high) => [Math.min(0, low || 0), Math.max(high || 0, 1) * 1.08];
  const stepped = uPlot.paths.stepped({ align: 1 });

  function sessionChart(place, found) {
    const tables = [found.power, found.energy, found.limit];
    const priced = found.price[0].length > 0;
    if (priced) tables.push(found.price);
    const data = found.power[0].length || found.energy[0].length ? uPlot.join(tables.map((each) => each)) : [[], ...tables.map(() => [])];
    const dash = [6, 4];
    const series = [
      {},
      { label: "Power, kW", stroke: colour("--accent"), fill: colour("--accent-soft"), width: 2, spanGaps: true, points: { show: false } },
      { label: "Energy, kWh", stroke: colour("--second"), width: 2, scale: "kwh", spanGaps: true, points: { show: false } },
      { label: "Limit, kW", stroke: colour("--bad"), width: 2, dash, paths: stepped, spanGaps: true, points: { show: false } },
    ];
    const scales = { y: { range: fromZero }, kwh: { range: fromZero } };
    if (priced) {
      series.push({ label: `Price, ${found.currency}/kWh`, stroke: colour("--third"), width: 1.5, scale: "price", paths: stepped, spanGaps: true, points: { show: false } });
      scales.price = { range: fromZero };
    }
    return new uPlot({ ...size(place), series, axes: axes("kW", "kWh"), scales }, data, place);
  }

  const size = (place) => ({ width: Math.max(240, place.clientWidth), height: 260 });

  function draw() {
    for (const each of charts.splice(0)) each.chart.destroy();
    for (const place of document.querySelectorAll("[data-chart]")) {
      const source = place.parentElement.querySelector(".chart-data");
      const data = place.held || (place.held = JSON.parse(source.textContent));
      const empty = place.dataset.chart === "fleet" ? !data[0].length : !data.power[0].length && !data.energy[0].length;
      place.classList.toggle("empty", empty);
      const make = place.dataset.chart === "fleet" ? fleetChart : sessionChart;
      charts.push({ place, chart: make(place, data) });
    }
  }

  function addPoints([times, values]) {
    const place = document.querySelector("[data-chart]");
    if (!place || !place.held || !times.length) return;
    const held = place.dataset.chart === "fleet" ? place.held : place.held.power;
    const last = held[0].length ? held[0][held[0].length - 1] : 0;
    times.forEach((at, index) => {
      if (at > last) { held[0].push(at); held[1].push(values[index]); }
    });
    const most = place.dataset.chart === "fleet" ? 1500 : 4000;
    if (held[0].length > most) { held[0].splice(0, held[0].length - most); held[1].splice(0, held[1].length - most); }
    draw();
  }

  // --- live parts
  function say(text, kind) {
    const live = $("live");
    live.hidden = false;
    live.textContent = text;
    live.dataset.kind = kind;
  }

  const ENDED = { UNAUTHENTICATED: "signed out", PERMISSION_DENIED: "not allowed", NOT_FOUND: "gone" };

  function listen(address) {
    const source = new EventSource(address);
    let over = false;
    source.addEventListener("open", () => say("live", "good"));
    source.addEventListener("error", () => { if (!over) say(source.readyState === EventSource.CLOSED ? "signed out" : "reconnecting", "warn"); });
    source.addEventListener("fragments", (event) => {
      say("live", "good");
      for (const [id, html] of Object.entries(JSON.parse(event.data))) replace($(id), html);
    });
    source.addEventListener("points", (event) => addPoints(JSON.parse(event.data)));
    source.addEventListener("lost", (event) => {
      const ended = ENDED[JSON.parse(event.data).code];
      if (ended) { over = true; source.close(); } // to ask again would be refused again
      say(ended ?? "gateway lost", "warn");
    });
    source.addEventListener("end", () => { over = true; source.close(); $("live").hidden = true; });
    addEventListener("pagehide", () => source.close());
  }

  // A live part is drawn anew; what is read, selected or focused in it stays where it is.
  function replace(place, html) {
    if (!place) return;
    const active = document.activeElement;
    const focused = place.contains(active) ? [...place.querySelectorAll("a, button, [tabindex]")].indexOf(active) : -1;
    const scrolled = [...place.querySelectorAll(".scroll, .frames")].map((each) => [each.scrollLeft, each.scrollTop]);
    if (place.contains(getSelection().anchorNode) && !getSelection().isCollapsed) return;
    place.innerHTML = html;
    localise(place);
    [...place.querySelectorAll(".scroll, .frames")].forEach((each, index) => {
      if (scrolled[index]) [each.scrollLeft, each.scrollTop] = scrolled[index];
    });
    if (focused >= 0) place.querySelectorAll("a, button, [tabindex]")[focused]?.focus({ preventScroll: true });
  }

  // Without this header an address answers with a whole page. What a page fills in by itself is no use by its person.
  const partFor = (why) => ({ headers: { "x-fragment": why } });

  // --- search while typing, and the next page below the one that is shown
  function search(form) {
    let waiting = 0;
    let asked = 0;
    async function look() {
      const query = new URLSearchParams(new FormData(form));
      const mine = ++asked;
      const answer = await fetch(`${form.dataset.search}?${query}`, partFor("search"));
      if (!answer.ok) { form.submit(); return; }
      const html = await answer.text();
      if (mine !== asked) return;
      show(html);
      history.replaceState(null, "", `?${query}`);
    }
    form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(look, 150); });
    form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(waiting); look(); });
    $("results").addEventListener("click", async (event) => {
      const more = event.target.closest("[data-more]");
      if (!more || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const first = await load(form, more);
      first?.querySelector("a")?.focus();
    });
    arrange = () => watch(form);
    arrange();
    keepPlace(form);
  }

  function show(html) {
    $("results").innerHTML = html;
    localise($("results"));
    $("said").textContent = $("results").querySelector(".count")?.textContent ?? "";
    arrange();
  }

  // The next page, as a body of rows of its own behind those that are there; returns its first row.
  async function load(form, more) {
    if (more.busy) return null;
    more.busy = true;
    let answer;
    try { answer = await fetch(form.dataset.search + more.search, partFor("search")); } catch (away) { more.busy = false; return null; }
    if (!answer.ok) { location.href = more.href; return null; }
    const html = await answer.text();
    if (!more.isConnected) return null; // another search has come meanwhile
    const table = $("results").querySelector("table");
    if (!table) { show(html); return null; } // none was on the pages before
    const page = new DOMParser().parseFromString(html, "text/html");
    const body = page.querySelector("tbody");
    const place = more.parentElement;
    const first = body?.rows[0];
    if (body) {
      localise(body);
      for (const part of parts(body)) {
        table.append(part);
        bodies.observe(part);
      }
    }
    const next = page.querySelector(".more");
    if (next) {
      next.querySelector("a:not([data-more])")?.remove();
      place.replaceWith(next);
      ends.observe(next);
    } else place.remove();
    return first;
  }

  // Bodies of so few rows that one of them is put aside, or taken back, within a frame.
  function* parts(body) {
    const rows = [...body.rows];
    for (let at = 0; at < rows.length; at += 25) {
      const part = document.createElement("tbody");
      part.append(...rows.slice(at, at + 25));
      yield part;
    }
  }

  // --- a long list: only the rows near the screen are in the page; those of a body that is far away are put aside
  const FAR = "1200px";
  const aside = new WeakMap();
  let bodies, ends, arrange = () => {};

  function watch(form) {
    bodies?.disconnect();
    ends?.disconnect();
    bodies = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) if (isIntersecting) takeBack(target); else putAside(target);
    }, { rootMargin: FAR });
    ends = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) if (isIntersecting && !returning) load(form, target.querySelector("[data-more]"));
    }, { rootMargin: FAR });
    for (const each of $("results").querySelectorAll("tbody")) bodies.observe(each);
    for (const each of $("results").querySelectorAll(".more")) ends.observe(each);
  }

  function putAside(body) {
    // What has the focus, or is selected, stays where it is.
    if (aside.has(body) || !body.isConnected || body.contains(document.activeElement)) return;
    if (body.contains(getSelection().anchorNode) && !getSelection().isCollapsed) return;
    const height = body.getBoundingClientRect().height;
    const rows = document.createDocumentFragment();
    rows.append(...body.rows);
    aside.set(body, rows);
    const room = body.insertRow();
    room.setAttribute("aria-hidden", "true");
    room.className = "room";
    const cell = room.insertCell();
    cell.colSpan = 6;
    cell.style.height = `${height}px`;
  }

  function takeBack(body) {
    const rows = aside.get(body);
    if (!rows) return;
    aside.delete(body);
    body.replaceChildren(rows);
  }

  // --- the place in a long list: kept with the page in the browser's history, and found again on the way back
  let returning = false;

  const rowsOf = (body) => [...(aside.get(body) ?? body).querySelectorAll("tr:not(.room)")];
  const bodiesOf = () => [...$("results").querySelectorAll("tbody")];
  const linkOf = (row) => row.querySelector("th a");
  const loaded = () => bodiesOf().reduce((sum, body) => sum + rowsOf(body).length, 0);

  function keepPlace(form) {
    let waiting = 0;
    const note = (row, followed) => {
      if (returning || !row) return;
      const place = { href: linkOf(row)?.getAttribute("href"), top: row.getBoundingClientRect().top, rows: loaded(), followed };
      history.scrollRestoration = "manual"; // of this page in the history: the rows are not there yet when a browser would scroll
      history.replaceState({ place }, "");
    };
    // The row that is followed; on any other way out, the first that is on the screen.
    $("results").addEventListener("click", (event) => {
      const row = event.target.closest("tbody tr:not(.room)");
      if (row) clearTimeout(waiting); // a scroll just before would note another row while the next page is on its way
      note(row, true);
    });
    addEventListener("scroll", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        if (scrollY === 0) { if (!returning) history.replaceState(null, ""); return; }
        note([...$("results").querySelectorAll("tbody tr:not(.room)")].find((row) => row.getBoundingClientRect().top >= 0), false);
      }, 150);
    }, { passive: true });
    if (history.state?.place) comeBack(form, history.state.place);
  }

  // Load as much as there was, until the row is there, and put it where it was on the screen.
  async function comeBack(form, place) {
    returning = true;
    const began = $("results").firstElementChild;
    try {
      let body;
      const has = (each) => rowsOf(each).some((row) => linkOf(row)?.getAttribute("href") === place.href);
      while (!(body = bodiesOf().find(has)) && loaded() < place.rows) {
        const more = $("results").querySelector("[data-more]");
        if (!more || (!(await load(form, more)) && more.isConnected)) break;
        if ($("results").firstElementChild !== began) return; // a search has come meanwhile
      }
      if (!body) return;
      takeBack(body);
      const link = linkOf(rowsOf(body).find((row) => linkOf(row)?.getAttribute("href") === place.href));
      scrollBy({ top: link.closest("tr").getBoundingClientRect().top - place.top, behavior: "instant" });
      if (place.followed) link.focus({ preventScroll: true });
    } finally {
      returning = false;
      for (const each of $("results").querySelectorAll(".more")) { ends.unobserve(each); ends.observe(each); }
    }
  }

  // --- the theme
  function theme() {
    const root = document.documentElement;
    $("theme").addEventListener("click", () => {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch (refused) { /* it holds for this page */ }
      draw();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }

  // --- parts that take their time
  async function fill(place) {
    const answer = await fetch(place.dataset.fetch, partFor("filling"));
    if (answer.ok) replace(place, await answer.text());
  }

  localise(document);
  theme();
  document.querySelectorAll("[data-fetch]").forEach(fill);
  draw();
  let drawing = 0;
  addEventListener("resize", () => { clearTimeout(drawing); drawing = setTimeout(draw, 100); });
  const form = document.querySelector("[data-search]");
  if (form) search(form);
  if (document.body.dataset.live) listen(document.body.dataset.live);
})();
