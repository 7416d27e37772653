import { outcome } from "./app.js";

globalThis.outcome = Promise.all([outcome("webgpu"), outcome("cpu")]);
