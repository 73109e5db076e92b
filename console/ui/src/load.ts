/** Parts of the console that are loaded when they are needed. */

import { ApiError } from './api/http';

const HINT = 'reload the page: the console has been updated, or the server was away';

/** What `load` gives; an error that says what to do when the part cannot be had. */
export async function loaded<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch {
    throw new ApiError(0, 'a part of the console could not be loaded', HINT);
  }
}
