/** Rows of text that grow: redrawn in place on a terminal, a line of progress now and then elsewhere. */

export interface Line {
  readonly label: string;
  readonly text: string;
}

const DIM = "\u001B[2m";
const RESET = "\u001B[0m";

export class Screen {
  readonly #out: NodeJS.WriteStream;
  /** Lines of the last drawing, to go back over. */
  #drawn = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Shows the rows as they are after `step` of `steps`. */
  grow(lines: readonly Line[], step: number, steps: number): void {
    // A row needs its label and a line of text; what scrolled off the screen cannot be redrawn.
    if (this.#out.isTTY && this.#out.rows > 2 * lines.length) this.#redraw(lines);
    else if (step % Math.ceil(steps / 4) === 0 || step === steps) this.#out.write(`step ${step} of ${steps}\n`);
  }

  /** Shows the rows in full. */
  finish(lines: readonly Line[]): void {
    const width = Math.min(this.#out.columns ?? 100, 100);
    this.#erase();
    for (const { label, text } of lines) {
      this.#out.write(`\n${this.#dim(label)}\n${wrap(flat(text), width).join("\n")}\n`);
    }
  }

  #redraw(lines: readonly Line[]): void {
    const width = this.#out.columns;
    // Rows show only their end where the screen is low.
    const most = Math.floor((this.#out.rows - 1) / lines.length) - 1;
    const drawn = lines.flatMap(({ label, text }) => [
      this.#dim(label.slice(0, width - 1)),
      ...wrap(flat(text), width - 1).slice(-most),
    ]);
    this.#erase();
    this.#out.write(`${drawn.join("\n")}\n`);
    this.#drawn = drawn.length;
  }

  #erase(): void {
    if (this.#drawn > 0) this.#out.write(`\u001B[${this.#drawn}A\u001B[J`);
    this.#drawn = 0;
  }

  #dim(text: string): string {
    return this.#out.isTTY ? `${DIM}${text}${RESET}` : `[${text}]`;
  }
}

function flat(text: string): string {
  return text.replace(/\s*\n+\s*/gu, " ¶ ");
}

/** Lines of at most `width` characters, broken at spaces where there are any. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length > width && line !== "") {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  return [...lines, line].flatMap((part) => part.match(new RegExp(`.{1,${width}}`, "gu")) ?? [""]);
}
