// A host whose ruler is a table of answers; it says what it was asked. It stands in for HTTP only: see e2e/ for the real
// API in a real browser.
import { render } from '@testing-library/react';
import { MemoryRouter, useLocation } from 'react-router-dom';
import { App } from '../App';
import type { AnswerOf, Path } from '../api/client';
import type { Host, LiveEvent, Question } from '../host';

type Answers = { [P in Path<'GET'>]?: AnswerOf<'GET', P> | ((q: Question) => AnswerOf<'GET', P>) };

export interface Stage {
  host: Host;
  asked: Question[];
  /** what the next questions of a method and path are answered with instead */
  answer: Map<string, { status: number; json: unknown }>;
  tell: (e: LiveEvent) => void;
}

/** Makes a host that answers GETs from the table; everything else is 404. */
export function stage(answers: Answers): Stage {
  const asked: Question[] = [];
  const answer: Stage['answer'] = new Map();
  let listen: (e: LiveEvent) => void = () => undefined;
  const host: Host = {
    base: '',
    logsIn: true,
    async ask(q) {
      asked.push(q);
      const special = answer.get(`${q.method} ${q.path}`);
      if (special) {
        return { ...special, date: Date.now() };
      }
      const found = q.method === 'GET' ? answers[q.path as Path<'GET'>] : undefined;
      const json = typeof found === 'function' ? found(q) : found;
      return json === undefined ? { status: 404, json: { error: 'not here', hint: '' }, date: Date.now() } : { status: 200, json, date: Date.now() };
    },
    async lines(q, tell) {
      asked.push(q);
      const special = answer.get(`${q.method} ${q.path}`);
      if (special && !Array.isArray(special.json)) {
        return { ...special, date: Date.now() };
      }
      (special?.json as unknown[] | undefined)?.forEach(tell);
      return { status: special?.status ?? 404, json: undefined, date: Date.now() };
    },
    follow(l, open) {
      listen = l;
      open(true);
      return () => undefined;
    },
    Page: ({ title, children }) => (
      <main>
        <h1>{title}</h1>
        {children}
      </main>
    ),
  };
  return { host, asked, answer, tell: (e) => listen(e) };
}

/** Shows the page at an address; where tells the address of now. */
export function show(s: Stage, at: string) {
  let place = '';
  function Place() {
    const { pathname, search } = useLocation();
    place = pathname + search;
    return null;
  }
  render(
    <MemoryRouter initialEntries={[at]}>
      <Place />
      <App host={s.host} />
    </MemoryRouter>
  );
  return { where: () => place };
}
