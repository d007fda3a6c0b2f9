// What people do: point, click, drag, turn the wheel, pinch, type, search, print.

const search = document.getElementById("search"), found = document.getElementById("found");

function pointAt(event) {
  const bar = event.target.closest?.(".bar")?.bar;
  if (!bar) return null;
  const row = (event.clientY - space.getBoundingClientRect().top) / view.scale;
  const range = bar.side.map[bar.first], end = bar.side.map[bar.last].end;
  let address = addressAt(row, 1 / view.scale);
  if (address < range.start) address = range.start;
  return {bar, side: bar.side, address: address > end ? end : address};
}

function openBar({bar, side, address}) {
  if (bar.first === bar.last) return pinAt(side, address);
  zoom(Math.max(READABLE / ((bar.bottom - bar.top) / (bar.last - bar.first + 1)), view.scale * 2),
    rowOf(address) * view.scale - map.scrollTop);
}

let drag = null;
map.addEventListener("pointermove", event => {
  if (drag && event.pointerType === "mouse") {
    drag.moved ||= Math.abs(event.clientY - drag.y) > 4;
    if (drag.moved) map.scrollTop = drag.top - (event.clientY - drag.y);
  }
  const at = pointAt(event);
  if (at) show(at.side, at.address);
});
map.addEventListener("pointerdown", event => {
  if (event.button === 0) drag = {y: event.clientY, top: map.scrollTop, moved: false};
});
addEventListener("pointerup", () => { if (drag && !drag.moved) drag = null; else setTimeout(() => { drag = null; }); });
map.addEventListener("click", event => {
  if (drag?.moved) return;
  const at = pointAt(event);
  if (!at) return;
  select(event.target.closest(".bar"));
  if (event.detail) openBar(at);
  else openBar({...at, address: at.side.map[at.bar.first].start}); // by the keyboard
});
map.addEventListener("focusin", event => {
  const bar = event.target.closest(".bar")?.bar;
  if (bar && event.target.matches(":focus-visible")) show(bar.side, bar.side.map[bar.first].start);
});

// Zoom

map.addEventListener("wheel", event => {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) return;
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode ? 30 : 1);
  zoom(view.scale * 2 ** (-Math.max(-300, Math.min(pixels, 300)) / 200), event.clientY - map.getBoundingClientRect().top);
}, {passive: false});

let pinch = null;
const distance = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
map.addEventListener("touchmove", event => {
  if (event.touches.length !== 2) { pinch = null; return; }
  event.preventDefault();
  const [one, other] = event.touches, apart = Math.max(distance([one, other]), 20);
  pinch ??= {apart, scale: view.scale};
  zoom(pinch.scale * apart / pinch.apart, (one.clientY + other.clientY) / 2 - map.getBoundingClientRect().top);
}, {passive: false});
map.addEventListener("touchend", () => { pinch = null; });

document.getElementById("in").onclick = () => zoom(view.scale * 1.6);
document.getElementById("out").onclick = () => zoom(view.scale / 1.6);
document.getElementById("fit").onclick = () => zoom(smallest());
document.getElementById("next").onclick = () => goToChange(changeAt + 1);
document.getElementById("previous").onclick = () => goToChange(changeAt < 0 ? -1 : changeAt - 1);
map.addEventListener("scroll", drawSoon, {passive: true});

function jump(event) {
  const share = (event.clientY - overview.getBoundingClientRect().top) / overview.clientHeight;
  map.scrollTop = share * axis.height * view.scale - map.clientHeight / 2;
}
overview.addEventListener("pointerdown", event => { overview.setPointerCapture(event.pointerId); jump(event); });
overview.addEventListener("pointermove", event => { if (event.buttons) jump(event); });

// Keys

