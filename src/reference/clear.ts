import type { Marks } from "./marks.ts";

/** Takes the marks of a row away; only words of touched tokens can be set. The twin of `shaders/clear.wgsl`. */
export function clear({ touched, banned, words }: Marks): void {
  for (let at = 0; at < touched.length; at++) {
    for (let bits = touched[at]!; bits !== 0; bits &= bits - 1) words[32 * at + 31 - Math.clz32(bits & -bits)] = 0;
    touched[at] = 0;
    banned[at] = 0;
  }
}
