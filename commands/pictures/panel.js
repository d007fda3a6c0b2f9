// The panel: what is at the address that is pointed at, or pinned; and the list of differences.

const answer = document.getElementById("answer");
const cursor = make("div", "cursor"), pin = make("div", "cursor pinned");
const state = {pinned: null, pointed: null};

function show(side, address, {pinned = false} = {}) {
  if (state.pinned && !pinned) return;
  state.pointed = {side, address};
  if (pinned) state.pinned = {side, address};
  const {summary, lines} = chain(side, address), range = rangeAt(side, address);
  const parts = [];
  if (page.sides.length > 1) parts.push(make("p", "dim", side.label));
  const heading = make("h2", "", summary);
  const mark = make("p", "dim pin", state.pinned ? "pinned; Esc lets go" : "click pins");
  parts.push(heading, mark);
  if (range.change) parts.push(make("p", `change-text ${range.change.mark}`, range.change.texts.join("; ")));
  parts.push(listOf(lines));
  answer.replaceChildren(...parts);
  drawMarks();
}

function listOf(lines) {
  const list = make("dl");
  let detail = null;
  let before = "";
  for (const [label, text, step] of lines) {
    if (label && label !== before) list.append(make("dt", "", label), detail = make("dd"));
    before = label || before;
    const line = make("div", step ? "step" : "", step ? "" : text);
    if (step) {
      line.style.setProperty("--depth", step.depth);
      line.append(make("b", "", step.name), step.text);
    }
    detail.append(line);
  }
  return list;
}

function welcome() {
  answer.replaceChildren(make("p", "dim", "Point at an address to see what is there, and why."));
}

function letGo() {
  state.pinned = null;
  rememberAddress(null);
  if (state.pointed) show(state.pointed.side, state.pointed.address); else welcome();
}

function drawMarks() {
  for (const [element, at] of [[cursor, state.pinned ? null : state.pointed], [pin, state.pinned]]) {
    element.hidden = !at;
    if (!at) continue;
    element.style.top = `${rowOf(at.address) * view.scale}px`;
    element.className = `cursor side${at.side.number}${element === pin ? " pinned" : ""}`;
    element.dataset.address = `0x${hex(at.address)}`;
  }
}

// The address in the page's own address, so that a link to it can be given away.
function rememberAddress(at) {
  const number = at && at.side.number ? `,${at.side.number + 1}` : "";
  try {
    history.replaceState(null, "", at ? `#0x${hex(at.address)}${number}` : location.pathname + location.search);
  } catch { /* where the page has no address of its own */ }
}

function pinAt(side, address) {
  show(side, address, {pinned: true});
  rememberAddress(state.pinned);
}

// Bring an address into sight, so large that its range is drawn by itself.
function goTo(side, address, {pinned = true} = {}) {
  const range = rangeAt(side, address), height = range.bottom - range.top;
  if (height * view.scale < LEAST) zoom(READABLE / height);
  const y = rowOf(address) * view.scale;
  if (y < map.scrollTop + 30 || y > map.scrollTop + map.clientHeight - 60) map.scrollTop = y - map.clientHeight / 3;
  draw();
  if (pinned) pinAt(side, address); else show(side, address);
  const bar = view.bars[side.number].find(bar => side.map[bar.last].end >= address);
  select(view.elements.get(keyOf(bar)), false);
}

// Which bar the keyboard is at
function select(element, focus = true) {
  if (!element) return;
  for (const other of space.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
  view.current = element;
  const button = element.querySelector(".body");
  button.tabIndex = 0;
  if (focus) button.focus({preventScroll: true});
}

// Differences

let changeAt = -1;
function changeList() {
  const place = document.getElementById("changes");
  if (!page.changes) return;
  document.getElementById("stepper").hidden = !page.changes.length;
  const count = page.changes.length;
  place.append(make("h2", "", count ? `${count} difference${count === 1 ? "" : "s"}` : "Nothing differs"));
  const list = make("ol");
  page.changes.slice(0, 500).forEach((change, number) => {
    const {range} = placeOf(change), item = make("li"), button = make("button", `difference ${change.mark}`);
    button.type = "button";
    button.append(make("b", "", nameText(range)), ` ${change.texts.join(", ")}`, make("span", "mono dim", ` 0x${hex(range.start)}`));
    button.onclick = () => goToChange(number);
    item.append(button);
    list.append(item);
  });
  place.append(list);
  if (count > 500) place.append(make("p", "dim", `and ${count - 500} more`));
}

function placeOf(change) {
  const number = change.after === null ? 0 : 1;
  const side = page.sides[number];
  return {side, range: side.map[number ? change.after : change.before]};
}

function goToChange(number) {
  const count = page.changes?.length;
  if (!count) return;
  changeAt = (number + count) % count;
  const {side, range} = placeOf(page.changes[changeAt]);
  goTo(side, range.start);
}
