/** Events: of one object, or the latest of all. */

import { EVENTS, type Obj } from '../api/kube';
import { useWatch } from '../api/watch';
import { byTime, eventCount, seenAt } from '../model/workloads';
import type { KubeEvent } from '../model/types';
import { href } from '../router';
import { Age, Empty, Gate, Status } from './basics';

/** The screen of an object that an event is about. */
export function placeOf(kind: string | undefined, namespace: string | undefined, name: string | undefined): string | undefined {
  const tabs: Record<string, string> = {
    Pod: 'pods',
    Deployment: 'deployments',
    StatefulSet: 'statefulsets',
    DaemonSet: 'daemonsets',
    Job: 'jobs',
  };
  if (kind === 'Node') return href(['nodes', name]);
  const tab = tabs[kind ?? ''];
  return tab && namespace && name ? href(['workloads', tab, namespace, name]) : undefined;
}

export function EventList({ events, about }: { events: KubeEvent[]; about: boolean }) {
  return (
    <ul class="events">
      {events.map((event) => {
        const { kind, namespace, name } = event.involvedObject;
        const address = placeOf(kind, namespace, name);
        const times = eventCount(event);
        return (
          <li key={event.metadata.uid}>
            <div class="what">
              <Status tone={event.type === 'Warning' ? 'bad' : 'done'}>{event.reason ?? ''}</Status>
              {about && (address ? <a href={address}>{`${kind} ${name}`}</a> : <span>{`${kind} ${name}`}</span>)}
              <span class="muted when">
                {times > 1 && `${times} × · `}
                <Age since={new Date(seenAt(event)).toISOString()} />
              </span>
            </div>
            <p>{event.message ?? event.note}</p>
          </li>
        );
      })}
    </ul>
  );
}

/** The events of one object, the latest first. */
export function EventsOf({ object }: { object: Obj }) {
  const { uid, namespace } = object.metadata;
  // The events of a Node are in the namespace default, and name it by its name.
  const query = { fieldSelector: object.kind === 'Node' || !namespace ? `involvedObject.kind=Node,involvedObject.name=${object.metadata.name}` : `involvedObject.uid=${uid}` };
  const events = useWatch<KubeEvent>(EVENTS, namespace ?? '', query);
  return (
    <Gate of={events} what="events">
      {() =>
        events.items.length === 0 ? (
          <Empty title="No events">Kubernetes forgets them after an hour.</Empty>
        ) : (
          <EventList events={[...events.items].sort(byTime)} about={false} />
        )
      }
    </Gate>
  );
}
