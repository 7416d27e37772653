/** Streams, over a source that is only numbers. */
import { describe, expect, test } from "vitest";
import { NO_TOKEN } from "../../src/index.ts";
import { type StreamOptions, streamTokens, type TokenSource, type TokenStep } from "../../src/integrations/stream.ts";

/** Row `r` says `100 r + step`; writes down everything that is asked of it. */
class Counting implements TokenSource {
  readonly rows: number;
  readonly log: string[] = [];
  readonly #token: (step: number, row: number) => number;
  inFlight = 0;

  constructor(rows = 1, token = (step: number, row: number): number => 100 * row + step) {
    this.rows = rows;
    this.#token = token;
  }

  async step(index: number): Promise<void> {
    expect(this.inFlight++, "steps at a time").toBe(0);
    await Promise.resolve();
    this.log.push(`step ${index}`);
    this.inFlight--;
  }

  async fetch(first: number, count: number): Promise<Uint32Array> {
    expect(this.inFlight).toBe(0);
    this.log.push(`fetch ${first}+${count}`);
    return Uint32Array.from({ length: count * this.rows }, (_, i) =>
      this.#token(first + Math.floor(i / this.rows), i % this.rows),
    );
  }

  async close(): Promise<void> {
    expect(this.inFlight, "steps under way while closing").toBe(0);
    await Promise.resolve();
    this.log.push("close");
  }

  stream(options: StreamOptions): ReturnType<typeof streamTokens> {
    return streamTokens(() => {
      this.log.push("open");
      return this;
    }, options);
  }
}

async function all(stream: AsyncIterable<TokenStep>): Promise<number[][]> {
  const steps: number[][] = [];
  for await (const { tokens } of stream) steps.push([...tokens]);
  return steps;
}

/** Everything a stream says, and what it returns at the end. */
async function manual(stream: ReturnType<typeof streamTokens>): Promise<{ steps: TokenStep[]; end: unknown }> {
  const steps: TokenStep[] = [];
  for (;;) {
    const { done, value } = await stream.next();
    if (done === true) return { steps, end: value };
    steps.push(value);
  }
}

describe("delivery", () => {
  test("every token once, in order, whatever is fetched at a time", async () => {
    for (const fetchEvery of [1, 2, 3, 7, 8, 100]) {
      const source = new Counting(2);
      const { steps, end } = await manual(source.stream({ maxTokens: 7, fetchEvery }));
      expect(steps.map(({ step, tokens }) => [step, ...tokens])).toEqual(
        Array.from({ length: 7 }, (_, step) => [step, step, 100 + step]),
      );
      expect(steps.map(({ finished }) => finished.join())).toEqual([
        ...new Array<string>(6).fill(","),
        "length,length",
      ]);
      expect(end).toEqual(["length", "length"]);
      expect(source.log.filter((line) => line.startsWith("step"))).toHaveLength(7);
      expect(source.log.filter((line) => line.startsWith("fetch"))).toHaveLength(Math.ceil(7 / fetchEvery));
      expect(source.log.at(-1)).toBe("close");
    }
  });

  test("a stop token ends its row and is not delivered; the others go on; the last one ends the stream", async () => {
    for (const fetchEvery of [1, 3, 16]) {
      const source = new Counting(3);
      const stream = source.stream({ maxTokens: 10, fetchEvery, stopTokens: new Set([2, 104, 205]) });
      const { steps, end } = await manual(stream);
      expect(steps.map(({ tokens }) => [...tokens])).toEqual([
        [0, 100, 200],
        [1, 101, 201],
        [NO_TOKEN, 102, 202],
        [NO_TOKEN, 103, 203],
        [NO_TOKEN, NO_TOKEN, 204],
      ]);
      expect(steps.at(-1)!.finished).toEqual(["stop", "stop", undefined]);
      expect(end).toEqual(["stop", "stop", "stop"]);
      // A row of one ends before its first token.
      expect(await all(new Counting().stream({ maxTokens: 5, stopTokens: [0] }))).toEqual([]);
    }
  });

  test("a row without a candidate is empty, and ends", async () => {
    const source = new Counting(2, (step, row) => (row === 0 && step === 1 ? NO_TOKEN : step));
    const { steps, end } = await manual(source.stream({ maxTokens: 3 }));
    expect(steps.map(({ tokens }) => tokens[0])).toEqual([0, NO_TOKEN, NO_TOKEN]);
    expect(end).toEqual(["empty", "length"]);
  });

  test("the callback sees every step before it is delivered", async () => {
    const seen: number[] = [];
    for await (const { step } of new Counting().stream({
      maxTokens: 4,
      fetchEvery: 3,
      onStep: ({ step }) => seen.push(step),
    })) {
      expect(seen.at(-1)).toBe(step);
    }
    expect(seen).toEqual([0, 1, 2, 3]);
  });
});

