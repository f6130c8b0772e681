import type { Fact } from '../../api/schema';

/** One thing that a line of the audit log says: its value, or what it was before and after. */
export interface Difference {
  name: string;
  value?: string;
  before?: string;
  after?: string;
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);

function parsed(text: string): unknown {
  if (!/^[[{]/.test(text)) {
    return text;
  }
  try {
    return JSON.parse(text);
  } catch {
    return text; // cut
  }
}

const said = (v: unknown): string => (v === undefined || v === null ? '' : typeof v === 'string' ? v : JSON.stringify(v));

/** What two states of one thing differ in. */
function between(before: unknown, after: unknown, name: string): Difference[] {
  if (isObject(before) || isObject(after)) {
    const [b, a] = [isObject(before) ? before : {}, isObject(after) ? after : {}];
    return [...new Set([...Object.keys(b), ...Object.keys(a)])].filter((k) => said(b[k]) !== said(a[k])).flatMap((k) => between(b[k], a[k], name ? `${name} ${k}` : k));
  }
  return [{ name, before: said(before), after: said(after) }];
}

/** The details of a line: those that were something else before say so, the empty ones are left out. */
export function differences(detail: Fact[]): Difference[] {
  const of = new Map(detail.map((f) => [f.name, parsed(f.value)]));
  const out: Difference[] = [];
  if (of.has('before') && of.has('after')) {
    out.push(...between(of.get('before'), of.get('after'), ''));
    of.delete('before');
    of.delete('after');
  }
  for (const [name, v] of of) {
    if (isObject(v) && ('before' in v || 'after' in v)) {
      out.push(...between(v.before, v.after, name));
    } else if (said(v) !== '') {
      out.push({ name, value: said(v) });
    }
  }
  return out;
}
