/** Waiting: for a time, for somebody to look, and for what should have come. */

/** Ends early when `signal` does. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((wake) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      wake();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

/** Waits until `signal` ends. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((wake) => {
    if (signal.aborted) wake();
    else signal.addEventListener('abort', () => wake(), { once: true });
  });
}

/** Waits until the page is looked at, or `signal` ends; at once when it is. */
export function looked(signal: AbortSignal): Promise<void> {
  return new Promise((wake) => {
    const done = (): void => {
      document.removeEventListener('visibilitychange', seen);
      signal.removeEventListener('abort', done);
      wake();
    };
    const seen = (): void => {
      if (!document.hidden) done();
    };
    document.addEventListener('visibilitychange', seen);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
    else seen();
  });
}

/** Calls `late` unless it is fed every `ms`. */
export class Watchdog {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly ms: number,
    readonly late: () => void,
  ) {
    this.feed();
  }

  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.late, this.ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
