// The request as commands to copy. The key is named there, never written.

import { layOut, read } from "./json.js";

const WORDS = { true: "True", false: "False", null: "None" };

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns the request for curl. */
export function curl(address, type, body, hasKey) {
  const lines = [`curl ${quoted(address)}`, `-H 'Content-Type: ${type}'`];
  if (hasKey) {
    lines.push('-H "Authorization: Bearer $KEY"');
  }
  lines.push(`--data-binary ${quoted(body)}`);
  return lines.join(" \\\n  ");
}

/** Returns the request in Python. */
export function python(address, type, body, hasKey) {
  const lines = [...(hasKey ? ["import os", ""] : []), "import requests", "", "answer = requests.post("];
  lines.push(`    ${JSON.stringify(address)},`);
  const literal = pythonLiteral(body);
  const headers = [];
  if (literal === null) {
    lines.push(`    data=${JSON.stringify(body)}.encode(),`);
    headers.push(`        "Content-Type": "${type}",`);
  } else {
    lines.push(`    json=${literal.replaceAll("\n", "\n    ")},`);
  }
  if (hasKey) {
    headers.push(`        "Authorization": f"Bearer {os.environ['KEY']}",`);
  }
  if (headers.length) {
    lines.push("    headers={", ...headers, "    },");
  }
  lines.push("    timeout=60,", ")", "answer.raise_for_status()", "print(answer.json())");
  return lines.join("\n");
}

/** A JSON text as Python writes it; null for what is no JSON. */
function pythonLiteral(text) {
  try {
    const written = ([kind, part]) => {
      if (kind === "word") {
        return WORDS[part];
      }
      // Python knows not every escape that JSON has.
      return kind === "string" || kind === "name" ? JSON.stringify(JSON.parse(part)) : part;
    };
    return layOut(read(text)).map(written).join("");
  } catch {
    return null;
  }
}
