/** The house rules that a file listing can check. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ResourceType, WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import { MODES } from "../bench/cases.ts";
import { CONTROLS } from "../bench/controls.ts";
import { planRow, type RowPlan } from "../src/params.ts";
import {
  BIND_GROUPS,
  entryPointOf,
  type KernelName,
  KERNELS,
  PROCESSING_KERNELS,
  stagesOf,
} from "../src/webgpu/kernels.ts";
import { needsMass, TOP_K_REACH } from "../src/webgpu/pack.ts";
import { type ShaderFlags, shaderSource } from "../src/webgpu/shader.ts";
import { Random } from "./support/inputs.ts";

const kernels = { ...KERNELS, ...PROCESSING_KERNELS };
const names = Object.keys(kernels) as (keyof typeof kernels)[];
const variants: ShaderFlags[] = [false, true].flatMap((SUBGROUPS) =>
  [false, true].flatMap((PROCESSED) =>
    [false, true].flatMap((STAGES) => [
      { HALF: false, BFLOAT: false, SUBGROUPS, PROCESSED, STAGES },
      { HALF: true, BFLOAT: false, SUBGROUPS, PROCESSED, STAGES },
      { HALF: true, BFLOAT: true, SUBGROUPS, PROCESSED, STAGES },
    ]),
  ),
);
/** Kernels that work on logits before they are processed have no variant for those that are; and see `variantsOf`. */
const variantsOf = (name: keyof typeof kernels): ShaderFlags[] =>
  variants.filter(({ PROCESSED, STAGES }) =>
    name in KERNELS ? stagesOf(name as KernelName).includes(STAGES) : !PROCESSED && !STAGES,
  );

test("every shader is a kernel of the table, and every kernel has a shader, a twin and a test of its own", () => {
  const shaders = readdirSync("shaders").filter((file) => file.endsWith(".wgsl"));
  expect(shaders.sort()).toEqual(names.map((name) => `${name}.wgsl`).sort());
  const tests = ["kernels", "processing", "outputs"]
    .map((name) => readFileSync(`test/gpu/${name}.test.ts`, "utf8"))
    .join("\n");
  for (const name of names) {
    expect(readFileSync(`src/reference/${name}.ts`, "utf8"), `twin of ${name}`).toContain(`export function ${name}(`);
    expect(tests, `test of ${name}`).toMatch(new RegExp(`run\\([^)]*"${name}"`));
    expect(readFileSync(`shaders/${name}.wgsl`, "utf8"), "its twin's name").toContain(`src/reference/${name}.ts`);
  }
});

test("every kernel has a row in the bench", () => {
  const random = new Random(1);
  const added = CONTROLS.map(({ mode = "top-k", params }) => ({ ...MODES[mode], ...params(1000, random) }));
  const plans = [...Object.values(MODES), ...added].map((params) => planRow(params, 1000));
  const some = (runs: (plan: RowPlan) => boolean): boolean => plans.some(runs);
  const called = readFileSync("bench/controls.ts", "utf8");
  /** Whether a call of the bench is one that runs the kernel. */
  const run: Readonly<Record<keyof typeof kernels, boolean>> = {
    max: some(() => true),
    mass: some((plan) => plan.stages === undefined && needsMass(plan)),
    draw: some(({ stages }) => stages === undefined),
    stages: some(({ stages }) => stages !== undefined),
    draws: some(({ draws }) => draws > 1),
    report: some(({ outputs }) => outputs !== undefined),
    count: some(({ process }) => process?.history !== undefined),
    process: some(({ process }) => process !== undefined),
    clear: some(({ process }) => process !== undefined),
    append: CONTROLS.some(({ history }) => history),
    write: called.includes('"encodeMaskLogits"'),
    list: called.includes(".candidates("),
  };
  expect(names.filter((name) => !run[name])).toEqual([]);
});

test.each(names.flatMap((name) => variantsOf(name).map((flags) => [name, flags] as const)))(
  "%s %j: the bindings are those of the table",
  (name, flags) => {
    const { source, groups, library } = kernels[name];
    const code = shaderSource(source, flags, library).replace("enable subgroups;", "");
    const reflected = new WgslReflect(code);
    const found = reflected.getBindGroups().flatMap((group, index) =>
      group.filter(Boolean).map((binding) => ({
        group: index,
        binding: binding.binding,
        name: binding.name,
        type:
          binding.resourceType === ResourceType.Uniform
            ? "uniform"
            : binding.access === "read_write"
              ? "storage"
              : "read-only-storage",
      })),
    );
    const expected = groups.flatMap((groupName, group) =>
      BIND_GROUPS[flags.PROCESSED && groupName === "inputs" ? "processed" : groupName].map(
        ({ name: bindingName, type }, binding) => ({
          group,
          binding,
          name: bindingName,
          type,
        }),
      ),
    );
    expect(found).toEqual(expected);
    expect(reflected.entry.compute.map((entry) => entry.name)).toEqual([entryPointOf(name)]);
    expect(code).not.toContain("#");
  },
);

test("host and shader agree on which top-k needs no room for masses", () => {
  expect(KERNELS.draw.source).toContain(`const TOP_K_REACH = ${TOP_K_REACH}u;`);
});

test("an unknown flag in a shader is an error", () => {
  expect(() => shaderSource("#if TYPO\n#endif", variants[0]!)).toThrow(/unknown flag TYPO/);
});

test("the library holds no entry point, and only bindings.wgsl and processing.wgsl declare bindings", () => {
  for (const file of readdirSync("shaders/lib")) {
    const text = readFileSync(`shaders/lib/${file}`, "utf8");
    expect(text, file).not.toContain("@compute");
    if (!["bindings.wgsl", "processing.wgsl", "token.wgsl"].includes(file))
      expect(text, file).not.toContain("@binding");
  }
});

test("the package has no runtime dependency, and peers only for those who use them", () => {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Record<string, object | undefined>;
  expect(manifest["dependencies"]).toBeUndefined();
  const peers = Object.keys(manifest["peerDependencies"] ?? {});
  expect(manifest["peerDependenciesMeta"]).toEqual(Object.fromEntries(peers.map((name) => [name, { optional: true }])));
});
