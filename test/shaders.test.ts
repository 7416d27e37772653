/** The shaders as they are shipped: shorter, and the same. */
import { readdirSync, readFileSync } from "node:fs";
import { build, type Rolldown } from "vite";
import { describe, expect, test } from "vitest";
import { create } from "webgpu";
import { compactShaders } from "../scripts/compact-shaders.mjs";
import { shortener } from "../scripts/shorten-wgsl.mjs";
import type * as Kernels from "../src/webgpu/kernels.ts";
import type * as Shader from "../src/webgpu/shader.ts";

/** A text on its own. */
const shorten = (text: string): string => shortener([text], [])(text);

describe("shorter WGSL", () => {
  test.each([
    ["comments and spaces", "// why\nfn f() {\n  /* and\n how */ return;\n}\n", "fn e(){return;}\n"],
    [
      "operators that would join",
      "fn f() { a = 1 - -2 & &b; var c: array<u32> = d; }",
      "fn e(){a=1- -2& &b;var t:array<u32> =d;}\n",
    ],
    ["vectors", "var<private> v: array<vec2<u32>, 2>;", "var<private>e:array<vec2u,2>;\n"],
    [
      "locals of two functions share a short name",
      "fn one(left: u32) -> u32 { return left; }\nfn two(right: u32) -> u32 { return one(right); }",
      "fn e(t:u32)->u32{return t;}\nfn n(t:u32)->u32{return e(t);}\n",
    ],
    [
      "a local hides what the file declares",
      "var<private> row: u32;\nfn f() { row = 1u; }\nfn g() { let row = 2u; h(row); }",
      "var<private>e:u32;\nfn t(){e=1u;}\nfn n(){let e=2u;h(e);}\n",
    ],
    [
      "members, but not those of the language's own types, nor parts of vectors",
      "struct Pair { low: u32, high: vec2<u32> }\nfn f(p: Pair) -> u32 { return p.low + p.high.x + g(p).old_value; }",
      "struct t{e:u32,n:vec2u}\nfn n(e:t)->u32{return e.e+e.n.x+g(e).old_value;}\n",
    ],
    [
      "members of two structs share a short name",
      "struct One { low: u32 }\nstruct Two { up: u32, low: u32, end: u32 }\nstruct Three { end: u32 }",
      "struct t{e:u32}\nstruct n{i:u32,e:u32,t:u32}\nstruct e{t:u32}\n",
    ],
    [
      "constants that are one literal",
      "const A = 0x10u;\nconst B = A << 1u;\nfn f() { g(A, B); }",
      "const e=0x10u<<1u;\nfn t(){g(0x10u,e);}\n",
    ],
    [
      "a constant that is not the same everywhere",
      "#if X // why\nconst A = 1;\n#else\nconst A = 2;\n#endif\nfn f() { g(A); }",
      "#if X\nconst e=1;\n#else\nconst e=2;\n#endif\nfn t(){g(e);}\n",
    ],
    [
      "entry points, overrides, attributes and built-in values",
      "override LANES: u32;\n@compute @workgroup_size(LANES)\nfn main(@builtin(workgroup_id) workgroup_id: vec3<u32>) { f(workgroup_id.x); }\nfn f(x: u32) {}",
      "override LANES:u32;\n@compute@workgroup_size(LANES)fn main(@builtin(workgroup_id)e:vec3u){t(e.x);}\nfn t(e:u32){}\n",
    ],
  ])("%s", (_, text, expected) => {
    expect(shorten(text)).toBe(expected);
  });

  test("a name is the same one in every file, and kernels that never meet share short names", () => {
    const library = ["fn shared(a: u32) {}"];
    const kernels = ["fn one() { shared(1u); shared(2u); }", "fn other() { shared(3u); }\nfn last() { other(); }"];
    const short = shortener(kernels, library);
    expect(library.map(short)).toEqual(["fn e(t:u32){}\n"]);
    expect(kernels.map(short)).toEqual(["fn t(){e(1u);e(2u);}\n", "fn t(){e(3u);}\nfn n(){t();}\n"]);
  });

  test("a member that reads like a part of a vector is refused", () => {
    expect(() => shorten("struct S { xy: u32 }")).toThrow(/xy/);
  });

  test("there are names enough, and none is a word of the language", () => {
    const names = Array.from({ length: 3000 }, (_, index) => `name${index}`);
    const functions = [...shorten(names.map((name) => `fn ${name}(){}`).join("\n")).matchAll(/fn (\w+)/g)];
    const members = [...shorten(`struct S {${names.map((name) => `${name}: u32`).join()}}`).matchAll(/(\w+):/g)];
    for (const found of [functions, members]) {
      const short = new Set(found.map(([, name]) => name));
      expect(short.size).toBe(names.length);
      for (const word of ["as", "do", "fn", "if", "of"]) expect(short).not.toContain(word);
    }
    for (const part of ["a", "x", "xy", "rg"]) expect(members.map(([, name]) => name)).not.toContain(part);
  });
});

describe("the package's shaders", async () => {
  const [{ KERNELS, PROCESSING_KERNELS, stagesOf }, { shaderSource }] = await shipped();
  const kernels = { ...KERNELS, ...PROCESSING_KERNELS };
  // Compiles and runs nothing. Dawn crashes at random once the object is garbage: a global keeps it.
  const gpu = Object.assign(globalThis, { dawn: create(["backend=null"]) }).dawn;
  const adapter = (await gpu.requestAdapter())!;
  const device = await adapter.requestDevice({ requiredFeatures: ["subgroups"] });

  test("they come without comments, and with less than half of the text", () => {
    const files = readdirSync("shaders", { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".wgsl"),
    );
    const written = files.map((file) => readFileSync(`shaders/${file}`, "utf8"));
    const length = (texts: readonly string[]): number => texts.join("").length;
    expect(length(written.map(shortener(written, [])))).toBeLessThan(length(written) / 2);
    for (const { source } of Object.values(kernels)) expect(source).not.toContain("//");
  });

  test.each(Object.keys(kernels) as (keyof typeof kernels)[])("%s compiles in every variant", async (name) => {
    const { source, library } = kernels[name];
    const both = [false, true];
    for (const SUBGROUPS of both) {
      for (const [HALF, BFLOAT] of [
        [false, false],
        [true, false],
        [true, true],
      ] as const) {
        for (const PROCESSED of name in KERNELS ? both : [false]) {
          for (const STAGES of name in KERNELS ? stagesOf(name) : [false]) {
            const code = shaderSource(source, { HALF, BFLOAT, SUBGROUPS, PROCESSED, STAGES }, library);
            const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
            expect(messages.map(({ lineNum, message }) => `${lineNum}: ${message}`)).toEqual([]);
          }
        }
      }
    }
  });
});

/** The modules that hold the shaders, built as the package is. */
async function shipped(): Promise<[typeof Kernels, typeof Shader]> {
  const { output } = (
    (await build({
      configFile: false,
      logLevel: "error",
      plugins: [compactShaders()],
      build: {
        write: false,
        lib: { entry: ["src/webgpu/kernels.ts", "src/webgpu/shader.ts"], formats: ["es"] },
        rollupOptions: { output: { entryFileNames: "[name].js" } },
      },
    })) as Rolldown.RolldownOutput[]
  )[0]!;
  const load = (name: string): Promise<unknown> => {
    const chunk = output.find(({ fileName }) => fileName === name) as Rolldown.OutputChunk;
    return import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(chunk.code)}`);
  };
  return [await load("kernels.js"), await load("shader.js")] as [typeof Kernels, typeof Shader];
}
