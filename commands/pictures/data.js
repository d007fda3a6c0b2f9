// What the page has in it, and where it is drawn. Addresses are BigInts: they have 64 bits.

const END = 1n << 64n;
const HOLES = {hole: "nothing", unknown: "no memory; registers are not modelled", room: "room for memory devices",
  unplugged: "unplugged memory of"};
const KINDS = {ram: "RAM", rom: "ROM", romd: "ROM device", "i/o": "registers", room: "room for memory devices",
  unplugged: "unplugged memory"};

// Numbers that a double cannot hold become texts, which BigInt understands as well.
function parse(text) {
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, found => found[0] === '"' ? found : `"${found}"`));
}

const page = parse(document.getElementById("data").textContent);
const axis = {
  starts: page.axis.map(piece => BigInt(piece[0])),
  heights: page.axis.map(piece => piece[1]),
  tops: [0],
};
for (const height of axis.heights) axis.tops.push(axis.tops.at(-1) + height);
axis.height = axis.tops.at(-1);

// The last of sorted things that `at` does not put behind `value`; -1 if there is none.
function last(count, at, value) {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(middle) <= value) low = middle + 1; else high = middle;
  }
  return low - 1;
}

// Where an address is, in rows from the top.
function rowOf(address) {
  if (address >= END) return axis.height;
  const number = last(axis.starts.length, at => axis.starts[at], address);
  const end = axis.starts[number + 1] ?? END;
  const share = Number(address - axis.starts[number]) / Number(end - axis.starts[number]);
  return axis.tops[number] + share * axis.heights[number];
}

// The address in a row, as round as what a pixel stands for; `rows` are those of a pixel.
function addressAt(row, rows) {
  row = Math.max(0, Math.min(row, axis.height));
  const number = Math.min(last(axis.starts.length, at => axis.tops[at], row), axis.starts.length - 1);
  const start = axis.starts[number], size = (axis.starts[number + 1] ?? END) - start;
  const share = (row - axis.tops[number]) / axis.heights[number];
  const address = start + BigInt(Math.floor(Number(size) * Math.min(share, 0.999999)));
  const grain = 1n << BigInt(Math.max(0, Math.floor(Math.log2(Number(size) * rows / axis.heights[number]))));
  const round = address / grain * grain;
  return round < start ? start : round;
}

for (const [number, side] of page.sides.entries()) {
  side.number = number;
  for (const range of side.map) {
    range.start = BigInt(range.start);
    range.end = BigInt(range.end);
    range.offset = BigInt(range.offset);
    range.top = rowOf(range.start);
  }
  side.map.forEach((range, at) => { range.bottom = side.map[at + 1]?.top ?? axis.height; });
}
for (const change of page.changes ?? []) {
  change.mark = {new: "new", gone: "gone", slots: "renumbered"}[change.kinds[0]] ?? "change";
  for (const [number, name] of ["before", "after"].entries()) {
    if (change[name] !== null) page.sides[number].map[change[name]].change = change;
  }
}

function rangeAt(side, address) {
  return side.map[last(side.map.length, at => side.map[at].start, address)];
}

const hex = (number, digits = 0) => number.toString(16).padStart(digits, "0");
const sizeOf = range => range.end - range.start + 1n;
const isHole = range => range.kind in HOLES;

function sizeText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  while (bytes >= 1000n << BigInt(10 * unit) && unit < units.length - 1) unit++;
  return `${Number((Number(bytes) / 2 ** (10 * unit)).toPrecision(3))} ${units[unit]}`;
}

function nameText(range) {
  if (isHole(range)) return `${HOLES[range.kind]} ${range.name}`.trimEnd();
  return range.offset ? `${range.name} @0x${hex(range.offset)}` : range.name;
}

function slotsText(slots) {
  const numbers = slots.map(slot => slot.slot);
  if (!numbers.length) return "";
  if (numbers.length === 1) return `slot ${numbers[0]}`;
  const inOrder = numbers.every((number, at) => number === numbers[0] + at);
  if (numbers.length > 2 && inOrder) return `${numbers.length} slots ${numbers[0]}-${numbers.at(-1)}`;
  return numbers.length > 4 ? `${numbers.length} slots` : `slots ${numbers.join(", ")}`;
}
