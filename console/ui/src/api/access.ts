/** What the caller may do, as the Kubernetes API says it: what is not allowed is not offered. */

import { useEffect, useState } from 'preact/hooks';
import { session } from '../session';
import { send } from './http';
import type { Resource } from './kube';

export interface Question {
  verb: string;
  of: Resource;
  subresource?: string;
  namespace?: string;
  name?: string;
}

/** How long an answer is used. The server decides anyway. */
const FRESH_MS = 60_000;
const answers = new Map<string, { at: number; answer: Promise<boolean> }>();
session.subscribe(() => answers.clear());

export function allowed(question: Question): Promise<boolean> {
  const key = JSON.stringify([question.verb, question.of.group, question.of.plural, question.subresource, question.namespace, question.name]);
  const known = answers.get(key);
  if (known && Date.now() - known.at < FRESH_MS) return known.answer;
  const answer = review(question).catch(() => false);
  answers.set(key, { at: Date.now(), answer });
  return answer;
}

async function review({ verb, of, subresource, namespace, name }: Question): Promise<boolean> {
  const answer = await send<{ status?: { allowed?: boolean } }>(
    'POST',
    '/kubernetes/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb, group: of.group, resource: of.plural, subresource, namespace, name } },
    },
  );
  return answer.status?.allowed === true;
}

/** Which of these the caller may do; none until that is known. */
export function useAllowed(questions: Question[]): boolean[] {
  const key = JSON.stringify(questions);
  const [known, setKnown] = useState<{ key: string; answers: boolean[] }>({ key: '', answers: [] });
  useEffect(() => {
    let current = true;
    void Promise.all(questions.map(allowed)).then((answers) => current && setKnown({ key, answers }));
    return () => {
      current = false;
    };
  }, [key]);
  return known.key === key ? known.answers : questions.map(() => false);
}
