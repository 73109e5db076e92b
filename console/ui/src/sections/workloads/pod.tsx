/** One pod: its containers, logs, events, charts. */

import { PODS, REPLICA_SETS } from '../../api/kube';
import { usePodUsage } from '../../api/usage';
import { useObject, useWatch } from '../../api/watch';
import { summarize } from '../../model/pods';
import { bytes, cpus } from '../../model/quantity';
import type { Container, ContainerState, ContainerStatus, Pod, Workload } from '../../model/types';
import type { Tone } from '../../model/pods';
import { Age, Empty, Facts, Gate, Head, Panel, Status, Tabs } from '../../parts/basics';
import { ChartGrid } from '../../parts/chart';
import { Conditions } from '../../parts/conditions';
import { exactly, podCharts } from '../../parts/dashboards';
import { EventsOf, placeOf } from '../../parts/events';
import { ImpactOf } from '../../parts/impact';
import { Yaml } from '../../parts/yaml';
import { href } from '../../router';
import { PodActions } from './actions';
import { Logs } from './logs';

const TABS: [string, string][] = [
  ['summary', 'Summary'],
  ['logs', 'Logs'],
  ['charts', 'Charts'],
  ['events', 'Events'],
  ['yaml', 'YAML'],
];

export function PodScreen({ namespace, name, tab }: { namespace: string; name: string; tab: string }) {
  const known = useObject<Pod>(PODS, namespace, name);
  const pod = known.object;
  const about = pod && summarize(pod);
  const steps = [
    { title: 'Workloads', href: href(['workloads']) },
    { title: 'Pods', href: href(['workloads', 'pods']) },
    { title: namespace, href: href(['workloads', 'pods'], { ns: namespace }) },
  ];
  return (
    <>
      <Head steps={steps} title={name} status={about && <Status tone={about.tone}>{about.status}</Status>}>
        <ImpactOf of={{ pod: `${namespace}/${name}` }} />
        {pod && <PodActions pod={pod} />}
      </Head>
      <Tabs label="About this pod" current={tab} tabs={TABS.map(([id, title]) => ({ id, title, href: href(['workloads', 'pods', namespace, name, id === 'summary' ? undefined : id]) }))} />
      <Gate of={known} what={`pod ${name}`}>
        {() => (pod ? <View pod={pod} tab={tab} /> : <Empty title={`There is no pod ${name} in ${namespace}`}>It may have been deleted.</Empty>)}
      </Gate>
    </>
  );
}

function View({ pod, tab }: { pod: Pod; tab: string }) {
  const { namespace = '', name } = pod.metadata;
  if (tab === 'logs') return <Logs pod={pod} />;
  if (tab === 'charts') {
    return <ChartGrid charts={podCharts(namespace, exactly(name), 'container')} />;
  }
  if (tab === 'events') return <EventsOf object={pod} />;
  if (tab === 'yaml') return <Yaml object={{ apiVersion: 'v1', kind: 'Pod', ...pod }} />;
  return <Summary pod={pod} />;
}

/** What made the pod; for a Deployment's pod the Deployment, not the ReplicaSet between them. */
function useOwner(pod: Pod): { kind: string; name: string } | undefined {
  const owner = pod.metadata.ownerReferences?.find((one) => one.controller);
  const between = owner?.kind === 'ReplicaSet' ? owner.name : '';
  const sets = useWatch<Workload>(between ? REPLICA_SETS : null, pod.metadata.namespace, { fieldSelector: `metadata.name=${between}` });
  return sets.items[0]?.metadata.ownerReferences?.find((one) => one.controller) ?? owner;
}