function step(by, side = view.current?.bar.side ?? page.sides[0]) {
  const bars = view.bars[side.number], from = view.current?.bar;
  let at = last(bars.length, n => bars[n].top, from?.top ?? 0);
  if (from && from.side === side) at += by;
  const bar = bars[Math.max(0, Math.min(at, bars.length - 1))];
  const top = bar.top * view.scale, bottom = Math.min(bar.bottom * view.scale, top + map.clientHeight / 2);
  if (top < map.scrollTop) map.scrollTop = top - 8;
  if (bottom > map.scrollTop + map.clientHeight) map.scrollTop = bottom - map.clientHeight + 8;
  draw();
  if (state.pinned) letGo();
  select(place(bar));
  show(bar.side, bar.side.map[bar.first].start);
}

const KEYS = {
  "+": () => zoom(view.scale * 1.6), "=": () => zoom(view.scale * 1.6), "-": () => zoom(view.scale / 1.6),
  "0": () => zoom(smallest()), "/": () => search.focus(), Escape: letGo,
  n: () => goToChange(changeAt + 1), p: () => goToChange(changeAt < 0 ? -1 : changeAt - 1),
  ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => step(-Infinity), End: () => step(Infinity),
  ArrowRight: () => page.sides[1] && step(0, page.sides[1]), ArrowLeft: () => page.sides[1] && step(0, page.sides[0]),
};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target === search) return;
  if (!(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});

// Search: names of all that has one, and addresses as `why` takes them

function typedAddress(text) {
  const units = "bkmgtpe";
  let parts;
  if (/^0x[0-9a-f]{1,16}$/i.test(text)) return BigInt(text);
  if (/^[0-9a-f]{16}$/i.test(text)) return BigInt(`0x${text}`);
  if ((parts = /^(\d+)([bkmgtpe]?)$/i.exec(text))) {
    const address = BigInt(parts[1]) << BigInt(10 * Math.max(0, units.indexOf(parts[2].toLowerCase() || "b")));
    return address < END ? address : null;
  }
  return null;
}

function results(text) {
  if (!text) return [];
  const address = typedAddress(text), low = text.toLowerCase(), all = [];
  if (address !== null) for (const side of page.sides) all.push({side, address, text: nameText(rangeAt(side, address))});
  for (const side of page.sides) {
    for (const range of side.map) {
      const words = [nameText(range), range.ramblock, range.backend, slotsText(range.slots)];
      if (words.some(word => word?.toLowerCase().includes(low))) {
        all.push({side, address: range.start, text: `${nameText(range)}, ${sizeText(sizeOf(range))}`});
      }
    }
  }
  return all;
}

let hits = [], hit = -1;
function find() {
  hits = results(search.value.trim());
  hit = -1;
  found.replaceChildren(...hits.slice(0, 100).map(({side, address, text}, number) => {
    const item = make("li"), number2 = page.sides.length > 1 ? ` (${side.label})` : "";
    item.id = `found${number}`;
    item.setAttribute("role", "option");
    item.append(make("span", "mono", `0x${hex(address)}`), ` ${text}${number2}`);
    item.onpointerdown = event => { event.preventDefault(); choose(number); closeFound(); };
    return item;
  }));
  if (search.value.trim() && !hits.length) found.append(make("li", "dim", "nothing has that name"));
  if (hits.length > 100) found.append(make("li", "dim", `and ${hits.length - 100} more`));
  found.hidden = !search.value.trim();
  search.setAttribute("aria-expanded", String(!found.hidden));
}

function choose(number) {
  if (!hits.length) return;
  hit = (number + hits.length) % hits.length;
  for (const item of found.children) item.setAttribute("aria-selected", String(item.id === `found${hit}`));
  search.setAttribute("aria-activedescendant", `found${hit}`);
  document.getElementById(`found${hit}`)?.scrollIntoView({block: "nearest"});
  goTo(hits[hit].side, hits[hit].address);
}

function closeFound() {
  found.hidden = true;
  search.setAttribute("aria-expanded", "false");
}

