// A form for the kinds of rules that people make most. It changes single values of the YAML, so that comments, order and
// what it does not know stay as they are.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Icon, Input, useStyles2 } from '@grafana/ui';
import { useEffect, useId, useRef, useState } from 'react';
import type { RuleMistake } from '../../api/schema';
import { Pick } from '../../components/Filters';
import { Dim } from '../../components/Text';
import { clean } from '../../format';
import { at, flow, put, readRule, words, type Map } from './yaml';

interface Field {
  path: string[];
  name: () => string;
  hint: string;
  /** the words that are allowed; absent = free */
  of?: string[];
  /** several values, with commas between */
  many?: boolean;
  numeric?: boolean;
  wide?: boolean;
  must?: boolean;
}

const event = (at: string[], what: () => string): Field[] => [
  { path: [...at, 'provider'], name: () => t('form.provider', '{{what}}provider', { what: what() }), hint: 'disk, storahci', many: true },
  { path: [...at, 'event_id'], name: () => t('form.eventId', '{{what}}event id', { what: what() }), hint: '7, 11, 150-157', many: true, numeric: true },
  { path: [...at, 'channel'], name: () => t('form.channel', '{{what}}channel', { what: what() }), hint: 'System', many: true },
  { path: [...at, 'level'], name: () => t('form.level', '{{what}}level', { what: what() }), hint: 'critical, error', many: true },
];

const common: Field[] = [
  { path: ['id'], name: () => t('form.id', 'Id, for ever'), hint: 'disk-bad-block', must: true },
  { path: ['name'], name: () => t('form.name', "The alert's name"), hint: 'DiskBadBlock', must: true },
  { path: ['class'], name: () => t('form.class', 'Problem class'), hint: 'disk', must: true },
  { path: ['severity'], name: () => t('form.severity', 'Severity'), hint: '', of: ['critical', 'warning', 'info'], must: true },
  { path: ['summary'], name: () => t('form.summary', 'What people read'), hint: '{{ .Server }}: bad block', wide: true, must: true },
  { path: ['description'], name: () => t('form.description', 'And more'), hint: '{{ .Message }}', wide: true },
  { path: ['runbook'], name: () => t('form.runbook', 'What to do: file#section'), hint: 'disk#bad-block', must: true },
  { path: ['servers', 'site'], name: () => t('form.site', 'Only of sites'), hint: 'bern, zug', many: true },
  { path: ['servers', 'role'], name: () => t('form.role', 'Only of roles'), hint: 'db', many: true },
];

const special: Record<Kind, Field[]> = {
  match: [
    ...event(['match'], () => ''),
    { path: ['match', 'device', 'type'], name: () => t('form.deviceType', 'One problem per'), hint: 'disk' },
    { path: ['match', 'device', 'attr'], name: () => t('form.deviceAttr', 'which the event names in'), hint: 'event.data.param1' },
    ...event(['match', 'clear'], () => t('form.ends', 'ended by ')),
    { path: ['expires'], name: () => t('form.expires', 'Over, after the last one'), hint: '12h' },
  ],
  state: [
    { path: ['state', 'device'], name: () => t('form.device', 'Device'), hint: 'virtual_drive', must: true },
    { path: ['state', 'field'], name: () => t('form.field', 'Its field'), hint: 'state', must: true },
    { path: ['state', 'ok'], name: () => t('form.ok', 'Good values'), hint: 'Optl', many: true },
    { path: ['state', 'bad'], name: () => t('form.bad', 'or bad values'), hint: 'Failed, Offln', many: true },
    { path: ['state', 'above'], name: () => t('form.above', 'or bad above'), hint: '80', numeric: true },
    { path: ['state', 'below'], name: () => t('form.below', 'or bad below'), hint: '10', numeric: true },
    { path: ['state', 'clear'], name: () => t('form.clear', 'good again past'), hint: '70', numeric: true },
    { path: ['state', 'keep'], name: () => t('form.keep', 'and good for'), hint: '10m' },
    { path: ['for'], name: () => t('form.for', 'Bad for, before it fires'), hint: '5m' },
  ],
  absent: [
    { path: ['absent', 'category'], name: () => t('form.category', 'What is missing'), hint: '', of: ['heartbeat', 'eventlog', 'raid', 'hardware', 'updates', 'software', 'smart', 'sensors', 'check', 'agent'], must: true },
    { path: ['absent', 'after'], name: () => t('form.after', 'for'), hint: '5m', must: true },
    { path: ['absent', 'while'], name: () => t('form.while', 'of servers that'), hint: '', of: ['', 'heartbeat', 'shutdown', 'expected'] },
    { path: ['absent', 'goodbye', 'stop'], name: () => t('form.stop', 'Stopped: at most'), hint: '10m' },
    { path: ['absent', 'goodbye', 'restart'], name: () => t('form.restart', 'Restarting: at most'), hint: '1h' },
    { path: ['absent', 'goodbye', 'shutdown'], name: () => t('form.shutdown', 'Shut down: at most'), hint: 'back' },
  ],
};
export const kinds = ['match', 'state', 'absent'] as const;
type Kind = (typeof kinds)[number];

