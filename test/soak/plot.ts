/** A long run as a picture: one small chart a quantity, over the number of calls. */
import type { Reading, SoakResult } from "./soak.ts";

const PANELS: readonly [name: keyof Reading, title: string, scale: number, unit: string][] = [
  ["buffers", "buffers alive", 1, ""],
  ["bytes", "bytes of those buffers", 1024, "KiB"],
  ["bindGroups", "bind groups not collected", 1, ""],
  ["listeners", "listeners on the device", 1, ""],
  ["heap", "JavaScript heap after a collection", 2 ** 20, "MiB"],
];
const [WIDTH, PANEL, LEFT, RIGHT, TOP] = [720, 110, 64, 700, 80];

const STYLE = [
  "svg{--ink:#1f2328;--faint:#d8dde3;--ground:#fff;--line:#0060a8}",
  "@media (prefers-color-scheme:dark){svg{--ink:#e6edf3;--faint:#3a424b;--ground:#0d1117;--line:#56b4e9}}",
  "text{fill:var(--ink);font:12px system-ui,sans-serif}",
  ".title{font-size:15px;font-weight:600}.name{font-weight:600}",
  ".ground{fill:var(--ground)}.grid{stroke:var(--faint)}.line{fill:none;stroke:var(--line);stroke-width:1.5}",
].join("\n");

const digits = (value: number): string => value.toLocaleString("en", { maximumSignificantDigits: 3 });
const whole = (value: number): string => value.toLocaleString("en");

/**
 * The picture. Every axis begins at zero, so that what looks flat is flat.
 *
 * @param grew what `growth` says of the result
 */
export function plot(
  { calls, readings, samplers }: SoakResult,
  grew: readonly string[],
  where: readonly string[],
): string {
  const x = (at: number): number => LEFT + (at / calls) * (RIGHT - LEFT);
  const panels = PANELS.map(([name, title, scale, unit], index) => {
    const values = readings.map((reading) => reading[name] / scale);
    const top = TOP + index * PANEL;
    const [high, low] = [top + 24, top + PANEL - 18];
    const most = Math.max(...values) * 1.1 || 1;
    const y = (value: number): number => low - (value / most) * (low - high);
    const line = values.map((value, at) => `${x(readings[at]!.calls).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    const range = `${digits(Math.min(...values))} to ${digits(Math.max(...values))} ${unit}`.trim();
    return [
      `<text class="name" x="${LEFT}" y="${top + 14}">${title}</text>`,
      `<text x="${RIGHT}" y="${top + 14}" text-anchor="end">${range}</text>`,
      ...[0, most / 2, most].map(
        (tick) =>
          `<path class="grid" d="M${LEFT},${y(tick).toFixed(1)}H${RIGHT}"/><text x="${LEFT - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${digits(tick)}</text>`,
      ),
      `<polyline class="line" points="${line}"/>`,
    ].join("\n");
  });
  const height = TOP + PANELS.length * PANEL + 28;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const anchor = share === 1 ? "end" : "middle";
    return `<text x="${x(share * calls)}" y="${height - 22}" text-anchor="${anchor}">${whole(share * calls)}</text>`;
  });
  const verdict = grew.length === 0 ? "buffers, bind groups, listeners and heap stay flat" : grew.join("; ");
  const description = `${whole(calls)} calls on ${whole(samplers)} samplers: ${verdict}.`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${description}">
<style>
${STYLE}
</style>
<rect class="ground" width="${WIDTH}" height="${height}"/>
<text class="title" x="${LEFT}" y="26">${whole(calls)} calls on ${whole(samplers)} samplers, one device</text>
${where.map((line, index) => `<text x="${LEFT}" y="${46 + 18 * index}">${line}</text>`).join("\n")}
${panels.join("\n")}
${ticks.join("\n")}
<text x="${(LEFT + RIGHT) / 2}" y="${height - 6}" text-anchor="middle">calls</text>
</svg>
`;
}
