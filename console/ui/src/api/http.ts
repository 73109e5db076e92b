/** Requests to our own server with the caller's token, and errors that say what is wrong and what to do. */

import { heard } from '../clock';
import { end, session } from '../session';

export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 when there was no answer. */
    readonly status: number,
    message: string,
    readonly hint = '',
    /** Kubernetes' word for it, such as Forbidden or Expired. */
    readonly reason = '',
  ) {
    super(message);
  }
}

/** Reads problems (RFC 9457), Kubernetes' Status and Prometheus' errors. */
export function readError(status: number, body: string): ApiError {
  try {
    const said = JSON.parse(body) as Record<string, unknown>;
    const text = (key: string): string => (typeof said[key] === 'string' ? said[key] : '');
    const message = text('detail') || text('message') || text('error') || text('title');
    if (message) return new ApiError(status, message, text('hint'), text('reason'));
  } catch {
    // No JSON: the text itself is all there is.
  }
  return new ApiError(status, body.slice(0, 300) || `the server answered ${status}`);
}

export interface Ask extends RequestInit {
  /** Asks with this token instead of the session's; its refusal ends no session. */
  token?: string;
}

/** The answer to a request that succeeded. */
export async function ask(path: string, options: Ask = {}): Promise<Response> {
  const { token = session.value?.token, headers, ...rest } = options;
  const all = new Headers(headers);
  if (token) all.set('Authorization', `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(path, { ...rest, headers: all, credentials: 'omit', cache: 'no-store', redirect: 'error' });
  } catch (error) {
    if (rest.signal?.aborted) throw error;
    throw new ApiError(0, 'the server does not answer', 'check that it runs and that this machine reaches it');
  }
  heard(response.headers.get('Date'));
  if (response.ok) return response;
  const error = readError(response.status, await response.text().catch(() => ''));
  if (response.status === 401 && !options.token && token === session.value?.token) {
    end('Your token is no longer valid. Sign in with a new one.');
  }
  throw error;
}

export async function askJson<T>(path: string, options: Ask = {}): Promise<T> {
  const response = await ask(path, options);
  return (await response.json()) as T;
}

export function send<T>(method: string, path: string, body: unknown, type = 'application/json', options: Ask = {}): Promise<T> {
  return askJson<T>(path, { ...options, method, body: JSON.stringify(body), headers: { 'Content-Type': type } });
}

/** True for the error of a request that was given up on purpose. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** Any thrown thing as an error that can be shown. */
export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, error instanceof Error ? error.message : String(error));
}
