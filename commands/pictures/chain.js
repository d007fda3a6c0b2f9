// What is behind an address: the lines that `why` prints, each as its label and its text.

const LAST = END - 1n;
const REASONS = {
  disabled: (by, loser) => `${by} is disabled`,
  priority: (by, loser) => `${by} has a higher priority than ${loser}`,
  order: (by, loser) => `${by} was added later than ${loser}, with the same priority`,
  subregion: (by, loser) => `${by} lies in it`,
};

function pieceAt(side, address) {
  return side.pieces[last(side.pieces.length, at => BigInt(side.pieces[at].start), address)];
}

function chain(side, address) {
  const piece = pieceAt(side, address);
  return {
    summary: summary(side, piece, address),
    lines: [...pathLines(side, piece, address), ...placeLines(side, piece, address), ...shadowLines(side, piece)],
  };
}

function whyText(side, address) {
  const {summary, lines} = chain(side, address);
  return [summary, ...lines.map(([label, text]) => (label && `${label}:`).padEnd(12) + text)].join("\n");
}

function summary(side, piece, address) {
  const place = `0x${hex(address)}`;
  if (piece.path.length) {
    const region = side.regions[piece.path.at(-1)];
    return `${place} is ${region.name} + 0x${hex(address - BigInt(region.start))} (${region.type})`;
  }
  if (piece.unknown) {
    return `${place} is no memory; whether a device answers is not known: this board's registers are not modelled`;
  }
  if (piece.room) return `${place} is nothing: there is room for memory devices, and none has it`;
  if (piece.device) return `${place} is nothing: its memory device has it unplugged`;
  return `${place} is nothing: no region of address space 'memory' answers there`;
}

function pathLines(side, piece, address) {
  return piece.path.map((number, depth) => {
    const region = side.regions[number], start = BigInt(region.start), size = BigInt(region.size);
    let place = `+0x${hex(address - start)}`;
    if (start >= 0n) place = `${hex(start, 16)}-${hex(size === LAST ? LAST : start + size - 1n, 16)}`;
    const behindAlias = depth > 0 && side.regions[piece.path[depth - 1]].alias;
    const priority = behindAlias ? "" : `, prio ${region.priority}`;
    const alias = region.alias ? `, alias of ${region.alias.name} @0x${hex(BigInt(region.alias.offset))}` : "";
    const text = `: ${place}${priority}${alias}`;
    return [depth ? "" : "region", `${"  ".repeat(depth)}${region.name}${text}`, {depth, name: region.name, text}];
  });
}

function placeLines(side, piece, address) {
  const lines = [], range = rangeAt(side, address);
  if (piece.path.length) {
    const by = "readonly-by" in piece ? ` because of ${piece["readonly-by"]}` : "";
    const access = (piece.readonly ? "read only" : "read and write") + by;
    const place = `${hex(range.start, 16)}-${hex(range.end, 16)}`;
    lines.push(["flat range", `${place} of ${range.name} @0x${hex(range.offset)}, ${access}`]);
  }
  if ("block" in piece) lines.push(...memoryLines(side, piece, address, range));
  if (piece.device) {
    const plugged = piece.device.plugged === false ? ", not plugged" : "";
    lines.push(["device", `${piece.device.path} (${piece.device.type})${plugged}`]);
  }
  return lines;
}

function memoryLines(side, piece, address, range) {
  const block = side.blocks[piece.block], distance = address - BigInt(piece.start);
  const offset = BigInt(piece.offset) + distance;
  const stream = piece.stream
    ? `, migrates as ${piece.stream.name} + 0x${hex(BigInt(piece.stream.offset) + distance)}` : "";
  const ramAddress = hex(BigInt(block["ram-address"]) + offset);
  const lines = [
    ["RAMBlock", `${block.name || "(without a name)"} + 0x${hex(offset)}, ram address 0x${ramAddress}${stream}`],
  ];
  const slot = range.slots[last(range.slots.length, at => BigInt(range.slots[at].start), address)];
  if (slot && address <= BigInt(slot.end)) {
    lines.push(["memslot", `${slot.slot} of address space 0, + 0x${hex(address - BigInt(slot.start))}`]);
  }
  if ("host-address" in block) {
    const host = hex(BigInt(block["host-address"]) + offset);
    lines.push(["host", `0x${host}, page of ${sizeText(BigInt(block["page-size"]))}`]);
  }
  if (block.backend) lines.push(["backend", `${block.backend.path} (${block.backend.type})`]);
  return lines;
}

function shadowLines(side, piece) {
  return (piece.shadowed ?? []).map(shadow => {
    const names = shadow.path.map(number => side.regions[number].name).join(" > ");
    return ["shadowed", `${names}: ${REASONS[shadow.reason](shadow.by, shadow.loser)}`];
  });
}