function Summary({ pod }: { pod: Pod }) {
  const { spec, status = {}, metadata } = pod;
  const about = summarize(pod);
  const usage = usePodUsage().get(`${metadata.namespace}/${metadata.name}`);
  const owner = useOwner(pod);
  const ownerPlace = owner && placeOf(owner.kind, metadata.namespace, owner.name);
  const statuses = new Map([...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].map((one) => [one.name, one]));
  return (
    <div class="columns">
      <div>
        {(spec.initContainers ?? []).map((one) => (
          <ContainerPanel key={one.name} of={one} status={statuses.get(one.name)} init pod={pod} />
        ))}
        {spec.containers.map((one) => (
          <ContainerPanel key={one.name} of={one} status={statuses.get(one.name)} pod={pod} />
        ))}
      </div>
      <div>
        <Panel title="Pod">
          <Facts
            of={[
              // What a container's own panel says is not said twice.
              ['Message', [...statuses.values()].some((one) => stateOf(one.state).why === about.message) ? '' : about.message],
              ['Ready', `${about.ready} of ${about.containers}`],
              ['Restarts', about.restarts],
              ['CPU', usage && cpus(usage.cpu)],
              ['Memory', usage && bytes(usage.memory)],
              ['Node', spec.nodeName && <a href={href(['nodes', spec.nodeName])}>{spec.nodeName}</a>],
              ['Address', status.podIP],
              ['Controlled by', owner && (ownerPlace ? <a href={ownerPlace}>{`${owner.kind} ${owner.name}`}</a> : `${owner.kind} ${owner.name}`)],
              ['Service account', spec.serviceAccountName],
              ['Quality of service', status.qosClass],
              ['Priority', spec.priorityClassName],
              ['Labels', Object.entries(metadata.labels ?? {}).map(([key, value]) => `${key}=${value}`).join(', ')],
              ['Created', <Age since={metadata.creationTimestamp} />],
            ]}
          />
        </Panel>
        <Panel title="Conditions">
          <Conditions of={status.conditions ?? []} />
        </Panel>
      </div>
    </div>
  );
}

/** A container's state in a word, why, and since when. */
export function stateOf(state: ContainerState | undefined): { text: string; tone: Tone; why: string; since: string | undefined } {
  const { running, waiting, terminated } = state ?? {};
  if (running) return { text: 'Running', tone: 'good', why: '', since: running.startedAt };
  if (terminated) {
    const well = terminated.exitCode === 0;
    const code = terminated.signal ? `signal ${terminated.signal}` : `exit code ${terminated.exitCode}`;
    return { text: terminated.reason ?? (well ? 'Completed' : 'Error'), tone: well ? 'done' : 'bad', why: [code, terminated.message].filter(Boolean).join(': '), since: terminated.finishedAt };
  }
  const reason = waiting?.reason ?? 'Waiting';
  const busy = ['Waiting', 'ContainerCreating', 'PodInitializing'].includes(reason);
  return { text: reason, tone: busy ? 'busy' : 'bad', why: waiting?.message ?? '', since: undefined };
}

function ContainerPanel({ of, status, init, pod }: { of: Container; status: ContainerStatus | undefined; init?: boolean; pod: Pod }) {
  const now = stateOf(status?.state);
  const before = status?.lastState?.terminated ? stateOf(status.lastState) : null;
  const { namespace, name } = pod.metadata;
  const amounts = (set: Record<string, string> | undefined): string => Object.entries(set ?? {}).map(([what, much]) => `${what} ${much}`).join(', ');
  return (
    <Panel title={`${init ? 'Init container' : 'Container'} ${of.name}`} aside={<a href={href(['workloads', 'pods', namespace, name, 'logs'], { container: of.name })}>Logs</a>}>
      <Facts
        of={[
          ['State', <Status tone={now.tone}>{now.text}</Status>],
          ['Why', now.why],
          ['Since', now.since && <Age since={now.since} />],
          ['Restarts', status?.restartCount],
          ['Last time', before && <span>{`${before.text}, ${before.why}, `}<Age since={before.since} />{' ago'}</span>],
          ['Image', of.image],
          ['Command', [...(of.command ?? []), ...(of.args ?? [])].join(' ')],
          ['Ports', (of.ports ?? []).map((port) => `${port.containerPort}/${port.protocol ?? 'TCP'}${port.name ? ` (${port.name})` : ''}`).join(', ')],
          ['Requests', amounts(of.resources?.requests)],
          ['Limits', amounts(of.resources?.limits)],
        ]}
      />
    </Panel>
  );
}
