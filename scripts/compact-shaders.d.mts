export function compactShaders(): import("vite").Plugin;
