/** Which charts tell how a node, a pod or the site is doing. Names are node_exporter's and cAdvisor's. */

import { quoted, type Labels } from '../api/prometheus';
import type { ChartOf, Line } from './chart';

const line = (promql: string, name: string | ((labels: Labels) => string)): Line => ({
  promql,
  name: typeof name === 'string' ? () => name : name,
});
const by =
  (...labels: string[]) =>
  (found: Labels): string =>
    labels.map((label) => found[label]).filter(Boolean).join(' ') || 'all';

/** Interfaces of pods, and the loopback one, say nothing of the machine's links. */
const LINKS = 'device!~"lo|veth.*|cali.*|minicloud.*"';
const DISKS = 'device!~"loop.*|ram.*|dm-.*|sr.*|zram.*"';
const FILES = 'fstype!~"tmpfs|ramfs|overlay|squashfs|nsfs|devtmpfs"';

export function nodeCharts(node: string): ChartOf[] {
  const on = `node=${quoted(node)}`;
  return [
    {
      title: 'CPU',
      unit: 'ratio',
      top: 1,
      lines: [
        line(
          `sum by (mode) (rate(node_cpu_seconds_total{${on},mode!="idle"}[$w])) / scalar(count(node_cpu_seconds_total{${on},mode="idle"}))`,
          by('mode'),
        ),
      ],
    },
    {
      title: 'Memory',
      unit: 'bytes',
      lines: [
        line(`node_memory_MemTotal_bytes{${on}} - node_memory_MemAvailable_bytes{${on}}`, 'used'),
        line(`node_memory_Cached_bytes{${on}}`, 'page cache'),
        line(`node_memory_MemTotal_bytes{${on}}`, 'total'),
      ],
    },
    {
      title: 'Load',
      unit: 'count',
      lines: [line(`node_load1{${on}}`, '1 minute'), line(`node_load5{${on}}`, '5 minutes'), line(`node_load15{${on}}`, '15 minutes')],
    },
    {
      title: 'Pressure: part of the time that somebody waited',
      unit: 'ratio',
      lines: ['cpu', 'memory', 'io'].map((what) => line(`rate(node_pressure_${what}_waiting_seconds_total{${on}}[$w])`, `for ${what === 'io' ? 'disks' : what}`)),
    },
    {
      title: 'Disk throughput',
      unit: 'bytes/s',
      lines: [
        line(`rate(node_disk_read_bytes_total{${on},${DISKS}}[$w])`, (labels) => `${labels.device} read`),
        line(`rate(node_disk_written_bytes_total{${on},${DISKS}}[$w])`, (labels) => `${labels.device} written`),
      ],
    },
    {
      title: 'Disks busy',
      unit: 'ratio',
      top: 1,
      lines: [line(`rate(node_disk_io_time_seconds_total{${on},${DISKS}}[$w])`, by('device'))],
    },
    {
      title: 'Time per read and write',
      unit: 'seconds',
      lines: [
        line(
          `rate(node_disk_read_time_seconds_total{${on},${DISKS}}[$w]) / (rate(node_disk_reads_completed_total{${on},${DISKS}}[$w]) > 0)`,
          (labels) => `${labels.device} read`,
        ),
        line(
          `rate(node_disk_write_time_seconds_total{${on},${DISKS}}[$w]) / (rate(node_disk_writes_completed_total{${on},${DISKS}}[$w]) > 0)`,
          (labels) => `${labels.device} write`,
        ),
      ],
    },
    {
      title: 'File systems used',
      unit: 'ratio',
      top: 1,
      lines: [line(`1 - node_filesystem_avail_bytes{${on},${FILES}} / node_filesystem_size_bytes{${on},${FILES}}`, by('mountpoint'))],
    },
    {
      title: 'Network',
      unit: 'bytes/s',
      lines: [
        line(`rate(node_network_receive_bytes_total{${on},${LINKS}}[$w])`, (labels) => `${labels.device} in`),
        line(`rate(node_network_transmit_bytes_total{${on},${LINKS}}[$w])`, (labels) => `${labels.device} out`),
      ],
    },
    {
      title: 'Lost packets',
      unit: 'count/s',
      lines: [
        line(
          `sum by (device) (rate(node_network_receive_drop_total{${on},${LINKS}}[$w]) + rate(node_network_receive_errs_total{${on},${LINKS}}[$w]) + rate(node_network_transmit_errs_total{${on},${LINKS}}[$w]))`,
          by('device'),
        ),
      ],
    },
    {
      title: 'Temperatures',
      unit: 'celsius',
      optional: true,
      lines: [
        line(`node_thermal_zone_temp{${on}}`, by('type', 'zone')),
        line(`node_hwmon_temp_celsius{${on}}`, by('chip', 'sensor')),
      ],
    },
  ];
}

