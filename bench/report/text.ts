/** Text that is safe where it goes. */

/** For HTML and SVG, in elements and in quoted attributes. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/gu, (character) => `&#${character.codePointAt(0)};`);
}

/** For a cell of a Markdown table: what would end the cell, the line or the text is defused. */
export function escapeCell(text: string): string {
  return text.replace(/[\\|<>`*_]/gu, (character) => `\\${character}`).replace(/\s+/gu, " ");
}

/** A Markdown table; the columns after the first `left` are numbers and stand at the right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[], left: number): string[] {
  const all = [head, ...rows].map((cells) => cells.map(escapeCell));
  const widths = head.map((_, column) => Math.max(3, ...all.map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => (at < left ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join(" | ")} |`;
  const rule = widths.map((width, at) => (at < left ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(all[0]!), `| ${rule.join(" | ")} |`, ...all.slice(1).map(line)];
}

/** The same as an HTML table. */
export function htmlTable(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  left: number,
): string {
  const cell = (text: string, at: number): string => `<td${at < left ? "" : ' class="number"'}>${escapeXml(text)}</td>`;
  return [
    `<div class="scroll"><table><caption>${escapeXml(caption)}</caption>`,
    `<thead><tr>${head.map((text, at) => `<th scope="col"${at < left ? "" : ' class="number"'}>${escapeXml(text)}</th>`).join("")}</tr></thead>`,
    "<tbody>",
    ...rows.map(
      ([first, ...rest]) =>
        `<tr><th scope="row">${escapeXml(first!)}</th>${rest.map((text, at) => cell(text, at + 1)).join("")}</tr>`,
    ),
    "</tbody></table></div>",
  ].join("\n");
}
