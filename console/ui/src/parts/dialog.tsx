/** The browser's own dialogs: they keep the keyboard inside, and Escape closes them. */

import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { asApiError, type ApiError } from '../api/http';
import { complain, say } from './toasts';

export function Dialog({ label, close, wide, children }: { label: string; close: () => void; wide?: boolean; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = useRef(true);
  const outside = useRef(false);
  // Before the browser looks for what wants the focus: what has it now gets it back.
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    // Closing it gives the focus back, whichever way one leaves.
    return () => {
      open.current = false;
      shown?.close();
    };
  }, []);
  // A click on the dialog's own edge, or a selection that ends outside of it, closes nothing.
  const pressed = (event: PointerEvent): void => {
    const box = dialog.current?.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    outside.current = box !== undefined && event.target === dialog.current && (x < box.left || x > box.right || y < box.top || y > box.bottom);
  };
  return (
    <dialog
      ref={dialog}
      class={wide ? 'wide' : undefined}
      aria-label={label}
      onClose={() => open.current && close()}
      onPointerDown={pressed}
      onClick={(event) => event.target === dialog.current && outside.current && close()}
    >
      {children}
    </dialog>
  );
}

interface Asked {
  title: string;
  /** What will happen. */
  text: ComponentChildren;
  action: string;
  danger?: boolean;
  /** What must be typed first, for what cannot be undone. */
  typed?: string;
  /** A number to ask for, and its value at first. */
  number?: number;
  done: string;
  act: (number: number) => Promise<unknown>;
}

/** Asks before something is done, does it, and says how that went. */
export function Confirm({ ask, close }: { ask: Asked; close: () => void }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [typed, setTyped] = useState('');
  const [number, setNumber] = useState(ask.number ?? 0);
  const gone = useRef(false);
  useEffect(() => () => void (gone.current = true), []);
  const ready = !busy && (ask.typed === undefined || typed === ask.typed) && Number.isInteger(number) && number >= 0;
  const submit = (event: Event): void => {
    event.preventDefault();
    if (!ready) return;
    setBusy(true);
    ask.act(number).then(
      () => {
        say(ask.done);
        if (!gone.current) close();
      },
      (failed: unknown) => {
        const problem = asApiError(failed);
        if (gone.current) complain(`${ask.title} ${problem.message} ${problem.hint}`);
        setError(problem);
        setBusy(false);
      },
    );
  };
  return (
    <Dialog label={ask.title} close={close}>
      <form onSubmit={submit}>
        <h2>{ask.title}</h2>
        <div class="text">{ask.text}</div>
        {ask.number !== undefined && (
          <label class="field">
            Replicas
            <input
              type="number"
              min={0}
              max={10000}
              required
              value={number}
              onInput={(event) => setNumber(event.currentTarget.valueAsNumber)}
            />
          </label>
        )}
        {ask.typed !== undefined && (
          <label class="field">
            <span>
              Type <code>{ask.typed}</code> to confirm
            </span>
            <input value={typed} autocomplete="off" spellcheck={false} onInput={(event) => setTyped(event.currentTarget.value)} />
          </label>
        )}
        {error && (
          <p class="error" role="alert">
            {error.message} {error.hint}
          </p>
        )}
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={ask.danger ? 'danger' : 'primary'} disabled={!ready}>
            {ask.action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export type { Asked };
