// A JSON Schema as a table: a row for each value, with its path, its type and what is allowed.

const DEEPEST = 8;
const MOST_ROWS = 200;
const LIMITS = [
  ["minimum", "at least"], ["exclusiveMinimum", "more than"], ["maximum", "at most"], ["exclusiveMaximum", "less than"],
  ["multipleOf", "a multiple of"], ["minLength", "characters, at least"], ["maxLength", "characters, at most"],
  ["pattern", "matches"], ["minItems", "items, at least"], ["maxItems", "items, at most"], ["default", "default"],
];

function resolved(schema, root) {
  let found = schema;
  for (let hops = 0; typeof found?.$ref === "string" && hops < DEEPEST; hops += 1) {
    const steps = found.$ref.replace(/^#\//, "").split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    found = steps.reduce((place, step) => place?.[step], root);
  }
  return found && typeof found === "object" ? found : {};
}

function typeOf(schema) {
  const types = [schema.type ?? (schema.properties ? "object" : schema.items ? "array" : [])].flat();
  if ("const" in schema || schema.enum) {
    const kinds = (schema.enum ?? [schema.const]).map((value) => (value === null ? "null" : typeof value));
    return (types.length ? types : [...new Set(kinds)]).join(" or ");
  }
  if (!types.length) {
    const ways = schema.anyOf ?? schema.oneOf;
    return ways ? ways.map((way) => typeOf(way)).join(" or ") : "anything";
  }
  return types.join(" or ") + (schema.format ? ` (${schema.format})` : "");
}

function rowsOf(schema, root, path, required, depth, rows) {
  if (rows.length >= MOST_ROWS) {
    return;
  }
  const found = resolved(schema, root);
  rows.push({ path: path || "the body", type: typeOf(found), required, details: details(found) });
  if (depth === DEEPEST) {
    return;
  }
  for (const part of found.allOf ?? []) {
    rowsOf(part, root, path, required, depth + 1, rows);
  }
  for (const [name, member] of Object.entries(found.properties ?? {})) {
    rowsOf(member, root, path ? `${path}.${name}` : name, (found.required ?? []).includes(name), depth + 1, rows);
  }
  if (found.items && typeof found.items === "object") {
    rowsOf(found.items, root, `${path}[]`, null, depth + 1, rows);
  }
  if (found.additionalProperties && typeof found.additionalProperties === "object") {
    rowsOf(found.additionalProperties, root, `${path}.*`, null, depth + 1, rows);
  }
}

function details(schema) {
  const parts = schema.description ? [schema.description] : [];
  const allowed = "const" in schema ? [schema.const] : schema.enum;
  if (allowed) {
    parts.push(`one of ${allowed.map((value) => JSON.stringify(value)).join(", ")}`);
  }
  if (schema.minItems !== undefined && schema.minItems === schema.maxItems) {
    return [...parts, `${schema.minItems} items`].join("; ");
  }
  for (const [key, says] of LIMITS) {
    if (schema[key] !== undefined) {
      parts.push(`${says} ${JSON.stringify(schema[key])}`);
    }
  }
  return parts.join("; ");
}

function cell(tag, text, inner) {
  const made = document.createElement(tag);
  const holder = inner ? made.appendChild(document.createElement(inner)) : made;
  holder.textContent = text;
  return made;
}

/** Shows a schema as a table in an element. */
export function showSchema(element, schema, root, label) {
  const rows = [];
  rowsOf(schema ?? {}, root, "", null, 0, rows);
  if (rows.length === 1 && rows[0].type === "anything" && !rows[0].details) {
    const text = document.createElement("p");
    text.className = "empty";
    text.textContent = "Nothing is said about it.";
    element.replaceChildren(text);
    return;
  }
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const title of ["Value", "Type", "Details"]) {
    const made = cell("th", title);
    made.scope = "col";
    head.append(made);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    const first = cell("th", row.path, "code");
    first.scope = "row";
    if (row.required) {
      const mark = cell("span", "required");
      mark.className = "required";
      first.append(" ", mark);
    }
    line.append(first, cell("td", row.type), cell("td", row.details));
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", label);
  scroll.append(table);
  element.replaceChildren(scroll);
}
