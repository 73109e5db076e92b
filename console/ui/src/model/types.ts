/** The parts of Kubernetes' and our own objects that the console shows. All optional: servers of other versions differ. */

import type { Obj } from '../api/kube';

export interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface ContainerState {
  running?: { startedAt?: string };
  waiting?: { reason?: string; message?: string };
  terminated?: { exitCode: number; signal?: number; reason?: string; message?: string; startedAt?: string; finishedAt?: string };
}

export interface ContainerStatus {
  name: string;
  ready: boolean;
  started?: boolean;
  restartCount: number;
  image: string;
  state?: ContainerState;
  lastState?: ContainerState;
}

export interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  restartPolicy?: string;
  ports?: { name?: string; containerPort: number; protocol?: string }[];
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
}

export interface PodSpec {
  nodeName?: string;
  serviceAccountName?: string;
  restartPolicy?: string;
  priorityClassName?: string;
  containers: Container[];
  initContainers?: Container[];
  readinessGates?: { conditionType: string }[];
}

export interface Pod extends Obj {
  spec: PodSpec;
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    podIP?: string;
    hostIP?: string;
    qosClass?: string;
    startTime?: string;
    conditions?: Condition[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

export interface Node extends Obj {
  spec?: { unschedulable?: boolean; taints?: { key: string; value?: string; effect: string }[]; podCIDR?: string };
  status?: {
    capacity?: Record<string, string>;
    allocatable?: Record<string, string>;
    conditions?: Condition[];
    addresses?: { type: string; address: string }[];
    nodeInfo?: Record<string, string>;
  };
}

/** Deployment, StatefulSet, DaemonSet, ReplicaSet and Job: what they have in common, and what each has alone. */
export interface Workload extends Obj {
  spec?: {
    replicas?: number;
    paused?: boolean;
    completions?: number;
    parallelism?: number;
    selector?: { matchLabels?: Record<string, string>; matchExpressions?: Expression[] };
    strategy?: { type?: string; rollingUpdate?: { maxSurge?: number | string; maxUnavailable?: number | string } };
    updateStrategy?: { type?: string };
    template?: { spec?: PodSpec; metadata?: { annotations?: Record<string, string> } };
  };
  status?: {
    observedGeneration?: number;
    replicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    updatedReplicas?: number;
    unavailableReplicas?: number;
    desiredNumberScheduled?: number;
    numberReady?: number;
    numberAvailable?: number;
    updatedNumberScheduled?: number;
    active?: number;
    succeeded?: number;
    failed?: number;
    conditions?: Condition[];
  };
}

export interface Expression {
  key: string;
  operator: string;
  values?: string[];
}

export interface KubeEvent extends Obj {
  type?: string;
  reason?: string;
  message?: string;
  note?: string;
  count?: number;
  firstTimestamp?: string | null;
  lastTimestamp?: string | null;
  eventTime?: string | null;
  series?: { count?: number; lastObservedTime?: string } | null;
  source?: { component?: string };
  reportingComponent?: string;
  involvedObject: { kind?: string; namespace?: string; name?: string; uid?: string; fieldPath?: string };
}

/** minicloud.io/v1 Device: what the hardware of a node is. */
export interface Device extends Obj {
  status?: {
    uuid?: string;
    vendor?: string;
    model?: string;
    addresses?: string[];
    roles?: string[];
    region?: { continent?: string; country?: string; city?: string };
    memoryBytes?: number;
    batteries?: { name: string; present?: boolean; capacityPercent?: number; status?: string }[];
    cpu?: {
      architecture?: string;
      bits?: number;
      cores?: number;
      threads?: number;
      sockets?: number;
      model?: string;
      vendor?: string;
      maxMhz?: number;
      features?: string[];
    };
    gpus?: { name?: string; model?: string; vendor?: string; driver?: string; memoryBytes?: number }[];
    os?: { prettyName?: string };
    kernel?: { name?: string; release?: string };
    disks?: { name: string; model?: string; sizeBytes?: number; rotational?: boolean; kind?: string; transport?: string }[];
    fileSystems?: { device?: string; fstype?: string; mountpoint: string; sizeBytes?: number; freeBytes?: number }[];
    networkInterfaces?: { name: string; mac?: string; mtuBytes?: number; speedMbitPerSecond?: number; driver?: string; addresses?: string[] }[];
    sensors?: { name: string; kind?: string; unit?: string }[];
    software?: { name: string; version?: string }[];
    canRun?: {
      containerRuntimes?: { name: string; path?: string }[];
      machineEmulators?: { name: string; path?: string }[];
      kvm?: string;
      kvmDetail?: string;
      cgroupVersion?: string;
    };
    virtualization?: string;
    summary?: { cpu?: string; memory?: string; gpu?: string; os?: string; runs?: string };
  };
}
