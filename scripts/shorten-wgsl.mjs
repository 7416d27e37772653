/**
 * Says in fewer characters what shaders say that are put together from several files, and specialised by `#if`, at run
 * time: comments and spaces go, constants that are one literal stand where they are used, and a name gets the same short
 * one in all files. Directives, overrides, entry points and what the language declares stay as they are. Every
 * declaration keeps a line, so that a compiler's message points at something.
 */

const TOKEN =
  /\/\/.*|\/\*[^]*?\*\/|#.*|vec[234]<[fiu]32>|[a-z_]\w*|0x[\da-f]+[iu]?|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?[fhiu]?|\s+|[^\s\w]/gi;
const SPACE = /^(?:\s|\/[/*])/;
const WORD = /^[A-Za-z_]/;
const NUMBER = /^\.?\d/;
/** What two tokens would become one by, without a space. */
const FIRST = /[-+*/%&|^<>=!]/;
const SECOND = /[-+*/&|<>=]/;
const DECLARES = new Set(["alias", "const", "fn", "let", "override", "struct", "var"]);
/** Parts of a vector. */
const SWIZZLE = /^(?:[rgba]{1,4}|[xyzw]{1,4})$/;
/** Words of two letters that WGSL keeps for itself. */
const RESERVED = new Set(["as", "do", "fn", "if", "of"]);

/**
 * @typedef {object} Token
 * @property {string} text
 * @property {boolean} spaced whether there is space in front of it
 * @property {"module" | "local" | "member"} [role] what it names; undefined if it keeps its text
 * @property {boolean} [declares] whether the name is declared here
 * @property {boolean} [ends] whether it is the last one of a declaration outside of functions
 * @property {Set<string>} [scope] the struct or function that it is in: the names that are declared in a function
 * @property {readonly string[]} kernels whose text it may be part of
 */

/**
 * @param {readonly string[]} kernels files that never meet in a shader
 * @param {readonly string[]} library files that may stand in front of any of them
 * @returns {(text: string) => string} what to have in place of one of them
 */
export function shortener(kernels, library) {
  const texts = [...kernels, ...library];
  const parsed = texts.map((text) => parse(text, library.includes(text) ? kernels : [text]));
  resolve(parsed.flat());
  const literals = literalsOf(parsed);
  const inlined = new Map(texts.map((text, index) => [text, inline(parsed[index], literals)]));
  const names = shortNames([...inlined.values()].flat());
  return (text) => print(inlined.get(text), names);
}

/** Splits a text, and finds out what is declared where. */
function parse(text, kernels) {
  /** @type {Token[]} */
  const tokens = [];
  let spaced = false;
  for (const [part] of text.matchAll(TOKEN)) {
    const isSpace = SPACE.test(part);
    if (part.startsWith("#")) tokens.push({ text: part.replace(/\/\/.*/, "").trim(), spaced, kernels });
    else if (!isSpace) tokens.push({ text: part.replace(/<(.)32>$/, "$1"), spaced, kernels });
    spaced = isSpace;
  }

  let [depth, isEntry, inStruct, scope] = [0, false, false, undefined];
  const declare = (token, role) => {
    Object.assign(token, { role, declares: true });
    if (role === "local") scope.add(token.text);
    if (role === "member" && SWIZZLE.test(token.text))
      throw new Error(`shader: ${token.text} reads a part of a vector`);
  };
  for (const [at, token] of tokens.entries()) {
    const [previous, next] = [tokens[at - 1]?.text, tokens[at + 1]?.text];
    token.scope = scope;
    if (token.text === "{") depth++;
    if (token.text === "}") depth--;
    if (depth === 0 && (token.text === "}" || token.text === ";")) {
      token.ends = true;
      [isEntry, inStruct, scope] = [false, false, undefined];
    }
    if (!WORD.test(token.text) || token.declares) continue;
    if (previous === ".") token.role = "member";
    else if (previous === "@") isEntry ||= token.text === "compute";
    else if (DECLARES.has(token.text)) {
      inStruct = token.text === "struct";
      if (token.text === "fn" || inStruct) scope = new Set();
      if (token.text === "override" || (token.text === "fn" && isEntry)) continue;
      // Behind `var` may be an address space.
      const end = next === "<" ? tokens.findIndex((other, index) => index > at && other.text === ">") : at;
      declare(tokens[end + 1], depth === 0 ? "module" : "local");
    } else if (scope !== undefined && next === ":" && depth === (inStruct ? 1 : 0)) {
      declare(token, inStruct ? "member" : "local");
    } else if (tokens[at - 2]?.text !== "builtin") token.role = "module";
  }
  return tokens;
}

/** Finds out what names stand for that are declared elsewhere: `role` so far says "member" behind a dot, else "module". */
function resolve(tokens) {
  const declared = (role) =>
    new Set(tokens.filter((each) => each.declares && each.role === role).map(({ text }) => text));
  const known = { module: declared("module"), member: declared("member") };
  for (const token of tokens) {
    if (token.role === undefined || token.declares) continue;
    if (token.role === "module" && token.scope?.has(token.text)) token.role = "local";
    else if (!known[token.role].has(token.text)) token.role = undefined;
  }
}

/** The constants that are one literal, and the same one wherever the name is declared. */
function literalsOf(files) {
  const literals = new Map();
  for (const tokens of files) {
    for (const [at, { text, role, declares }] of tokens.entries()) {
      if (!declares || role !== "module") continue;
      const [keyword, , equals, value, end] = tokens.slice(at - 1, at + 4).map((token) => token.text);
      const isLiteral = keyword === "const" && equals === "=" && NUMBER.test(value) && end === ";";
      const literal = isLiteral ? value : undefined;
      literals.set(text, literals.has(text) && literals.get(text) !== literal ? undefined : literal);
    }
  }
  return literals;
}

/** Without the declarations of literals, and with those in place of their names. */
function inline(tokens, literals) {
  const literalOf = (token) => (token?.role === "module" ? literals.get(token.text) : undefined);
  const out = [];
  for (let at = 0; at < tokens.length; at++) {
    const literal = literalOf(tokens[at]);
    if (tokens[at].text === "const" && literalOf(tokens[at + 1]) !== undefined) at += 4;
    else out.push(literal === undefined ? tokens[at] : { ...tokens[at], text: literal, role: undefined });
  }
  return out;
}

const keyOf = ({ role, text }) => `${role} ${text}`;

/**
 * A short name for every name, the most frequent first. Two share one where they cannot be taken for each other: no struct,
 * no function and no kernel has both. A name is the same everywhere, so that what functions have in common stays in
 * common, which compresses well.
 */
function shortNames(tokens) {
  const named = new Map();
  for (const token of tokens.filter(({ role }) => role !== undefined)) {
    const { role, scope, declares, kernels } = token;
    const name = named.get(keyOf(token)) ?? { role, uses: 0, places: new Set() };
    named.set(keyOf(token), name);
    name.uses++;
    if (scope !== undefined && (role !== "member" || declares)) name.places.add(scope);
    if (role === "module" && declares) for (const kernel of kernels) name.places.add(kernel);
  }
  const kept = tokens.filter(({ role, text }) => role === undefined && !SWIZZLE.test(text));
  const taken = new Set([...RESERVED, ...kept.map(({ text }) => text)]);
  const letters = "etnairucolsdfpmvhgbwkxyqzjETNAIRUCOLSDFPMVHGBWKXYQZJ".split("");
  const followers = [...letters, ..."0123456789".split("")];
  const shorts = [...letters, ...letters.flatMap((first) => followers.map((second) => first + second))]
    .filter((text) => !taken.has(text))
    .map((text) => ({ text, places: new Set() }));
  const result = new Map();
  for (const [key, { role, places }] of [...named].sort(([, a], [, b]) => b.uses - a.uses)) {
    const short = shorts.find(
      (each) =>
        !(role === "member" && SWIZZLE.test(each.text)) && [...places].every((place) => !each.places.has(place)),
    );
    for (const place of places) short.places.add(place);
    result.set(key, short.text);
  }
  return result;
}

function print(tokens, names) {
  let out = "";
  for (const token of tokens) {
    const text = names.get(keyOf(token)) ?? token.text;
    const [before, first] = [out.at(-1) ?? "\n", text[0]];
    if (first === "#") out += `${before === "\n" ? "" : "\n"}${text}\n`;
    else {
      const joins =
        (/\w/.test(before) && /\w/.test(first)) || (token.spaced && FIRST.test(before) && SECOND.test(first));
      out += `${joins ? " " : ""}${text}${token.ends ? "\n" : ""}`;
    }
  }
  return out;
}
