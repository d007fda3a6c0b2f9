// The map itself: which bars there are at a zoom, those that are in sight as elements, and the overview beside them.

const LEAST = 22; // pixels: what text needs; ranges that have less are drawn several as one
const HIGHEST = 8e6; // pixels: browsers go wrong with elements much higher
const READABLE = 24; // pixels of a row at first
const OVERSCAN = 400;
const map = document.getElementById("map"), space = document.getElementById("space");
const overview = document.getElementById("overview");
const view = {scale: 0, bars: [], elements: new Map(), current: null};

function make(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Zoom

const smallest = () => Math.min(map.clientHeight / axis.height, READABLE);
const largest = () => Math.max(HIGHEST / axis.height, smallest());

// At first all text can be read, but where that would be many screens all is in sight.
function firstScale() {
  return axis.height * READABLE > 30 * map.clientHeight ? smallest() : Math.max(READABLE, smallest());
}

// Pixels of a row; what is `anchor` pixels below the top of the window stays there.
function zoom(scale, anchor = map.clientHeight / 2) {
  scale = Math.max(smallest(), Math.min(scale, largest()));
  const row = (map.scrollTop + anchor) / (view.scale || scale);
  view.scale = scale;
  view.bars = page.sides.map(side => barsOf(side, scale));
  space.style.height = `${axis.height * scale}px`;
  map.scrollTop = row * scale - anchor;
  draw();
}

function barsOf(side, scale) {
  const bars = [];
  let pile = null;
  side.map.forEach((range, number) => {
    const height = (range.bottom - range.top) * scale;
    if (pile && height < LEAST) {
      pile.last = number;
      pile.bottom = range.bottom;
    } else {
      bars.push(pile = {side, first: number, last: number, top: range.top, bottom: range.bottom});
    }
    if (height >= LEAST || (pile.bottom - pile.top) * scale >= LEAST) pile = null;
  });
  return bars;
}

// Drawing

let frame = 0;
function drawSoon() {
  frame ||= requestAnimationFrame(() => { frame = 0; draw(); });
}

function draw(whole = false) {
  const first = whole ? 0 : (map.scrollTop - OVERSCAN) / view.scale;
  const end = whole ? axis.height : (map.scrollTop + map.clientHeight + OVERSCAN) / view.scale;
  const kept = new Set();
  for (const bars of view.bars) {
    for (let at = Math.max(0, last(bars.length, n => bars[n].top, first)); at < bars.length; at++) {
      if (bars[at].top > end) break;
      kept.add(place(bars[at]));
    }
  }
  for (const [key, element] of view.elements) {
    if (!kept.has(element) && (element !== document.activeElement || !isThere(element.bar))) {
      element.remove();
      view.elements.delete(key);
    }
  }
  drawTies(first, end);
  drawMarks();
  drawOverview();
}

const keyOf = bar => `${bar.side.number}:${bar.first}-${bar.last}`;
const isThere = bar => view.bars[bar.side.number].some(other => keyOf(other) === keyOf(bar));

function place(bar) {
  const key = keyOf(bar);
  let element = view.elements.get(key);
  if (!element) {
    element = bar.first === bar.last ? rangeElement(bar) : pileElement(bar);
    element.setAttribute("role", "listitem");
    view.elements.set(key, element);
    const after = [...space.querySelectorAll(".bar")].find(other => before(bar, other.bar));
    space.insertBefore(element, after ?? null);
  }
  element.bar = bar;
  const height = (bar.bottom - bar.top) * view.scale;
  element.style.top = `${bar.top * view.scale}px`;
  element.style.height = `${height}px`;
  element.classList.toggle("low", height < 18);
  if (element.drawnHeight !== height) drawSlots(element, bar, element.drawnHeight = height);
  return element;
}

const before = (one, other) => one.side.number - other.side.number || one.first - other.first < 0;

function barElement(bar, kind, label) {
  const element = make("div", `bar side${bar.side.number} ${kind}`);
  const button = make("button", "body");
  button.type = "button";
  button.tabIndex = view.current === null && bar.first === 0 && !bar.side.number ? 0 : -1;
  button.setAttribute("aria-label", label);
  const address = make("span", "address mono"), digits = hex(bar.side.map[bar.first].start, 16);
  const zeros = digits.match(/^0{0,15}/)[0];
  address.append(make("span", "zeros", zeros), digits.slice(zeros.length));
  element.append(address, button, make("span", "slots"));
  return element;
}

function rangeElement(bar) {
  const range = bar.side.map[bar.first], size = sizeText(sizeOf(range)), slots = slotsText(range.slots);
  const extent = `0x${hex(range.start)} to 0x${hex(range.end)}`;
  const what = [nameText(range), KINDS[range.kind], size, extent, slots, range.change?.texts.join(", ")];
  const element = barElement(bar, range.kind.replace("/", ""), what.filter(Boolean).join(", "));
  if (range.change) element.classList.add(range.change.mark);
  const label = make("span", "label");
  label.append(make("b", "", nameText(range)));
  if (range.backend && range.backend !== range.name) label.append(make("i", "", range.backend));
  if (page.sides.length > 1 && slots) label.append(make("i", "", slots));
  label.append(make("span", "size", size));
  element.querySelector(".body").append(label);
  return element;
}

function pileElement(bar) {
  const ranges = bar.side.map.slice(bar.first, bar.last + 1), solid = ranges.filter(range => !isHole(range));
  const names = solid.length ? `: ${nameText(solid[0])}${solid.length > 1 ? ` to ${nameText(solid.at(-1))}` : ""}` : "";
  const text = `${solid.length} range${solid.length === 1 ? "" : "s"}${names}`;
  const element = barElement(bar, "pile", `${text}, zoom in to see each`);
  const change = ranges.find(range => range.change)?.change;
  if (change) element.classList.add(change.mark);
  const label = make("span", "label");
  label.append(make("b", "", text), make("span", "size", sizeText(ranges.at(-1).end - ranges[0].start + 1n)));
  element.querySelector(".body").append(label);
  return element;
}

function drawSlots(element, bar, height) {
  const range = bar.side.map[bar.first], column = element.querySelector(".slots");
  if (page.sides.length > 1 || bar.first !== bar.last || !range.slots.length) return;
  const {slots} = range, size = Number(sizeOf(range));
  const whole = {start: slots[0].start, end: slots.at(-1).end};
  const drawn = slots.length <= Math.min(256, height / 6) ? slots : [whole];
  column.replaceChildren(...drawn.map(slot => {
    const box = make("span", "slot"), legible = drawn.length > 1 && height / drawn.length > 18;
    box.style.top = `${Number(BigInt(slot.start) - range.start) / size * 100}%`;
    box.style.height = `${Number(BigInt(slot.end) - BigInt(slot.start) + 1n) / size * 100}%`;
    if (drawn.length === 1 || legible) box.append(make("span", "", legible ? `slot ${slot.slot}` : slotsText(slots)));
    return box;
  }));
  column.title = slotsText(slots);
}

// Two machines: what became of what

const BADGES = {moved: "moved", resized: "resized", new: "new", gone: "gone", name: "other name", kind: "other kind",
  offset: "other part", ramblock: "other RAMBlock", backend: "other backend", slots: "other slot"};
const MOST_TIES = 300; // of more only those are drawn that can be told apart
const ties = document.createElementNS("http://www.w3.org/2000/svg", "svg");
const badges = make("div");

function drawTies(first, end) {
  if (!page.changes) return;
  const paths = [], shown = [], lowest = page.changes.length > MOST_TIES ? 3 : 0;
  for (const change of page.changes) {
    const ends = ["before", "after"].map((name, number) => change[name] === null ? null : page.sides[number].map[change[name]]);
    const there = ends.filter(Boolean);
    if (Math.max(...there.map(range => range.bottom)) < first || Math.min(...there.map(range => range.top)) > end) continue;
    const height = Math.max(...there.map(range => range.bottom - range.top)) * view.scale;
    if (there.length === 2 && height >= lowest) {
      const [one, two] = there.map(range => [range.top * view.scale + 1, range.bottom * view.scale - 1]);
      const path = document.createElementNS(ties.namespaceURI, "path");
      path.setAttribute("class", change.mark);
      path.setAttribute("d", `M0 ${one[0]}C50 ${one[0]} 50 ${two[0]} 100 ${two[0]}V${two[1]}C50 ${two[1]} 50 ${one[1]} 0 ${one[1]}Z`);
      paths.push(path);
    }
    const at = there.at(-1);
    if ((at.bottom - at.top) * view.scale >= LEAST) {
      const badge = make("span", `badge ${change.mark} ${change.after === null ? "left" : "right"}`);
      badge.textContent = change.kinds.map(kind => BADGES[kind]).join(" · ");
      badge.style.top = `${at.top * view.scale + 2}px`;
      shown.push(badge);
    }
  }
  ties.setAttribute("viewBox", `0 0 100 ${axis.height * view.scale}`);
  ties.replaceChildren(...paths);
  badges.replaceChildren(...shown);
}

// Overview

const strip = document.createElement("canvas"); // all of it, drawn once for each size and colour scheme
let stripOf = "";

function drawOverview() {
  const width = overview.clientWidth, height = overview.clientHeight, density = devicePixelRatio || 1;
  if (!width || !height) return;
  const colours = getComputedStyle(document.documentElement), colour = name => colours.getPropertyValue(name);
  const wanted = [width, height, density, colour("--paper")].join();
  if (stripOf !== wanted) {
    stripOf = wanted;
    for (const canvas of [overview, strip]) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    drawStrip(width, height, density, colour);
  }
  const pen = overview.getContext("2d"), rows = height / axis.height;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, overview.width, overview.height);
  pen.drawImage(strip, 0, 0);
  pen.setTransform(density, 0, 0, density, 0, 0);
  const top = map.scrollTop / view.scale * rows, tall = map.clientHeight / view.scale * rows;
  if (tall >= height - 1) return;
  pen.fillStyle = colour("--paper");
  pen.globalAlpha = .6;
  pen.fillRect(0, 0, width, top);
  pen.fillRect(0, top + tall, width, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colour("--ink");
  pen.lineWidth = 1.5;
  pen.strokeRect(.75, top + .75, width - 1.5, Math.max(tall - 1.5, 3));
}

function drawStrip(width, height, density, colour) {
  const pen = strip.getContext("2d"), rows = height / axis.height, share = width / page.sides.length;
  pen.setTransform(density, 0, 0, density, 0, 0);
  for (const side of page.sides) {
    for (const range of side.map) {
      if (isHole(range)) continue;
      const kind = range.change?.mark ?? `${range.kind.replace("/", "")}-edge`;
      pen.fillStyle = colour(`--${kind === "renumbered" ? "slot-edge" : kind}`);
      const tall = Math.max((range.bottom - range.top) * rows - .5, .5);
      pen.fillRect(side.number * share, range.top * rows, share - (page.sides.length > 1 ? 1 : 0), tall);
    }
  }
}