describe("back-pressure", () => {
  test("nothing runs before the first step is asked for", async () => {
    const source = new Counting();
    const stream = source.stream({ maxTokens: 3 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(source.log).toEqual([]);
    await stream.return([]);
    expect(source.log, "a stream that nobody has read opens nothing").toEqual([]);
  });

  test.each([1, 2, 5])("at most %i steps run ahead of what was taken", async (fetchEvery) => {
    const source = new Counting();
    const stream = source.stream({ maxTokens: 12, fetchEvery });
    for (let taken = 1; taken <= 12; taken++) {
      await stream.next();
      await new Promise((resolve) => setTimeout(resolve, 2));
      const ran = source.log.filter((line) => line.startsWith("step")).length;
      expect(ran).toBe(Math.min(12, Math.ceil(taken / fetchEvery) * fetchEvery));
    }
  });
});

describe("the end", () => {
  test("break, return and throw close the source before they settle", async () => {
    const broken = new Counting();
    for await (const { step } of broken.stream({ maxTokens: 9, fetchEvery: 4 })) if (step === 1) break;
    expect(broken.log).toEqual(["open", "step 0", "step 1", "step 2", "step 3", "fetch 0+4", "close"]);

    const returned = new Counting();
    const stream = returned.stream({ maxTokens: 9 });
    await stream.next();
    await stream.return([]);
    expect(returned.log.at(-1)).toBe("close");
    expect(await stream.next()).toEqual({ done: true, value: undefined });

    const thrown = new Counting();
    const other = thrown.stream({ maxTokens: 9 });
    await other.next();
    await expect(other.throw(new Error("mine"))).rejects.toThrow("mine");
    expect(thrown.log.at(-1)).toBe("close");
  });

  test("return while a step is under way waits for it", async () => {
    const source = new Counting();
    const stream = source.stream({ maxTokens: 9, fetchEvery: 3 });
    const first = stream.next();
    const end = stream.return([]);
    expect((await first).value).toMatchObject({ step: 0 });
    await end;
    expect(source.log).toEqual(["open", "step 0", "step 1", "step 2", "fetch 0+3", "close"]);
  });

  test("an abort rejects with its reason after the step under way, and the source is closed by then", async () => {
    const controller = new AbortController();
    const source = new Counting(1, (step) => step);
    const step = source.step.bind(source);
    source.step = async (index) => {
      await step(index);
      if (index === 5) controller.abort(new DOMException("enough", "AbortError"));
    };
    const seen: number[] = [];
    await expect(async () => {
      for await (const { step } of source.stream({ maxTokens: 99, fetchEvery: 4, signal: controller.signal }))
        seen.push(step);
    }).rejects.toThrow("enough");
    expect(seen).toEqual([0, 1, 2, 3]);
    expect(source.log.slice(-2)).toEqual(["step 5", "close"]);
  });

  test("an abort between fetched steps delivers no more of them", async () => {
    const controller = new AbortController();
    const source = new Counting();
    const stream = source.stream({ maxTokens: 9, fetchEvery: 9, signal: controller.signal });
    await stream.next();
    controller.abort();
    await expect(stream.next()).rejects.toThrow(expect.objectContaining({ name: "AbortError" }) as Error);
    expect(source.log.at(-1)).toBe("close");
  });

  test("a signal that was aborted before opens nothing", async () => {
    const source = new Counting();
    await expect(all(source.stream({ maxTokens: 9, signal: AbortSignal.abort() }))).rejects.toThrow();
    expect(source.log).toEqual([]);
  });

  test("errors of step, fetch and callback come through, and close the source", async () => {
    for (const method of ["step", "fetch"] as const) {
      const source = new Counting();
      Object.assign(source, { [method]: () => Promise.reject(new Error(`no ${method}`)) });
      await expect(all(source.stream({ maxTokens: 9 }))).rejects.toThrow(`no ${method}`);
      expect(source.log.at(-1)).toBe("close");
    }
    const onStep = (): never => {
      throw new Error("no callback");
    };
    for (const callback of [onStep, async () => onStep()]) {
      const source = new Counting();
      await expect(all(source.stream({ maxTokens: 9, onStep: callback }))).rejects.toThrow("no callback");
      expect(source.log).toEqual(["open", "step 0", "fetch 0+1", "close"]);
    }
  });
});

test("bad options are errors at once, by name", () => {
  const source = new Counting();
  expect(() => source.stream({ maxTokens: 0 })).toThrow(
    new RangeError("maxTokens: expected an integer, 1 or more, got 0"),
  );
  expect(() => source.stream({ maxTokens: 1.5 })).toThrow(RangeError);
  expect(() => source.stream({ maxTokens: 1, fetchEvery: 0 })).toThrow(/^fetchEvery: /);
  expect(() => source.stream({} as StreamOptions)).toThrow(
    new TypeError("maxTokens: expected a number, got undefined"),
  );
  expect(() => source.stream(undefined as never)).toThrow(/^options: /);
  for (const stopTokens of [2, [2n], ["2"], [-1]] as never[]) {
    expect(() => source.stream({ maxTokens: 1, stopTokens })).toThrow(/^stopTokens: expected token ids, got /);
  }
  expect(() => source.stream({ maxTokens: 1, signal: "x" as never })).toThrow(
    /^signal: expected an AbortSignal, got "x"/,
  );
  expect(() => source.stream({ maxTokens: 1, onStep: 5 as never })).toThrow(/^onStep: expected a function, got 5/);
  expect(() => source.stream({ maxTokens: 1, stopToken: [0] } as StreamOptions)).toThrow(
    /^options\.stopToken: unknown/,
  );
  expect(() => streamTokens(undefined as never, { maxTokens: 1 })).toThrow(/^open: /);
  expect(source.log).toEqual([]);
});
