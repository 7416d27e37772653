import { describe, expect, it } from "vitest";
import { CPU_DEFAULTS, parseCommandLine, PEERS_DEFAULTS, TUNE_DEFAULTS, UsageError } from "../../bench/options.ts";
import { CANDIDATES, tuneMarkdown, variantsOf } from "../../bench/tune.ts";
import { TUNINGS } from "../../src/webgpu/tuning.ts";

describe("command line of the bench", () => {
  it("runs everything where nothing is said, and a preset where one is named", () => {
    expect(parseCommandLine([]).options).toMatchObject({ rounds: 5, inputs: ["peaked", "flat", "equal"] });
    const growth = parseCommandLine(["--preset", "growth"]).options;
    expect(Math.min(...growth.shapes.map(({ vocab }) => vocab))).toBeLessThanOrEqual(1024);
    expect(Math.max(...growth.shapes.map(({ vocab }) => vocab))).toBeGreaterThanOrEqual(2 ** 20);
    expect(growth.shapes.map(({ batch }) => batch)).toEqual(expect.arrayContaining([1, 512]));
  });

  it("takes a command's own defaults for what is left out, and what is said before them", () => {
    expect(parseCommandLine([], {}, PEERS_DEFAULTS).options.rounds).toBe(4);
    expect(parseCommandLine(["--rounds", "2"], {}, PEERS_DEFAULTS).options.rounds).toBe(2);
    expect(parseCommandLine([], {}, TUNE_DEFAULTS).options.shapes).toEqual([{ vocab: 128_256, batch: 8 }]);
    expect(parseCommandLine(["--vocab", "7"], {}, TUNE_DEFAULTS).options.shapes).toEqual([{ vocab: 7, batch: 8 }]);
    expect(parseCommandLine(["--vocab", "7"]).options.shapes.map(({ batch }) => batch)).toEqual([1, 8, 32]);
    expect(parseCommandLine(["--preset", "full", "--batch", "2"]).options.shapes).toHaveLength(4);
  });

  it("has cold runs beside the read limit only", () => {
    expect(parseCommandLine(["--cold"]).options.cold).toBe(true);
    for (const defaults of [PEERS_DEFAULTS, CPU_DEFAULTS, TUNE_DEFAULTS]) {
      expect(() => parseCommandLine(["--cold", "--preset", "quick"], {}, defaults)).toThrow(UsageError);
      expect(parseCommandLine([], {}, defaults).options.cold).toBe(false);
    }
  });

  it.each([["--mode", "top-q"], ["--batch", "0"], ["--vocab", "1e3"], ["--preset", "huge"], ["--nonsense"]])(
    "refuses %s %s",
    (...argv) => {
      expect(() => parseCommandLine(argv)).toThrow(UsageError);
    },
  );
});

describe("sweep of tunings", () => {
  it.each(["swiftshader", "llvmpipe", "gpu"] as const)(
    "moves one field at a time away from the row %s, through all its values",
    (name) => {
      const row = TUNINGS[name];
      const [first, ...others] = variantsOf(name);
      expect(first).toEqual({ tuning: row });
      for (const { field, tuning } of others) {
        const moved = Object.keys(row).filter(
          (key) => tuning[key as keyof typeof row] !== row[key as keyof typeof row],
        );
        expect(moved).toEqual([field]);
      }
      for (const [field, values] of Object.entries(CANDIDATES[name])) {
        const tried = [row, ...others.filter((one) => one.field === field).map(({ tuning }) => tuning)];
        expect(new Set(tried.map((tuning) => tuning[field as keyof typeof row]))).toEqual(
          new Set([row[field as keyof typeof row], ...values]),
        );
      }
    },
  );

  it("marks the best value of each mode, and says what cannot run", () => {
    const [row, second, third] = variantsOf("gpu");
    const at = (median: number) => ({ median, low: median, high: median, count: 5 });
    const adapter = {
      vendor: "v",
      architecture: "a",
      device: "d",
      description: "",
      software: false,
      timestamps: true,
      subgroups: true,
    };
    const text = tuneMarkdown({
      adapter,
      row: "gpu",
      cases: [
        {
          name: "peaked rows",
          rows: [
            { variant: row!, figures: { greedy: at(2), "top-p": at(3) } },
            { variant: second!, figures: { greedy: at(1.5), "top-p": at(4) } },
            { variant: third!, figures: {}, refused: "too many invocations" },
          ],
        },
      ],
    });
    expect(text).toMatch(/the row\s+\|\s+2\.00 \(2\.00–2\.00\) \| best 3\.00/u);
    expect(text).toMatch(/best 1\.50/u);
    expect(text).toContain("too many invocations");
  });
});
