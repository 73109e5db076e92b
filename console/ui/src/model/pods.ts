/** How a pod is doing, in kubectl's words. */

import type { ContainerState, Pod } from './types';

/** `good` and `done` need nobody, `busy` will pass, `bad` needs somebody. */
export type Tone = 'good' | 'done' | 'busy' | 'bad';

export interface PodSummary {
  /** What kubectl's STATUS column says. */
  status: string;
  tone: Tone;
  ready: number;
  containers: number;
  restarts: number;
  /** Why, when it is not well; may be empty. */
  message: string;
}

const BUSY = new Set(['Pending', 'ContainerCreating', 'PodInitializing', 'Terminating', 'SchedulingGated']);

function ended(state: ContainerState['terminated']): string {
  if (!state) return '';
  return state.reason || (state.signal ? `Signal:${state.signal}` : `ExitCode:${state.exitCode}`);
}

export function summarize(pod: Pod): PodSummary {
  const { spec, status = {} } = pod;
  const inits = status.initContainerStatuses ?? [];
  const mains = status.containerStatuses ?? [];
  const sidecars = new Set((spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always').map((c) => c.name));
  let text = status.reason || status.phase || 'Unknown';
  let message = status.message ?? '';
  let restarts = [...inits, ...mains].reduce((sum, one) => sum + one.restartCount, 0);

  let initializing = false;
  for (const [n, one] of inits.entries()) {
    const { terminated, waiting } = one.state ?? {};
    if (terminated?.exitCode === 0 || (sidecars.has(one.name) && one.started)) continue;
    initializing = true;
    if (terminated) {
      text = `Init:${ended(terminated)}`;
      message = terminated.message ?? '';
    } else if (waiting?.reason && waiting.reason !== 'PodInitializing') {
      text = `Init:${waiting.reason}`;
      message = waiting.message ?? '';
    } else {
      text = `Init:${n}/${inits.length}`;
    }
    break;
  }
  const ready = mains.filter((one) => one.ready && one.state?.running).length;
  if (!initializing) {
    restarts = mains.reduce((sum, one) => sum + one.restartCount, 0) + inits.filter((i) => sidecars.has(i.name)).reduce((s, i) => s + i.restartCount, 0);
    for (const one of [...mains].reverse()) {
      const { waiting, terminated } = one.state ?? {};
      if (waiting?.reason) {
        text = waiting.reason;
        message = waiting.message ?? '';
      } else if (terminated) {
        text = ended(terminated);
        message = terminated.message ?? '';
      }
    }
    // Some containers have ended, others run: the pod runs.
    if (text === 'Completed' && ready > 0) text = conditionHolds(pod, 'Ready') ? 'Running' : 'NotReady';
  }
  if (text === 'Pending' && !spec.nodeName) {
    const scheduled = status.conditions?.find((c) => c.type === 'PodScheduled' && c.status === 'False');
    if (scheduled?.message) message = scheduled.message;
    if (scheduled?.reason === 'SchedulingGated') text = 'SchedulingGated';
  }
  if (pod.metadata.deletionTimestamp) text = status.reason === 'NodeLost' ? 'Unknown' : 'Terminating';
  return { status: text, tone: tone(text, ready, mains.length), ready, containers: spec.containers.length, restarts, message };
}

function conditionHolds(pod: Pod, type: string): boolean {
  return pod.status?.conditions?.some((c) => c.type === type && c.status === 'True') ?? false;
}

function tone(status: string, ready: number, containers: number): Tone {
  if (status === 'Running') return ready === containers ? 'good' : 'busy';
  if (status === 'Completed' || status === 'Succeeded') return 'done';
  if (BUSY.has(status) || /^Init:\d+\/\d+$/.test(status)) return 'busy';
  return 'bad';
}

/** What the scheduler holds back for the pod: the sum of its containers, or its largest init container. */
export function requested(pod: Pod, resource: 'cpu' | 'memory', read: (text: string) => number): number {
  const of = (requests: Record<string, string> | undefined): number => {
    const value = read(requests?.[resource] ?? '0');
    return Number.isFinite(value) ? value : 0;
  };
  const all = pod.spec.initContainers ?? [];
  const sidecars = all.filter((c) => c.restartPolicy === 'Always').reduce((sum, c) => sum + of(c.resources?.requests), 0);
  const mains = pod.spec.containers.reduce((sum, c) => sum + of(c.resources?.requests), sidecars);
  const inits = all.filter((c) => c.restartPolicy !== 'Always').map((c) => of(c.resources?.requests));
  return Math.max(mains, ...inits);
}

/** True while the pod takes what it has requested. */
export const occupies = (pod: Pod): boolean => pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed';
