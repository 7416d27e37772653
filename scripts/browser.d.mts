/** Types of browser.mjs, for vite.config.ts. */
export function chromiumFlags(hardware: boolean): string[];
export function findBrowser(): { path: string; from: string };
