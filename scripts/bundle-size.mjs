/**
 * What a user's bundle grows by: everything that "webgpu-token-sampler" exports, minified and gzipped, beside its limit; and
 * whether the CPU engine alone comes without shaders. Ends with exit code 1 where one of them does not hold.
 *
 *   npm run bundle-size
 */
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { compactShaders } from "./compact-shaders.mjs";

/** Gzipped bytes that the whole package may have, and what it is meant to come down to; lower the first as it shrinks. */
const LIMIT = 54_900;
const GOAL = 20_000;
/** What only a shader has. */
const SHADER = /@compute|@workgroup_size/u;

const entries = [
  { name: "webgpu-token-sampler", file: "src/index.ts", limit: LIMIT, shaders: true },
  { name: "webgpu-token-sampler/reference", file: "src/reference/index.ts", limit: 14_600, shaders: false },
];

let failed = 0;
for (const { name, file, limit, shaders } of entries) {
  const code = await bundle(file);
  const bytes = gzipSync(code, { level: 9 }).length;
  const kilobytes = (count) => `${(count / 1000).toFixed(1)} kB`;
  const problems = [
    ...(bytes > limit ? [`over the limit by ${bytes - limit} bytes`] : []),
    ...(SHADER.test(code) === shaders ? [] : [shaders ? "its shaders are missing" : "it pulls the shaders in"]),
  ];
  console.log(
    `${name}: ${kilobytes(bytes)} gzipped of ${kilobytes(limit)} (${kilobytes(code.length)} minified, ${SHADER.test(code) ? "with" : "without"} shaders)`,
  );
  if (limit > GOAL && bytes > GOAL) console.log(`${name}: ${bytes - GOAL} bytes more than it is meant to have`);
  for (const problem of problems) console.error(`${name}: ${problem}`);
  failed += problems.length;
}
process.exitCode = failed === 0 ? 0 : 1;

/** All exports of a file in one minified module. */
async function bundle(file) {
  const { output } = await build({
    configFile: false,
    plugins: [compactShaders()],
    logLevel: "error",
    build: {
      write: false,
      target: "es2022",
      minify: true,
      modulePreload: false,
      rollupOptions: {
        input: resolve(file),
        preserveEntrySignatures: "strict",
        output: { codeSplitting: false },
      },
    },
  });
  const chunks = output.filter(({ type }) => type === "chunk");
  if (chunks.length !== 1) throw new Error(`${file}: expected one module, got ${chunks.length}`);
  return chunks[0].code;
}
