/** A body of lines, read as it comes: watches, logs, the live stream. */

/** Longest line that is kept whole; what comes beyond it is dropped. */
const MAX_LINE = 4 << 20;

/** Splits pieces of text into lines. Pure: `push` returns the lines that a piece completes. */
export class Splitter {
  #rest = '';

  push(piece: string): string[] {
    const lines = (this.#rest + piece).split('\n');
    this.#rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    return lines;
  }

  /** What is left when the body has ended. */
  finish(): string[] {
    const rest = this.#rest;
    this.#rest = '';
    return rest === '' ? [] : [rest];
  }
}

/** Calls `take` with the lines of each piece that arrives, and `heard` before that even if it completes none. */
export async function eachLines(response: Response, take: (lines: string[]) => void, heard?: () => void): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  const splitter = new Splitter();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    heard?.();
    const lines = splitter.push(decoder.decode(value, { stream: true }));
    if (lines.length > 0) take(lines);
  }
  const rest = splitter.finish();
  if (rest.length > 0) take(rest);
}
