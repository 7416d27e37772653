import { describe } from "vitest";
import { createSampler } from "../../src/sampler.ts";
import { testArticle } from "../support/article.ts";
import { testDraws } from "../support/draws.ts";

const five = await createSampler({ vocabSize: 5, engine: "cpu" });
const many = await createSampler({ vocabSize: 200, maxBatch: 100, engine: "cpu" });

describe("the article, on the CPU", () => testArticle(() => five));
describe("draws, on the CPU", () =>
  testDraws(
    () => many,
    [
      { mode: 0, calls: 2000, rows: 100, draws: 1 },
      ...[1, 2, 3, 4].map((mode) => ({ mode, calls: 1000, rows: 100, draws: 1 })),
      { mode: 0, calls: 40, rows: 80, draws: 64 },
    ],
  ));
