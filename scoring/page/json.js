// JSON as it is written: laid out and coloured without a loss. JSON.parse would round long integers.

const TOKEN = /\s*("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[[\]{}:,])/y;
const WIDTH = 76;

/** Returns the tree of a valid JSON text: {kind, text} for a scalar, {kind, items} else; throws a SyntaxError. */
export function read(text) {
  JSON.parse(text); // Its errors say where.
  TOKEN.lastIndex = 0;
  const next = () => TOKEN.exec(text)[1];
  const value = (token) => {
    if (token !== "{" && token !== "[") {
      return { kind: scalarKind(token), text: token };
    }
    const kind = token === "{" ? "object" : "array";
    const close = kind === "object" ? "}" : "]";
    const items = [];
    for (let first = next(); first !== close; first = next()) {
      const start = first === "," ? next() : first;
      if (kind === "object") {
        next(); // The colon.
        items.push({ name: start, value: value(next()) });
      } else {
        items.push({ value: value(start) });
      }
    }
    return { kind, items };
  };
  return value(next());
}

function scalarKind(token) {
  if (token.startsWith('"')) {
    return "string";
  }
  return /^[-\d]/.test(token) ? "number" : "word";
}

function isFlat(node, room) {
  return length(node, room) <= room;
}

function length(node, most) {
  if (!node.items) {
    return node.text.length;
  }
  let sum = 2;
  for (const item of node.items) {
    sum += (item.name ? item.name.length + 2 : 0) + length(item.value, most) + 2;
    if (sum > most) {
      break;
    }
  }
  return sum;
}

/** Returns [kind, text] pairs that together are the laid out text; what fits into a line stays on one. */
export function layOut(node) {
  const parts = [];
  const write = (item, depth) => {
    if (!item.items) {
      parts.push([item.kind, item.text]);
      return;
    }
    const [open, close] = item.kind === "object" ? "{}" : "[]";
    const flat = item.items.length === 0 || isFlat(item, WIDTH - 2 * depth);
    const indent = (by) => (flat ? "" : `\n${"  ".repeat(by)}`);
    parts.push(["mark", open]);
    item.items.forEach((member, index) => {
      parts.push(["mark", indent(depth + 1)]);
      if (member.name) {
        parts.push(["name", member.name], ["mark", ": "]);
      }
      write(member.value, depth + 1);
      if (index < item.items.length - 1) {
        parts.push(["mark", flat ? ", " : ","]);
      }
    });
    parts.push(["mark", indent(depth) + close]);
  };
  write(node, 0);
  return parts;
}

/** Returns a JSON text laid out; throws a SyntaxError. */
export function pretty(text) {
  return layOut(read(text)).map(([, part]) => part).join("");
}

/** Shows a JSON text, coloured, in an element; throws a SyntaxError. */
export function show(element, text) {
  const pieces = layOut(read(text)).map(([kind, part]) => {
    if (kind === "mark") {
      return document.createTextNode(part);
    }
    const span = document.createElement("span");
    span.className = `json-${kind}`;
    span.textContent = part;
    return span;
  });
  element.replaceChildren(...pieces);
}
