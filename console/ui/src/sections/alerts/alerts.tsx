/** What Prometheus warns of, and by which rules. */

import { useState } from 'preact/hooks';
import { asApiError } from '../../api/http';
import { rules as loadRules, type Alert, type Labels, type Rule } from '../../api/prometheus';
import { useRefreshed } from '../../api/usage';
import { useCell } from '../../cell';
import type { Tone } from '../../model/pods';
import { span } from '../../model/time';
import { Age, Empty, Failure, Head, Loading, Panel, Search, Status } from '../../parts/basics';
import { placeOf } from '../../parts/events';
import { href, place } from '../../router';

const REFRESH_MS = 15_000;

interface Active {
  rule: Rule;
  alert: Alert;
}

const URGENCY: Record<string, number> = { critical: 0, error: 1, warning: 2, info: 3 };

/** Firing before pending, severe before mild, the latest first. Pure. */
export function ordered(rules: Rule[]): Active[] {
  const all = rules.flatMap((rule) => (rule.alerts ?? []).map((alert) => ({ rule, alert })));
  const key = ({ alert }: Active): [number, number, number] => [alert.state === 'firing' ? 0 : 1, URGENCY[alert.labels.severity ?? ''] ?? 2, -Date.parse(alert.activeAt)];
  return all.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return x[0] - y[0] || x[1] - y[1] || x[2] - y[2];
  });
}

/** What of an alert's labels says where it is. */
const SAID_ELSEWHERE = new Set(['alertname', 'severity', '__name__']);

function placeFor(labels: Labels): string | undefined {
  if (labels.namespace && labels.pod) return placeOf('Pod', labels.namespace, labels.pod);
  if (labels.namespace && labels.deployment) return placeOf('Deployment', labels.namespace, labels.deployment);
  return labels.node ? placeOf('Node', undefined, labels.node) : undefined;
}

export default function Alerts(_: { path: string[] }) {
  const [text, setText] = useState('');
  const open = useCell(place).query.get('open');
  const { value, error } = useRefreshed(loadRules, REFRESH_MS, 'rules');
  const wanted = text.trim().toLowerCase();
  const rules = (value ?? []).filter((rule) => rule.type === 'alerting');
  const fits = (rule: Rule, more = ''): boolean => `${rule.name} ${JSON.stringify(rule.labels)} ${more}`.toLowerCase().includes(wanted);
  const active = ordered(rules).filter(({ rule, alert }) => fits(rule, JSON.stringify(alert.labels)));
  return (
    <>
      <Head title="Alerts">
        <Search value={text} change={setText} label="Search alerts and rules" />
      </Head>
      {error !== null && <Failure error={asApiError(error)} what="alerts" />}
      {!value && error === null && <Loading what="alerts" />}
      {value && (
        <>
          <Panel title="Now">
            {active.length === 0 ? (
              <Empty title={wanted ? 'No alert is like that' : error !== null ? 'No alert fired when Prometheus last answered' : 'Nothing is wrong that a rule looks for'} />
            ) : (
              <ul class="alerts">
                {active.map((one) => (
                  <One key={JSON.stringify(one.alert.labels)} {...one} open={one.rule.name === open} />
                ))}
              </ul>
            )}
          </Panel>
          <Rules rules={rules.filter((rule) => fits(rule))} />
        </>
      )}
    </>
  );
}

/** A rule's text stands for all that it may find: what differs is left out. */
const general = (text: string | undefined): string => (text ?? '').replace(/\{\{.*?\}\}/g, '…');

const severity = (labels: Labels): string => labels.severity ?? 'warning';

function One({ rule, alert, open }: Active & { open: boolean }) {
  const tone: Tone = alert.state === 'pending' ? 'busy' : 'bad';
  const { summary, description, runbook, action, ...others } = alert.annotations;
  const where = Object.entries(alert.labels).filter(([key]) => !SAID_ELSEWHERE.has(key));
  const address = placeFor(alert.labels);
  return (
    <li>
      <details open={open}>
        <summary>
          <Status tone={tone}>{rule.name}</Status>
          <span class="tag">{severity(alert.labels)}</span>
          {alert.state === 'pending' && <span class="tag">pending</span>}
          <span class="why">{summary ?? description ?? ''}</span>
          <span class="muted when">
            <Age since={alert.activeAt} />
          </span>
        </summary>
        <div class="inside">
          {description && summary && <p>{description}</p>}
          {(action ?? runbook) && (
            <p>
              <strong>What to do: </strong>
              {action ?? runbook}
            </p>
          )}
          {Object.entries(others).map(([key, value]) => (
            <p key={key}>
              <span class="muted">{key}: </span>
              {value}
            </p>
          ))}
          <p class="labels">
            {where.map(([key, value]) => (
              <code key={key}>{`${key}=${value}`}</code>
            ))}
          </p>
          <p>
            {address && <a href={address}>Show what it is about</a>} <a href={href(['charts', 'query'], { q: rule.query })}>Draw the rule's query</a>
          </p>
        </div>
      </details>
    </li>
  );
}

function Rules({ rules }: { rules: Rule[] }) {
  const sorted = [...rules].sort((a, b) => a.name.localeCompare(b.name));
  return (
    <Panel title="Rules" aside={<span class="muted">{rules.length}</span>}>
      {rules.length === 0 && <Empty title="No rules" />}
      <ul class="alerts">
        {sorted.map((rule) => (
          <li key={rule.name + rule.query}>
            <details>
              <summary>
                <Status tone={rule.state === 'firing' ? 'bad' : rule.state === 'pending' ? 'busy' : rule.health === 'err' ? 'bad' : 'good'}>{rule.name}</Status>
                <span class="tag">{severity(rule.labels)}</span>
                <span class="why muted">{general(rule.annotations?.summary)}</span>
                <span class="muted when">{rule.duration ? `for ${span(rule.duration * 1000)}` : 'at once'}</span>
              </summary>
              <div class="inside">
                {rule.lastError && <p class="error">{rule.lastError}</p>}
                <p>{general(rule.annotations?.description)}</p>
                <pre tabIndex={0}>{rule.query}</pre>
              </div>
            </details>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
