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
    100,
    (mode) => (mode === 0 ? 3000 : 1000),
  ));
