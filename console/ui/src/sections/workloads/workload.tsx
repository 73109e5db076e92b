/** One Deployment or its like. */

import { REPLICA_SETS, PODS, type Resource } from '../../api/kube';
import { useObject, useWatch } from '../../api/watch';
import type { Pod, Workload } from '../../model/types';
import { matches, summarizeWorkload } from '../../model/workloads';
import { Age, Empty, Facts, Gate, Head, Panel, Status, Tabs } from '../../parts/basics';
import { ChartGrid } from '../../parts/chart';
import { Conditions } from '../../parts/conditions';
import { podCharts, podsOf } from '../../parts/dashboards';
import { EventsOf } from '../../parts/events';
import { PodTable } from '../../parts/pods';
import { Yaml } from '../../parts/yaml';
import { href } from '../../router';
import { WorkloadActions } from './actions';
import type { Kind } from './kinds';

const TABS: [string, string][] = [
  ['summary', 'Summary'],
  ['charts', 'Charts'],
  ['events', 'Events'],
  ['yaml', 'YAML'],
];

export function WorkloadScreen({ kind, namespace, name, tab }: { kind: Kind; namespace: string; name: string; tab: string }) {
  const known = useObject<Workload>(kind.of, namespace, name);
  const object = known.object;
  const about = object && summarizeWorkload(kind.of.kind, object);
  const steps = [
    { title: 'Workloads', href: href(['workloads']) },
    { title: kind.title, href: href(['workloads', kind.id]) },
    { title: namespace, href: href(['workloads', kind.id], { ns: namespace }) },
  ];
  return (
    <>
      <Head steps={steps} title={name} status={about && <Status tone={about.tone}>{about.status}</Status>}>
        {object && <WorkloadActions kind={kind} object={object} />}
      </Head>
      <Tabs label={`About this ${kind.of.kind}`} current={tab} tabs={TABS.map(([id, title]) => ({ id, title, href: href(['workloads', kind.id, namespace, name, id === 'summary' ? undefined : id]) }))} />
      <Gate of={known} what={name}>
        {() => (object ? <View kind={kind} object={object} tab={tab} /> : <Empty title={`There is no ${kind.of.kind} ${name} in ${namespace}`} />)}
      </Gate>
    </>
  );
}

function View({ kind, object, tab }: { kind: Kind; object: Workload; tab: string }) {
  const { namespace = '', name } = object.metadata;
  if (tab === 'charts') {
    return <ChartGrid charts={podCharts(namespace, podsOf(kind.of.kind, name), 'pod')} />;
  }
  if (tab === 'events') return <Events kind={kind.of} object={object} />;
  if (tab === 'yaml') return <Yaml object={{ apiVersion: `${kind.of.group}/${kind.of.version}`, kind: kind.of.kind, ...object }} />;
  return <Summary kind={kind} object={object} />;
}

/** A Deployment's own events and those of its ReplicaSets: scaling is told by both. */
function Events({ kind, object }: { kind: Resource; object: Workload }) {
  const sets = useWatch<Workload>(kind.kind === 'Deployment' ? REPLICA_SETS : null, object.metadata.namespace);
  const own = sets.items.filter((set) => set.metadata.ownerReferences?.some((owner) => owner.uid === object.metadata.uid));
  const current = own.filter((set) => (set.spec?.replicas ?? 0) > 0);
  return (
    <>
      <Panel title={kind.kind}>
        <EventsOf object={object} />
      </Panel>
      {current.map((set) => (
        <Panel title={`ReplicaSet ${set.metadata.name}`} key={set.metadata.uid}>
          <EventsOf object={set} />
        </Panel>
      ))}
    </>
  );
}

function Summary({ kind, object }: { kind: Kind; object: Workload }) {
  const { spec = {}, status = {}, metadata } = object;
  const about = summarizeWorkload(kind.of.kind, object);
  const pods = useWatch<Pod>(PODS, metadata.namespace);
  const own = pods.items.filter((pod) => matches(spec.selector, pod.metadata.labels));
  const job = kind.id === 'jobs';
  return (
    <>
      <div class="columns">
        <Panel title={kind.of.kind}>
          <Facts
            of={[
              [job ? 'Done' : 'Ready', `${about.ready} of ${about.wanted}`],
              ['Up to date', job ? '' : `${about.updated} of ${about.wanted}`],
              ['Available', status.availableReplicas ?? status.numberAvailable],
              ['Strategy', spec.strategy?.type ?? spec.updateStrategy?.type],
              ['Selector', Object.entries(spec.selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`).join(', ')],
              ...(spec.template?.spec?.containers ?? []).map((one): [string, string | undefined] => [`Image of ${one.name}`, one.image]),
              ['Created', <Age since={metadata.creationTimestamp} />],
              ['Message', about.message],
            ]}
          />
        </Panel>
        {(status.conditions ?? []).length > 0 && (
          <Panel title="Conditions">
            <Conditions of={status.conditions ?? []} />
          </Panel>
        )}
      </div>
      <Panel title="Pods">
        <Gate of={pods} what={`pods in ${metadata.namespace}`}>
          {() => <PodTable pods={own} without="namespace" empty={<Empty title="It has no pods" />} />}
        </Gate>
      </Panel>
    </>
  );
}
