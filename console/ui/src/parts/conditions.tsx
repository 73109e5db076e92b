import type { Condition } from '../model/types';
import { Age, Status } from './basics';

/** Conditions of which True is not the good answer. */
const BAD_WHEN_TRUE = /Pressure$|^NetworkUnavailable$|^ReplicaFailure$|^Failed$|^DisruptionTarget$/;

export function Conditions({ of }: { of: Condition[] }) {
  return (
    <ul class="conditions">
      {of.map((condition) => {
        const good = BAD_WHEN_TRUE.test(condition.type) ? condition.status === 'False' : condition.status === 'True';
        return (
          <li key={condition.type}>
            <div class="what">
              <Status tone={good ? 'good' : condition.status === 'Unknown' ? 'busy' : 'bad'}>{condition.type}</Status>
              <span class="muted">{[condition.status, condition.reason].filter(Boolean).join(' · ')}</span>
              <span class="muted when">
                <Age since={condition.lastTransitionTime} />
              </span>
            </div>
            {!good && condition.message && <p>{condition.message}</p>}
          </li>
        );
      })}
    </ul>
  );
}
