// A rule's YAML as a tree that knows where each value stands, so that a form changes single values and leaves comments,
// order and everything it does not know as they are. Pure.
import { yamlLanguage } from '@codemirror/lang-yaml';

const { parser } = yamlLanguage;
type SyntaxNode = ReturnType<typeof parser.parse>['topNode'];

export type Node = Map | List | Text | Other;
interface Span {
  from: number;
  to: number;
}
export interface Map extends Span {
  kind: 'map';
  flow: boolean;
  pairs: Pair[];
}
export interface Pair extends Span {
  key: string;
  value?: Node;
}
export interface List extends Span {
  kind: 'list';
  items: Node[];
}
export interface Text extends Span {
  kind: 'text';
  text: string;
}
/** What a form cannot show: blocks of text, anchors, tags. */
interface Other extends Span {
  kind: 'other';
}

/** The one rule of a text, or undefined where the text is no mapping or cannot be read. */
export function readRule(text: string): Map | undefined {
  const tree = parser.parse(text);
  let broken = false;
  tree.iterate({ enter: (n) => void (broken ||= n.type.isError) });
  const documents = tree.topNode.getChildren('Document');
  if (broken || documents.length !== 1) {
    return undefined;
  }
  const root = node(documents[0].firstChild, text);
  return root?.kind === 'map' ? root : undefined;
}

function node(n: SyntaxNode | null, text: string): Node | undefined {
  while (n && n.name === 'Comment') {
    n = n.nextSibling;
  }
  if (!n) {
    return undefined;
  }
  const span = { from: n.from, to: n.to };
  switch (n.name) {
    case 'BlockMapping':
    case 'FlowMapping':
      return { kind: 'map', flow: n.name === 'FlowMapping', pairs: n.getChildren('Pair').map((p) => pair(p, text)), ...span };
    case 'BlockSequence':
    case 'FlowSequence':
      return { kind: 'list', items: n.getChildren('Item').map((i) => node(inItem(i), text) ?? { kind: 'other', from: i.from, to: i.to }), ...span };
    case 'Literal':
      return { kind: 'text', text: text.slice(n.from, n.to), ...span };
    case 'QuotedLiteral':
      return { kind: 'text', text: unquoted(text.slice(n.from, n.to)), ...span };
    default:
      return { kind: 'other', ...span };
  }
}

const inItem = (n: SyntaxNode) => {
  let c = n.firstChild;
  while (c && (c.name === '-' || c.name === 'Comment')) {
    c = c.nextSibling;
  }
  return c;
};

function pair(p: SyntaxNode, text: string): Pair {
  const key = p.getChild('Key')?.firstChild ?? null;
  const k = node(key, text);
  let v = p.lastChild;
  while (v && v.name === 'Comment') {
    v = v.prevSibling;
  }
  const value = v && v.name !== 'Key' && v.name !== ':' ? node(v, text) : undefined;
  return { key: k?.kind === 'text' ? k.text : '', value, from: p.from, to: p.to };
}

function unquoted(s: string): string {
  if (s.startsWith("'")) {
    return s.slice(1, -1).replaceAll("''", "'");
  }
  try {
    return JSON.parse(s.replace(/\n\s*/g, ' ')) as string;
  } catch {
    return s.slice(1, -1);
  }
}

export function at(root: Map, path: string[]): Node | undefined {
  let here: Node | undefined = root;
  for (const key of path) {
    here = here?.kind === 'map' ? here.pairs.find((p) => p.key === key)?.value : undefined;
  }
  return here;
}

/** The texts of a value or a list of values; undefined where there is something else. */
export function words(n: Node | undefined): string[] | undefined {
  if (!n) {
    return [];
  }
  if (n.kind === 'text') {
    return [n.text];
  }
  return n.kind === 'list' && n.items.every((i) => i.kind === 'text') ? n.items.map((i) => (i as Text).text) : undefined;
}

const plain = /^[A-Za-z0-9_./][A-Za-z0-9_ ./+%()\\-]*$/;
const special = /^(true|false|yes|no|on|off|null|~|[-+.]?[0-9][0-9_.eExXoO+:-]*)$/i;

/** A text as YAML: plain where that is safe; numeric tells that a number is meant. */
export function scalar(text: string, numeric = false): string {
  if (numeric && /^-?[0-9]+(\.[0-9]+|-[0-9]+)?$/.test(text)) {
    return text;
  }
  return plain.test(text) && !special.test(text) && !/\s$|: | #/.test(text) ? text : JSON.stringify(text);
}

export const flow = (values: string[], numeric = false) => {
  const each = values.map((v) => scalar(v, numeric));
  return each.length === 1 ? each[0] : `[${each.join(', ')}]`;
};

/** Text with the value at path replaced, added or (undefined) taken out. A mapping on the way is made where it is missing. */
export function put(text: string, path: string[], value: string | undefined): string {
  const root = readRule(text);
  if (!root) {
    return text;
  }
  let map = root;
  let depth = 0;
  for (; depth < path.length - 1; depth++) {
    const next: Node | undefined = map.pairs.find((p) => p.key === path[depth])?.value;
    if (next?.kind !== 'map') {
      break;
    }
    map = next;
  }
  const key = path[depth];
  const old = map.pairs.find((p) => p.key === key);
  // What is below the first key that is not there goes into braces.
  const inner = value === undefined ? undefined : path.slice(depth + 1).reduceRight((v, k) => `{${k}: ${v}}`, value);
  if (inner === undefined) {
    return old && depth === path.length - 1 ? without(text, map, old) : text;
  }
  if (old) {
    return old.value ? text.slice(0, old.value.from) + inner + text.slice(old.value.to) : text.slice(0, old.to) + ' ' + inner + text.slice(old.to);
  }
  return added(text, map, `${key}: ${inner}`);
}

function added(text: string, map: Map, line: string): string {
  const last = map.pairs.at(-1);
  if (map.flow) {
    const before = text.slice(0, map.to - 1).trimEnd();
    return before + (last ? ', ' : '') + line + text.slice(map.to - 1);
  }
  const end = last ? endOfLine(text, last.to) : map.to;
  const indent = last ? ' '.repeat(column(text, map.pairs[0].from)) : '';
  const rest = text.slice(end);
  return text.slice(0, end) + '\n' + indent + line + (rest.startsWith('\n') ? rest : '\n' + rest);
}

function without(text: string, map: Map, old: Pair): string {
  const i = map.pairs.indexOf(old);
  if (map.flow) {
    const next = map.pairs[i + 1];
    const before = map.pairs[i - 1];
    return next ? text.slice(0, old.from) + text.slice(next.from) : text.slice(0, before ? before.to : old.from) + text.slice(old.to);
  }
  const begin = text.lastIndexOf('\n', old.from - 1) + 1;
  return text.slice(0, begin) + text.slice(Math.min(text.length, endOfLine(text, old.to) + 1));
}

const column = (text: string, at: number) => at - (text.lastIndexOf('\n', at - 1) + 1);
const endOfLine = (text: string, at: number) => {
  const trimmed = text[at - 1] === '\n' ? at - 1 : at;
  const n = text.indexOf('\n', trimmed);
  return n < 0 ? text.length : n;
};
