/** The command line of a script. Whatever is wrong with it is said in one line, with exit code 2, before any work is done. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

/**
 * Reads the arguments. `--help` prints the comment that the script begins with, and ends it.
 *
 * @param {string} file the script's
 * @param {import("node:util").ParseArgsConfig["options"]} options besides `--help`
 * @param {boolean} [files] whether there may be arguments that are no options
 */
export function commandLine(file, options, files = false) {
  let parsed;
  try {
    parsed = parseArgs({ options: { ...options, help: { type: "boolean" } }, allowPositionals: files });
  } catch (error) {
    // What follows is advice on other spellings.
    refuse(error.message.split(/\.?\n|\. /)[0]);
  }
  if (parsed.values.help) {
    const [comment] = readFileSync(file, "utf8").split("*/");
    console.log(comment.replaceAll(/^(\/\*\*| \*) ?/gm, "").trim());
    process.exit(0);
  }
  return parsed;
}

/** A whole number, 1 or more. */
export function count(name, text) {
  if (!/^[1-9]\d*$/.test(text)) refuse(`--${name}: expected a whole number, 1 or more, got "${text}"`);
  return Number(text);
}

/** Ends the script. */
export function refuse(message) {
  console.error(`${message} (--help shows what there is)`);
  process.exit(2);
}