/** What each kind begins with. */
export const begin = (kind: string): string => {
  const head = (id: string, name: string, cls: string, summary: string, runbook: string) => `id: ${id}\nname: ${name}\nclass: ${cls}\nseverity: warning\nsummary: "${summary}"\nrunbook: ${runbook}\n`;
  switch (kind) {
    case 'state':
      return head('own-state', 'OwnState', 'own-state', '{{ .Server }}: {{ .Device }} is {{ .After }}', 'own#state') + 'state:\n  device: virtual_drive\n  field: state\n  ok: [Optl]\n';
    case 'absent':
      return head('own-absent', 'OwnAbsent', 'own-absent', '{{ .Server }} sends nothing', 'own#absent') + 'absent:\n  category: raid\n  after: 2h\n  while: heartbeat\n';
    default:
      return head('own-event', 'OwnEvent', 'own-event', '{{ .Server }}: {{ .Message }}', 'own#event') + 'expires: 12h\nmatch:\n  provider: disk\n  event_id: 7\n';
  }
};

/** Why the form cannot show a text, or the rule and its kind. */
export function shape(text: string): { rule: Map; kind: Kind } | { why: string } {
  const rule = readRule(text);
  if (!rule) {
    return { why: t('form.broken', 'The text is not one YAML mapping as it is. Mend it in the YAML first.') };
  }
  const kind = kinds.find((k) => rule.pairs.some((p) => p.key === k));
  if (!kind) {
    const known = rule.pairs.find((p) => ['change', 'count', 'flap', 'sequence', 'clone', 'risk'].includes(p.key));
    return { why: known ? t('form.otherKind', 'The form knows match, state and absent; this is a rule of kind {{kind}}.', { kind: known.key }) : t('form.noKind', 'The rule has no condition yet: add match, state or absent in the YAML.') };
  }
  if (at(rule, [kind])?.kind !== 'map') {
    return { why: t('form.empty', 'Below "{{kind}}:" there is nothing the form can read. Write a first condition in the YAML.', { kind }) };
  }
  return { rule, kind };
}

/** Keys of the text that no field of the form stands for. */
export function unseen(rule: Map, kind: Kind): string[] {
  const fields = [...common, ...special[kind]];
  const out: string[] = [];
  const look = (map: Map, path: string[]) => {
    for (const p of map.pairs) {
      const here = [...path, p.key];
      const mine = fields.filter((f) => here.every((k, i) => f.path[i] === k));
      if (!mine.length) {
        out.push(here.join('.'));
      } else if (p.value?.kind === 'map' && mine.some((f) => f.path.length > here.length)) {
        look(p.value, here);
      }
    }
  };
  look(rule, []);
  return out;
}

const pathOf = (f: Field) => f.path.join('.');

/** The field of the form that a mistake is about, and how many stand before it; undefined = it has none, or, of a rule, none that can be written in. */
export function fieldOf(m: RuleMistake, kind: Kind, rule?: Map): { path: string; name: string; at: number } | undefined {
  const fields = [...common, ...special[kind]];
  const path = (m.path as string | undefined) ?? ''; // the app may be newer than the ruler
  const n = fields.findIndex((f) => path === pathOf(f) || path.startsWith(pathOf(f) + '.'));
  return n < 0 || (rule && words(at(rule, fields[n].path)) === undefined) ? undefined : { path: pathOf(fields[n]), name: fields[n].name(), at: n };
}

interface Props {
  text: string;
  onChange: (text: string) => void;
  fixedId: boolean;
  mistakes: RuleMistake[];
  /** the field that is to have the focus, by its path; a new object each time */
  jump?: { path: string };
}

