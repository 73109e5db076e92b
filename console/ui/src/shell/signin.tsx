/** Signing in with a token, and how to get one. */

import { useState } from 'preact/hooks';
import { ApiError, asApiError } from '../api/http';
import { whoAmI } from '../api/kube';
import { useCell } from '../cell';
import { serverNow } from '../clock';
import { begin, cleaned, expiry, farewell } from '../session';

const READER = `kubectl apply -f examples/console
kubectl -n kube-system create token console-reader --duration=8h`;
const ADMIN = `kubectl -n kube-system create serviceaccount console-admin
kubectl create clusterrolebinding console-admin \\
  --clusterrole=cluster-admin --serviceaccount=kube-system:console-admin
kubectl -n kube-system create token console-admin --duration=1h`;

/** What to tell about a token before anybody is asked; whether it holds is the server's to say. */
function fault(token: string): string {
  if (token === '') return 'Paste a token.';
  if (/[^\x21-\x7e]/.test(token)) return 'This is no token: it has characters that no token has.';
  return '';
}

/** Why the server refused a token. */
function refusal(token: string): string {
  const ends = expiry(token);
  if (ends !== null && ends <= serverNow()) return 'This token has expired. Make a new one.';
  return 'This token is not valid here, or no longer. Make a new one on this minicloud.';
}

async function signIn(token: string): Promise<void> {
  const self = await whoAmI(token);
  if (!self.user) throw new ApiError(0, 'the server did not say whose token this is');
  begin({ token, user: self.user, groups: self.groups, expires: expiry(token) });
}

export function SignIn() {
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const why = useCell(farewell);
  const submit = (event: Event): void => {
    event.preventDefault();
    const token = cleaned(text);
    const wrong = fault(token);
    setError(wrong);
    if (wrong || busy) return;
    setBusy(true);
    signIn(token).catch((failed: unknown) => {
      const problem = asApiError(failed);
      setError(problem.status === 401 ? refusal(token) : `${problem.message}. ${problem.hint}`);
      setBusy(false);
    });
  };
  return (
    <main class="signin">
      <div class="card">
        <h1>
          <img src="/console/icon.svg" alt="" width="28" height="28" /> Minicloud
        </h1>
        {why && !error && (
          <p class="notice" role="status">
            {why}
          </p>
        )}
        <form onSubmit={submit}>
          <label class="field" for="token">
            Kubernetes token
          </label>
          <input
            id="token"
            type="password"
            autocomplete="off"
            spellcheck={false}
            autoFocus
            aria-describedby="token-error"
            aria-invalid={error !== ''}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <p class="error" id="token-error" role="alert">
            {error}
          </p>
          <button type="submit" class="primary" disabled={busy}>
            {busy ? 'Signing in …' : 'Sign in'}
          </button>
        </form>
        <details>
          <summary>How to get a token</summary>
          <p>To look around, from a copy of Minicloud's sources:</p>
          <pre tabIndex={0}>{READER}</pre>
          <p>To change things:</p>
          <pre tabIndex={0}>{ADMIN}</pre>
          <p class="muted">The token stays in this browser tab and ends with it. What you may see and do follows from its roles.</p>
        </details>
      </div>
    </main>
  );
}
