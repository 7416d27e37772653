import { readFileSync } from "node:fs";

const { exports } = JSON.parse(readFileSync("package.json", "utf8"));

/** API pages out of the docstrings, for every entry of package.json. A missing docstring or a broken link is an error. */
export default {
  entryPoints: Object.values(exports).flatMap(({ types }) =>
    types === undefined ? [] : [types.replace("./dist/", "src/").replace(".d.ts", ".ts")],
  ),
  tsconfig: "tsconfig.build.json",
  out: ".docs",
  readme: "README.md",
  projectDocuments: ["docs/guide.md", "docs/rules.md", "docs/sampling.md", "CHANGELOG.md"],
  excludeInternal: true,
  excludePrivate: true,
  disableSources: true,
  githubPages: false,
  treatWarningsAsErrors: true,
  validation: { invalidLink: true, invalidPath: true, notExported: true, notDocumented: true, rewrittenLink: true },
  requiredToBeDocumented: ["Class", "Interface", "Function", "Variable", "TypeAlias", "Property", "Method", "Accessor"],
  intentionallyNotExported: ["GPUBuffer", "SnakeCase"],
  // What these are is ONNX Runtime's to say.
  intentionallyNotDocumented: [
    ..."env.__type.webgpu env.__type.webgpu.__type.device Tensor.__type Tensor.__type.fromGpuBuffer"
      .split(" ")
      .map((name) => `integrations/onnxruntime.OrtModule.${name}`),
    ..."name isTensor type shape"
      .split(" ")
      .map((name) => `integrations/onnxruntime.OrtSession.inputMetadata.__type.${name}`),
  ],
};