export function Form({ text, onChange, fixedId, mistakes, jump }: Props) {
  const s = useStyles2(styles);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (jump) {
      box.current?.querySelector<HTMLElement>(`[data-path="${CSS.escape(jump.path)}"] :is(input, select)`)?.focus();
    }
  }, [jump]);
  const now = shape(text);
  if ('why' in now) {
    return <p className={s.why}>{now.why}</p>;
  }
  const rest = unseen(now.rule, now.kind);
  const of = (f: Field) => mistakes.filter((m) => fieldOf(m, now.kind)?.path === pathOf(f));
  const show = (f: Field) => <One key={pathOf(f)} of={f} rule={now.rule} text={text} onChange={onChange} readOnly={fixedId && f.path[0] === 'id'} mistakes={of(f)} />;
  const together = mistakes.filter((m) => m.path === now.kind);
  return (
    <div ref={box}>
      <div className={s.fields}>{common.map(show)}</div>
      <h3 className={s.kind}>{{ match: t('form.match', 'Fires on an event'), state: t('form.state', 'Fires while a value is bad'), absent: t('form.absent', 'Fires when something stays away') }[now.kind]}</h3>
      {together.length > 0 && <Wrong of={together} />}
      <div className={s.fields}>{special[now.kind].map(show)}</div>
      {rest.length > 0 && <Dim>{t('form.rest', 'Only in the YAML, and left as it is: {{keys}}', { keys: clean(rest.join(', '), 400) })}</Dim>}
    </div>
  );
}

/** What is wrong with a field, or with several together. */
function Wrong({ id, of }: { id?: string; of: RuleMistake[] }) {
  const s = useStyles2(styles);
  return (
    <p id={id} className={s.wrong}>
      <Icon name="exclamation-circle" size="sm" aria-hidden />{' '}
      {of.map((m) => clean(m.hint ? `${m.text}: ${m.hint}` : m.text, 400)).join(' · ')}
    </p>
  );
}

function One({ of: f, rule, text, onChange, readOnly, mistakes }: { of: Field; rule: Map; text: string; onChange: (text: string) => void; readOnly: boolean; mistakes: RuleMistake[] }) {
  const s = useStyles2(styles);
  const id = useId();
  const wrong = mistakes.length ? id + '-wrong' : undefined;
  const around = { className: f.wide ? s.wide : undefined, 'data-path': pathOf(f) };
  const value = words(at(rule, f.path));
  if (value === undefined) {
    return (
      <div {...around}>
        <label htmlFor={id}>{f.name()}</label>
        <Input id={id} value={t('form.seeYaml', 'as the YAML says')} disabled />
        {wrong && <Wrong id={wrong} of={mistakes} />}
      </div>
    );
  }
  const shown = value.join(', ');
  const set = (typed: string) => {
    const list = f.many ? typed.split(',').map((v) => v.trim()) : [typed];
    const some = list.filter((v) => v !== '');
    const next = some.length ? flow(some, f.numeric) : f.must ? '""' : undefined;
    onChange(put(text, f.path, next));
  };
  if (f.of) {
    const options = f.of.includes(shown) ? f.of : [shown, ...f.of];
    return (
      <div {...around}>
        <Pick name={f.name()} wrong={wrong} value={shown} onChange={set} options={options.map((v) => [v, v || t('form.any', 'sent it before')])} />
        {wrong && <Wrong id={wrong} of={mistakes} />}
      </div>
    );
  }
  return (
    <div {...around}>
      <label htmlFor={id}>{f.name()}</label>
      <Typed id={id} wrong={wrong} value={shown} hint={f.hint} readOnly={readOnly} onChange={set} />
      {wrong && <Wrong id={wrong} of={mistakes} />}
    </div>
  );
}

/** Keeps what is being typed ("7, ") while the YAML has what it means ("7"). */
function Typed({ id, wrong, value, hint, readOnly, onChange }: { id: string; /** id of what says why it does not do */ wrong?: string; value: string; hint: string; readOnly: boolean; onChange: (typed: string) => void }) {
  const [typed, setTyped] = useState<string>();
  return (
    <Input
      id={id}
      invalid={wrong !== undefined}
      aria-invalid={wrong ? true : undefined}
      aria-describedby={wrong}
      value={typed ?? value}
      placeholder={hint}
      readOnly={readOnly}
      autoComplete="off"
      spellCheck={false}
      onChange={(e) => {
        setTyped(e.currentTarget.value);
        onChange(e.currentTarget.value);
      }}
      onBlur={() => setTyped(undefined)}
    />
  );
}

const styles = (theme: GrafanaTheme2) => ({
  fields: css({ display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 220px), 1fr))', gap: theme.spacing(1.5), '& label': { color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, display: 'block', margin: 0, '&::first-letter': { textTransform: 'uppercase' } }, '& select': { width: '100%', maxWidth: 'none' } }),
  wide: css({ gridColumn: '1 / -1' }),
  kind: css({ margin: theme.spacing(2, 0, 1), fontSize: theme.typography.h5.fontSize }),
  wrong: css({ margin: theme.spacing(0.5, 0, 0), color: theme.colors.error.text, fontSize: theme.typography.bodySmall.fontSize, overflowWrap: 'anywhere' }),
  why: css({ color: theme.colors.text.secondary }),
});
