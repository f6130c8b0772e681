import { screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { Rule } from '../../api/schema';
import { show, stage } from '../../test/host';
import { fieldOf, shape } from './Form';

const patient = { timeout: 60_000 }; // the page's code is translated when it is first asked for
jest.setTimeout(120_000);

const rule = (id: string, more: Partial<Rule> = {}): Rule => ({
  author: '', changed_at: null, class: 'disk', deleted: false, enabled: true, failed: 0, file: 'a.yml', fired_30d: 0, id, kind: 'metric', last_error: '', last_fired_at: null, line: 1, muted_30d: 0, name: id, off: '', off_kind: '', overrides: false,
  severity: 'info', source: 'file', version: 0, warnings: [], ...more,
});
const list = (items: Rule[]) => ({ active: 1, generation: 1, items, limit: 1000, offset: 0, total: items.length });
const rules = [rule('full', { version: 4 }), rule('loud', { enabled: false, off: 'x', off_kind: 'switched', author: 'bob', version: 1 }), rule('never', { enabled: false, off: 'x', off_kind: 'configuration' })];
const as = (role: string) => ({ '/rules': list(rules), '/me': { name: 'ada', role, via: 'token', version: '1.0.0' } });

test('a rule is switched from the list, on the version that was seen', async () => {
  const s = stage(as('admin'));
  show(s, '/rules');
  await userEvent.click(await screen.findByRole('button', { name: 'Turn off full' }, patient));
  s.answer.set('PUT /rules/full/enabled', { status: 409, json: { error: 'rule full was switched off by bob since you read it', hint: 'read the rules again' } });
  await userEvent.keyboard('noisy{Enter}');
  expect(await screen.findByText(/Rule full was switched off by bob since you read it/)).toBeInTheDocument();
  expect(s.asked.find((q) => q.method === 'PUT')?.body).toEqual({ enabled: false, version: 4, comment: 'noisy' });
  await waitFor(() => expect(screen.getByRole('button', { name: 'Turn off full' })).toHaveFocus());
  expect(screen.getByRole('button', { name: 'Turn on loud' })).toBeInTheDocument();
  expect(screen.queryByRole('button', { name: /never/ })).toBeNull();
});

test('who is no admin switches nothing', async () => {
  show(stage(as('editor')), '/rules');
  await screen.findByText('3 rules', undefined, patient);
  expect(screen.queryByRole('button', { name: /Turn o/ })).toBeNull();
});

test('a mistake leads to a field of the form only where that can be written in', () => {
  const form = shape('id: own\nmatch:\n  provider: {is: disk}\n  event_id: 7\n');
  if ('why' in form) {
    throw new Error(form.why);
  }
  const of = (path: string, rule?: typeof form.rule) => fieldOf({ column: 1, file: '', hint: '', line: 1, path, text: '' }, form.kind, rule)?.path;
  expect([of('match.provider'), of('match.provider', form.rule), of('match.event_id', form.rule)]).toEqual(['match.provider', undefined, 'match.event_id']);
});
