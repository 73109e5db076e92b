import { useState } from 'preact/hooks';
import { catalog } from '../../api/catalog';
import { DEPLOYMENTS, EVENTS, PODS } from '../../api/kube';
import { useWatch } from '../../api/watch';
import { useCell } from '../../cell';
import { summarize } from '../../model/pods';
import type { KubeEvent, Pod, Workload } from '../../model/types';
import { byTime, searched, summarizeWorkload } from '../../model/workloads';
import { Age, Choice, Empty, Gate, Head, Named, Search, Status, Tabs } from '../../parts/basics';
import { EventList } from '../../parts/events';
import { PodTable } from '../../parts/pods';
import { Table } from '../../parts/table';
import { href, namespace } from '../../router';
import { KINDS, type Kind } from './kinds';
import { PodScreen } from './pod';
import { WorkloadScreen } from './workload';

/** Events beyond these are older than what anybody looks for here. */
const MOST_EVENTS = 300;

export default function Workloads({ path }: { path: string[] }) {
  const [tab = 'pods', space, name, view = 'summary'] = path;
  const kind = KINDS.find((one) => one.id === tab);
  if (space && name) {
    if (tab === 'pods') return <PodScreen namespace={space} name={name} tab={view} key={`${space}/${name}`} />;
    if (kind) return <WorkloadScreen kind={kind} namespace={space} name={name} tab={view} key={`${tab}/${space}/${name}`} />;
  }
  return <Lists tab={tab} kind={kind} />;
}

function Lists({ tab, kind }: { tab: string; kind: Kind | undefined }) {
  const [text, setText] = useState('');
  const [state, setState] = useState('');
  const scope = useCell(namespace);
  const served = useCell(catalog);
  const kinds = KINDS.filter((one) => one.id === tab || (served?.has(one.of) ?? one.of === DEPLOYMENTS));
  const tabs = [{ id: 'pods', title: 'Pods' }, ...kinds, { id: 'events', title: 'Events' }];
  return (
    <>
      <Head title="Workloads" status={scope ? <span class="muted">in namespace {scope}</span> : undefined}>
        {tab === 'pods' && (
          <Choice
            label="State"
            value={state}
            options={[
              ['', 'All states'],
              ['good', 'Running'],
              ['busy', 'On their way'],
              ['bad', 'Failing'],
              ['done', 'Completed'],
            ]}
            choose={setState}
          />
        )}
        <Search value={text} change={setText} label={`Search ${tab}`} />
      </Head>
      <Tabs label="Kinds of workloads" current={tab} tabs={tabs.map(({ id, title }) => ({ id, title, href: href(['workloads', id]) }))} />
      {kind ? <Kinds kind={kind} scope={scope} text={text} key={kind.id} /> : tab === 'events' ? <Events scope={scope} text={text} /> : <Pods scope={scope} text={text} state={state} />}
    </>
  );
}

function Pods({ scope, text, state }: { scope: string; text: string; state: string }) {
  const pods = useWatch<Pod>(PODS, scope);
  const rows = searched(pods.items, text, (pod) => `${summarize(pod).status} ${pod.spec.nodeName ?? ''}`).filter((pod) => !state || summarize(pod).tone === state);
  const nothing = text || state ? 'No pod is like that' : scope ? `There are no pods in ${scope}` : 'There are no pods';
  return (
    <Gate of={pods} what={scope ? `pods in ${scope}` : 'pods of all namespaces'}>
      {() => (
        <>
          <PodTable pods={rows} {...(scope ? { without: 'namespace' as const } : {})} empty={<Empty title={nothing} />} />
          <p class="muted total-line" aria-live="polite">{`${rows.length} of ${pods.items.length} pods`}</p>
        </>
      )}
    </Gate>
  );
}

function Kinds({ kind, scope, text }: { kind: Kind; scope: string; text: string }) {
  const known = useWatch<Workload>(kind.of, scope);
  const rows = searched(known.items, text);
  const about = (one: Workload) => summarizeWorkload(kind.of.kind, one);
  return (
    <Gate of={known} what={scope ? `${kind.title} in ${scope}` : `${kind.title} of all namespaces`}>
      {() => (
        <Table
          label={kind.title}
          rows={rows}
          id={(one) => one.metadata.uid}
          href={(one) => href(['workloads', kind.id, one.metadata.namespace, one.metadata.name])}
          sort="name"
          empty={<Empty title={text ? `No ${kind.title} are like that` : `There are no ${kind.title}${scope && ` in ${scope}`}`} />}
          columns={[
            { id: 'name', title: 'Name', cell: (one) => <Named of={one} namespace={!scope} />, sort: (one) => one.metadata.name },
            { id: 'namespace', title: 'Namespace', width: '11rem', wide: true, cell: (one) => one.metadata.namespace, sort: (one) => one.metadata.namespace ?? '' },
            { id: 'status', title: 'Status', width: '10rem', cell: (one) => <Status tone={about(one).tone}>{about(one).status}</Status>, sort: (one) => about(one).status },
            { id: 'ready', title: kind.id === 'jobs' ? 'Done' : 'Ready', width: '5rem', end: true, cell: (one) => `${about(one).ready}/${about(one).wanted}`, sort: (one) => about(one).ready },
            { id: 'images', title: 'Images', wide: true, cell: (one) => (one.spec?.template?.spec?.containers ?? []).map((c) => c.image).join(', ') },
            { id: 'age', title: 'Age', width: '4.5rem', end: true, wide: true, cell: (one) => <Age since={one.metadata.creationTimestamp} />, sort: (one) => -Date.parse(one.metadata.creationTimestamp ?? '') },
          ]}
        />
      )}
    </Gate>
  );
}

function Events({ scope, text }: { scope: string; text: string }) {
  const events = useWatch<KubeEvent>(EVENTS, scope);
  const rows = searched(events.items, text, (event) => `${event.reason} ${event.message} ${event.involvedObject.kind} ${event.involvedObject.name}`).sort(byTime);
  return (
    <Gate of={events} what={scope ? `events in ${scope}` : 'events of all namespaces'}>
      {() => (rows.length === 0 ? <Empty title={text ? 'No event is like that' : 'No events'}>Kubernetes forgets them after an hour.</Empty> : <EventList events={rows.slice(0, MOST_EVENTS)} about />)}
    </Gate>
  );
}