search.addEventListener("input", find);
search.addEventListener("focus", () => { if (search.value.trim()) find(); });
search.addEventListener("blur", closeFound);
search.addEventListener("keydown", event => {
  if (event.key === "Enter" || event.key === "ArrowDown") choose(hit + 1);
  else if (event.key === "ArrowUp") choose(hit < 0 ? -1 : hit - 1);
  else if (event.key === "Escape") { search.value = ""; closeFound(); map.focus(); }
  else return;
  event.preventDefault();
});

// Paper: the map on one page, and all of it as a table

const MOST_LINES = 2000;
function toPaper() {
  view.onScreen = {scale: view.scale, top: map.scrollTop};
  document.body.classList.add("printing");
  document.body.classList.toggle("free", !state.pinned);
  view.scale = Math.min(READABLE, 900 / axis.height);
  view.bars = page.sides.map(side => barsOf(side, view.scale));
  space.style.height = `${axis.height * view.scale}px`;
  draw(true);
  const table = document.getElementById("paper");
  const heads = ["Address", "Size", "Kind", "Name", "Memslots", "Backend"];
  if (page.changes) heads.push("Difference");
  const head = make("tr");
  head.append(...heads.map(text => make("th", "", text)));
  const body = page.sides.flatMap(side => [
    ...page.sides.length > 1 ? [lineOf([side.label])] : [],
    ...side.map.slice(0, MOST_LINES).map(range => lineOf([hex(range.start, 16), sizeText(sizeOf(range)),
      isHole(range) ? "" : range.kind, nameText(range), slotsText(range.slots), range.backend ?? "",
      ...page.changes ? [range.change?.texts.join(", ") ?? ""] : []])),
    ...side.map.length > MOST_LINES ? [lineOf([`and ${side.map.length - MOST_LINES} more`])] : [],
  ]);
  const top = make("thead");
  top.append(head);
  table.replaceChildren(top, ...body);
}

function lineOf(texts) {
  const line = make("tr");
  line.append(...texts.map(text => make("td", "", text)));
  return line;
}

addEventListener("beforeprint", toPaper);
addEventListener("afterprint", () => {
  document.body.classList.remove("printing", "free");
  document.getElementById("paper").replaceChildren();
  zoom(view.onScreen.scale);
  map.scrollTop = view.onScreen.top;
});

// The beginning

function legend() {
  const kinds = new Set(page.sides.flatMap(side => side.map.map(range => range.kind)));
  for (const [kind, text] of Object.entries(KINDS)) {
    if (!kinds.has(kind)) continue;
    const item = make("span", `key ${kind.replace("/", "")}`);
    item.append(make("span", "swatch"), text);
    document.getElementById("legend").append(item, " ");
  }
}

function start() {
  for (const side of page.sides) {
    const part = make("div");
    part.append(make("h1", "", side.label), make("p", "dim", side.detail));
    document.getElementById("machines").append(part);
  }
  document.body.classList.toggle("two", page.sides.length > 1);
  ties.id = "ties";
  ties.setAttribute("preserveAspectRatio", "none");
  ties.setAttribute("aria-hidden", "true");
  badges.id = "badges";
  for (const element of [badges, cursor, pin]) element.setAttribute("aria-hidden", "true");
  space.style.setProperty("--digits", Math.max(...page.sides.map(side => hex(side.map.at(-1).start).length), 8));
  space.append(ties, badges, cursor, pin);
  legend();
  changeList();
  welcome();
  zoom(firstScale(), 0);
  openLinked();
}

function openLinked() {
  const [, text, number] = /^#(0x[0-9a-f]{1,16})(?:,([12]))?$/i.exec(location.hash) ?? [];
  const side = page.sides[(number ?? 1) - 1];
  if (text && side) goTo(side, BigInt(text));
}

start();
addEventListener("hashchange", openLinked);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawOverview);
new ResizeObserver(() => { if (!document.body.classList.contains("printing")) zoom(view.scale, 0); }).observe(map);