/** What a set of pods uses, by container or by pod. */
export function podCharts(namespace: string, pods: string, split: 'container' | 'pod'): ChartOf[] {
  const on = `namespace=${quoted(namespace)},pod=~${quoted(pods)}`;
  const inside = `${on},container!="",container!="POD"`;
  return [
    { title: 'CPU', unit: 'cpus', lines: [line(`sum by (${split}) (rate(container_cpu_usage_seconds_total{${inside}}[$w]))`, by(split))] },
    { title: 'Memory', unit: 'bytes', lines: [line(`sum by (${split}) (container_memory_working_set_bytes{${inside}})`, by(split))] },
    {
      title: 'Throttled: part of the periods',
      unit: 'ratio',
      lines: [
        line(
          `sum by (${split}) (rate(container_cpu_cfs_throttled_periods_total{${inside}}[$w])) / sum by (${split}) (rate(container_cpu_cfs_periods_total{${inside}}[$w]) > 0)`,
          by(split),
        ),
      ],
    },
    {
      title: 'Network',
      unit: 'bytes/s',
      lines: [
        line(`sum by (pod) (rate(container_network_receive_bytes_total{${on}}[$w]))`, (labels) => (split === 'pod' ? `${labels.pod} in` : 'in')),
        line(`sum by (pod) (rate(container_network_transmit_bytes_total{${on}}[$w]))`, (labels) => (split === 'pod' ? `${labels.pod} out` : 'out')),
      ],
    },
    {
      title: 'Disks',
      unit: 'bytes/s',
      lines: [
        line(`sum by (${split}) (rate(container_fs_reads_bytes_total{${inside}}[$w]))`, (labels) => `${labels[split]} read`),
        line(`sum by (${split}) (rate(container_fs_writes_bytes_total{${inside}}[$w]))`, (labels) => `${labels[split]} written`),
      ],
    },
  ];
}

/** The site as a whole, node by node. Waiting for disks is no use of a CPU, as in the live stream. */
export function siteCharts(): ChartOf[] {
  return [
    { title: 'CPU by node', unit: 'ratio', top: 1, lines: [line('1 - sum by (node) (rate(node_cpu_seconds_total{mode=~"idle|iowait"}[$w])) / sum by (node) (rate(node_cpu_seconds_total[$w]))', by('node'))] },
    { title: 'Memory by node', unit: 'ratio', top: 1, lines: [line('1 - sum by (node) (node_memory_MemAvailable_bytes) / sum by (node) (node_memory_MemTotal_bytes)', by('node'))] },
    { title: 'Network by node', unit: 'bytes/s', lines: [line(`sum by (node) (rate(node_network_receive_bytes_total{${LINKS}}[$w]) + rate(node_network_transmit_bytes_total{${LINKS}}[$w]))`, by('node'))] },
    { title: 'Waiting for disks by node', unit: 'ratio', lines: [line('max by (node) (rate(node_pressure_io_waiting_seconds_total[$w]))', by('node'))] },
  ];
}

/** Namespace by namespace. */
export function namespaceCharts(): ChartOf[] {
  return [
    { title: 'CPU by namespace', unit: 'cpus', lines: [line('sum by (namespace) (rate(container_cpu_usage_seconds_total{container!="",namespace!=""}[$w]))', by('namespace'))] },
    { title: 'Memory by namespace', unit: 'bytes', lines: [line('sum by (namespace) (container_memory_working_set_bytes{container!="",namespace!=""})', by('namespace'))] },
  ];
}

/** The Kubernetes API itself. */
export function serverCharts(): ChartOf[] {
  return [
    { title: 'API requests', unit: 'count/s', lines: [line('sum by (verb) (rate(apiserver_request_total[$w]))', by('verb'))] },
    {
      title: 'API latency, 99 of 100 requests',
      unit: 'seconds',
      lines: [line('histogram_quantile(0.99, sum by (le, verb) (rate(apiserver_request_duration_seconds_bucket{verb!="WATCH"}[$w])))', by('verb'))],
    },
  ];
}

/** What Kubernetes makes random parts of names from: no vowels, and nothing that looks like them. */
const RANDOM = '[bcdfghjklmnpqrstvwxz2456789]';
/** Of a longer name the API server cuts the end off before it adds the random part. */
const LONGEST_BASE = 58;

/** The names that a controller gives its pods, as a regular expression: `web-…` are not the pods of `web-admin`. */
export function podsOf(kind: string, name: string): string {
  const own = exactly(name);
  if (kind === 'StatefulSet') return `${own}-[0-9]+`;
  // A ReplicaSet's hash has ten letters at most.
  const between = kind === 'Deployment' ? `${RANDOM}{1,10}-` : kind === 'Job' ? '([0-9]+-)?' : '';
  const longest = kind === 'Deployment' ? 12 : 1;
  if (name.length + longest > LONGEST_BASE) return `${exactly(`${name}-`.slice(0, LONGEST_BASE))}.*`;
  return `${own}-${between}${RANDOM}{5}`;
}

/** A text as a regular expression that matches it alone. */
export const exactly = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
